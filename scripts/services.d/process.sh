# shellcheck shell=bash
# Native services: processes of our own, recorded so that we find and stop exactly those again.
#
# A service NAME keeps everything in $STATE_DIR/NAME:
#   pid    "PID STARTTIME": the start time tells our process from a later one with the same number
#   port   the port it was given; its presence says "this one is run natively"
#   data   its data; made elsewhere and renamed, so that it is whole wherever it exists
#   log    what it said; log.old is the one before
#
# redis.sh, mariadb.sh and kafka.sh each define, with NAME in front:
#   _ports     first port to try, and how many in a row it needs
#   _program   how its process is known: its /proc/PID/comm, and a word in its command line
#   _packages  prints the Debian packages it lacks
#   _prepare   makes configuration and data for a port
#   _command   sets COMMAND, which runs the server in the foreground from $STATE_DIR/NAME
#   _ready     does it do its work on this port?

# --- processes ---------------------------------------------------------------------------------

# Sets PROCESS_STATE, PROCESS_THREADS and PROCESS_START of a process id; fails if there is none.
read_process() {
    local line
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    # The name in brackets may hold spaces and brackets itself: count from behind it.
    local -a fields
    read -ra fields <<<"${line##*) }"
    PROCESS_STATE=${fields[0]} PROCESS_THREADS=${fields[17]} PROCESS_START=${fields[19]}
}

# Does this process, started then, run? A zombie does not: nobody may be there to reap it. But as long as another of its
# threads has not ended, its ports and files are still its own.
runs() {
    read_process "$1" && [ "$PROCESS_START" = "$2" ] && { [ "$PROCESS_STATE" != Z ] || [ "$PROCESS_THREADS" -gt 1 ]; }
}

# Prints the id of a service's running process; fails if none runs.
native_pid() {
    local pid='' start=''
    { read -r pid start <"$STATE_DIR/$1/pid"; } 2>/dev/null || return 1
    [[ $pid =~ ^[0-9]+$ ]] && runs "$pid" "$start" && echo "$pid"
}

# The process of a pid file that is stale, in words.
last_process() {
    local pid=''
    { read -r pid _ <"$STATE_DIR/$1/pid"; } 2>/dev/null || true
    echo "the process of its last start (${pid:-unknown})"
}

# Renamed into place: `status` and `env` read without the lock, and must not see half of it.
record_process() {
    local file="$STATE_DIR/$1/pid" pid=$2
    read_process "$pid" || return 1
    echo "$pid $PROCESS_START" >"$file.new"
    mv "$file.new" "$file"
}

# A server may run that no pid file tells of: somebody removed the file, or the whole folder. It is
# ours if it works in our folder. Records it; or stops it, if the folder was removed under it.
adopt_unrecorded() {
    local name=$1 dir="$STATE_DIR/$1" program="${1}_program" process known word comm pid directory
    read -r known word <<<"${!program}"
    for process in /proc/[0-9]*; do
        { read -r comm <"$process/comm"; } 2>/dev/null || continue
        [ "$comm" = "$known" ] || continue
        # Not one of Kafka's tools, nor a child that Redis left behind rewriting its log.
        tr '\0' ' ' <"$process/cmdline" 2>/dev/null | grep -q -F -- "$word" || continue
        pid=${process##*/}
        directory=$(readlink "$process/cwd" 2>/dev/null) || continue
        case $directory in
            "$dir" | "$dir/data")
                say "$name: process $pid is ours, though its pid file is gone; recorded again"
                record_process "$name" "$pid" || true
                ;;
            "$dir (deleted)" | "$dir/data (deleted)")
                say "$name: process $pid is ours, but its folder was removed under it; stopping it"
                if read_process "$pid"; then stop_process "$pid" "$PROCESS_START" 5 || true; fi
                ;;
        esac
    done
}

# Stops one process: asks, waits so many seconds, then kills. Fails if it had to be killed.
stop_process() {
    local pid=$1 start=$2 left=$(($3 * 10))
    runs "$pid" "$start" || return 0
    kill -TERM "$pid"
    # A stopped process (fault tests stop them) hears nothing until it is continued.
    kill -CONT "$pid" 2>/dev/null || true
    while runs "$pid" "$start"; do
        if [ "$left" -eq 0 ]; then
            kill -KILL "$pid" 2>/dev/null || true
            while runs "$pid" "$start"; do sleep 0.1; done
            return 1
        fi
        left=$((left - 1))
        sleep 0.1
    done
}

