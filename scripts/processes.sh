# shellcheck shell=bash
# One order-consumer and seckill-api processes of our own, for scripts that test against running ones.
# Source it after lib.sh and services.d/{process,probe}.sh, in a shell that has the services' environment.
#
#   RUN=FOLDER        where their logs go
#   use_binaries      sets BIN
#   start NAME        runs consumer… or api… on a free port of loopback; sets PORT[NAME]
#   wait_for NAME PATH   until GET PATH is answered 200
#   stop_all          asks all that were started to stop, and waits

declare -A PORT=() PROCESS=()
NEXT_PORT=14000

# Sets BIN to the folder of the binaries that were built last: what is tested is the code as it is.
use_binaries() {
    local folder newest=''
    for folder in target/release target/debug; do
        [ -x "$folder/seckill-api" ] && [ -x "$folder/order-consumer" ] && [ -x "$folder/stock-admin" ] || continue
        if [ -z "$newest" ] || [ "$folder/seckill-api" -nt "$newest/seckill-api" ]; then newest=$folder; fi
    done
    [ -n "$newest" ] || die "no binaries in target/release or target/debug; run: cargo build --workspace --locked"
    BIN=$newest
}

# Starts process $1; what follows are settings NAME=VALUE beside those in the environment.
start() {
    local name=$1 binary=seckill-api
    shift
    if [[ $name == consumer* ]]; then binary=order-consumer; fi
    PORT[$name]=$(free_port "$NEXT_PORT" 1)
    NEXT_PORT=$((PORT[$name] + 1))
    # A session of its own: Ctrl-C is for us, and we stop the processes in order.
    env SECKILL_PROFILE=dev "SECKILL_LISTEN=127.0.0.1:${PORT[$name]}" "$@" \
        setsid "$BIN/$binary" >"$RUN/$name.log" 2>&1 </dev/null &
    PROCESS[$name]=$!
}

# Waits until GET $2 of process $1 is answered 200.
wait_for() {
    local name=$1 path=$2 end=$((SECONDS + 60))
    until [ "$(status_of "${PORT[$name]}" "$path")" = 200 ]; do
        if ! kill -0 "${PROCESS[$name]}" 2>/dev/null || [ "$SECONDS" -ge "$end" ]; then
            tail -n 20 "$RUN/$name.log" >&2
            die "$name does not answer GET $path with 200; its last words are above, all of them in $RUN/$name.log"
        fi
        sleep 0.1
    done
}

# Asks everything that was started to stop, and waits until it has; one that takes too long is killed.
stop_all() {
    local name pid status
    for pid in "${PROCESS[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
    for name in "${!PROCESS[@]}"; do
        status=0
        wait_or_kill "${PROCESS[$name]}" 30 || status=$?
        if [ "$status" -ne 0 ]; then warn "$name ended with $status when asked to stop; see $RUN/$name.log"; fi
    done
    PROCESS=()
}