# Waits until a child of this shell ends, and fails as it did; after so many seconds it is killed. There is no
# watchdog beside it: a subshell that is stopped while it comes to life complains on the stderr of its parent.
wait_or_kill() {
    local pid=$1 left=$(($2 * 10))
    while jobs -rp | grep -qx "$pid"; do
        if [ "$left" -eq 0 ]; then kill -KILL "$pid" 2>/dev/null || true; fi
        left=$((left - 1))
        sleep 0.1
    done
    wait "$pid"
}

# --- ports -------------------------------------------------------------------------------------

# Prints the inode of every socket that listens on a TCP port. Read from /proc: no tool needed.
listeners() {
    awk -v port="$(printf ':%04X' "$1")" \
        '$4 == "0A" && substr($2, length($2) - 4) == port { print $10 }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null || true
}

# Are so many ports from this one on free?
ports_free() {
    local port
    for ((port = $1; port < $1 + $2; port++)); do
        [ -z "$(listeners "$port")" ] || return 1
    done
}

# Is it this process that listens there, and not somebody else's? Where we may not look (a container
# without CAP_SYS_PTRACE hides other users' processes even from root), it is taken to be.
listens_itself() {
    local pid=$1 port=$2 inode
    readlink "/proc/$pid/fd/0" >/dev/null 2>&1 || return 0
    for inode in $(listeners "$port"); do
        [ -z "$(find "/proc/$pid/fd" -lname "socket:\\[$inode\\]" -print -quit 2>/dev/null)" ] || return 0
    done
    return 1
}

# First of a row of free ports, from one on.
free_port() {
    local port
    for ((port = $1; port < $1 + 100; port += $2)); do
        if ports_free "$port" "$2"; then
            echo "$port"
            return
        fi
    done
    die "no free port between $1 and $port; stop what holds them (ss -ltnp)"
}

native_in_use() { [ -s "$STATE_DIR/$1/port" ]; }

# The port a service has, or would get: the one it had before, unless somebody else took it.
native_port() {
    local name=$1 port='' first count ports="${1}_ports"
    read -r first count <<<"${!ports}"
    { read -r port <"$STATE_DIR/$name/port"; } 2>/dev/null || true
    if [[ $port =~ ^[0-9]+$ ]]; then
        if native_pid "$name" >/dev/null || ports_free "$port" "$count"; then
            echo "$port"
            return
        fi
    fi
    free_port "$((first + ${SECKILL_SERVICES_PORTS_SHIFTED:-0}))" "$count"
}

# Writes down the port that a service will get, for those that are started beside it and must know.
native_reserve() {
    local dir="$STATE_DIR/$1"
    mkdir -p "$dir"
    if ! native_in_use "$1"; then native_port "$1" >"$dir/port"; fi
}

# The port that was written down for a service. Not `native_port`: one that is just starting holds it, and is not known
# to be ours yet.
reserved_port() { cat "$STATE_DIR/$1/port"; }

# --- packages ----------------------------------------------------------------------------------

# Installs what the services lack, in one go.
install_missing() {
    local name package
    local -a missing=()
    for name in "$@"; do
        for package in $("${name}_packages"); do missing+=("$package"); done
    done
    if tls_wanted; then for package in $(tls_packages); do missing+=("$package"); done; fi
    # 9 is the lock of the state folder: what apt starts must not keep it.
    [ ${#missing[@]} -eq 0 ] || apt_install "$STATE_DIR/apt.log" "${missing[@]}" 9>&-
}

# --- up and down -------------------------------------------------------------------------------

# Starts COMMAND so that it outlives us, with nothing of ours but its log.
launch() {
    local name=$1 dir="$STATE_DIR/$1" hard fd
    if [ -f "$dir/log" ] && [ "$(stat -c %s "$dir/log")" -gt 10000000 ]; then mv "$dir/log" "$dir/log.old"; fi
    printf -- '--- %s: %s\n' "$(date -u +%FT%TZ)" "${COMMAND[*]}" >>"$dir/log"
    (
        cd "$dir" || exit
        # Our lock, and what our caller left open (pipes, locks), must not live as long as the server.
        for fd in "/proc/$BASHPID/fd/"*; do
            fd=${fd##*/}
            # 255 is bash's own, and closes by itself.
            if [ "$fd" -gt 2 ] && [ "$fd" -ne 255 ]; then eval "exec $fd>&-"; fi
        done
        # Kafka and MariaDB hold many files; but some systems' "unlimited" makes servers scan a billion.
        hard=$(ulimit -Hn)
        if [ "$hard" = unlimited ] || [ "$hard" -gt 65536 ]; then hard=65536; fi
        ulimit -n "$hard"
        exec setsid nohup "${COMMAND[@]}" </dev/null >>log 2>&1
    ) &
    # Fails if it has ended already, which the wait for its answer will see.
    record_process "$name" "$!" || true
}

# Does the recorded process answer on its port?
native_answers() {
    local pid
    pid=$(native_pid "$1") && listens_itself "$pid" "$2" && "${1}_ready" "$2"
}

# Waits until a service answers: 0 yes, 1 time is up, 2 its process ended.
wait_for_answer() {
    local name=$1 port=$2 end=$((SECONDS + ${SECKILL_SERVICES_TIMEOUT:-60}))
    until native_answers "$name" "$port"; do
        native_pid "$name" >/dev/null || return 2
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}

# The end of what the last start said.
show_log() {
    printf '%s\n' "--- end of $STATE_DIR/$1/log" >&2
    tail -n 20 "$STATE_DIR/$1/log" >&2
    printf '%s\n' '---' >&2
}

native_up() {
    local name=$1 dir="$STATE_DIR/$1" pid port before='' attempts_left result
    if ! native_pid "$name" >/dev/null; then adopt_unrecorded "$name"; fi
    if pid=$(native_pid "$name"); then
        port=$(native_port "$name")
        if native_answers "$name" "$port"; then
            say "$name: runs already, on 127.0.0.1:$port"
            return
        fi
        say "$name: runs already (process $pid), but does not answer yet; waiting"
        result=0
        wait_for_answer "$name" "$port" || result=$?
        [ "$result" -ne 0 ] || return 0
        if [ "$result" -eq 1 ]; then
            show_log "$name"
            die "$name: does not answer; try: scripts/services restart $name"
        fi
        # It was ending: then it can be started.
    fi

    mkdir -p "$dir"
    if [ -e "$dir/pid" ]; then
        say "$name: $(last_process "$name") is gone; starting anew"
        rm -f "$dir/pid"
    fi
    # Somebody may take the port between our look and the server's: then another one, once or twice.
    for attempts_left in 2 1 0; do
        { read -r before <"$dir/port"; } 2>/dev/null || true
        port=$(native_port "$name")
        if [ -n "$before" ] && [ "$before" != "$port" ]; then
            warn "$name: port $before is taken by somebody else; now on $port (run the eval of 'env' again)"
        fi
        "${name}_prepare" "$port"
        "${name}_command" "$port"
        echo "$port" >"$dir/port"
        launch "$name"
        result=0
        wait_for_answer "$name" "$port" || result=$?
        if [ "$result" -eq 0 ]; then
            say "$name: up, on 127.0.0.1:$port"
            return
        fi
        # Ended, and its port is not free: that was it.
        if [ "$attempts_left" -eq 0 ] || [ "$result" -ne 2 ] || [ "$(native_port "$name")" = "$port" ]; then
            break
        fi
    done
    show_log "$name"
    if [ "$result" -eq 2 ]; then
        die "$name: ended at its start, for the reason above; if its data is broken: scripts/services wipe $name"
    fi
    die "$name: does not answer after ${SECKILL_SERVICES_TIMEOUT:-60} s, see above;" \
        "to give it longer: SECKILL_SERVICES_TIMEOUT=300"
}

native_down() {
    local name=$1 pid start
    if ! native_pid "$name" >/dev/null; then adopt_unrecorded "$name"; fi
    if pid=$(native_pid "$name"); then
        read -r pid start <"$STATE_DIR/$name/pid"
        if stop_process "$pid" "$start" 30; then
            say "$name: stopped"
        else
            warn "$name: did not stop in 30 s; killed process $pid"
        fi
    elif [ -e "$STATE_DIR/$name/pid" ]; then
        say "$name: not running; $(last_process "$name") is gone"
    else
        say "$name: not running"
    fi
    rm -f "$STATE_DIR/$name/pid"
}

# Removes what a stopped service left. Kafka's jars stay, unless everything is to go.
native_wipe() {
    local name=$1 everything=$2 dir="$STATE_DIR/$1" entry
    [ -d "$dir" ] || return 0
    # Renamed first: whoever stops us half way leaves no half of a data directory that looks whole.
    if [ -e "$dir/data" ]; then mv "$dir/data" "$dir/data.gone.$$"; fi
    for entry in "$dir"/* "$dir"/.[!.]*; do
        if [ "$everything" = no ] && [ "$entry" = "$dir/libs" ]; then continue; fi
        rm -rf -- "$entry"
    done
    rmdir "$dir" 2>/dev/null || true
    say "$name: data removed"
}

# One word or two on a native service, for the table.
native_state() {
    local name=$1 port
    if native_pid "$name" >/dev/null; then
        port=$(native_port "$name")
        if native_answers "$name" "$port"; then echo answers; else echo 'no answer'; fi
    elif [ -e "$STATE_DIR/$name/pid" ]; then
        echo died
    elif [ -d "$STATE_DIR/$name/data" ]; then
        echo stopped
    else
        echo 'never started'
    fi
}
