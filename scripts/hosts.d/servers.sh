# shellcheck shell=bash
# What runs on the hosts. Every process is recorded when it is started, and only those are ever stopped.
# shellcheck disable=SC2034 # COMMAND is set by services.d

declare -A PROCESS=()

# --- starting, waiting, stopping -----------------------------------------------------------------

# run HOST NAME COMMAND…: runs it there, from its own folder, under this name.
run() {
    local host=$1 name=$2
    shift 2
    mkdir -p "$RUN/$name"
    (
        cd "$RUN/$name" || exit
        exec setsid nsenter "--net=/run/netns/sk$$-$host" "$@" >>"$RUN/$name.log" 2>&1 </dev/null
    ) &
    PROCESS[$name]=$!
}

# wait_until SECONDS WHAT COMMAND…: until it succeeds.
wait_until() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || die "not within the time it may take: $what (logs: $RUN)"
        sleep 0.3
    done
}

# Asks a process to stop and waits for it; one that takes more than 40 s is killed.
stop() {
    local pid=${PROCESS[$1]:-} end=$((SECONDS + 40))
    [ -n "$pid" ] || return 0
    unset "PROCESS[$1]"
    kill -TERM "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null && [ "$SECONDS" -lt "$end" ]; do sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

# At the end nothing is to be kept: no need to ask.
stop_everything() {
    local pid
    for pid in "${PROCESS[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
}

# --- what is needed ------------------------------------------------------------------------------

get_programs() {
    local -a packages=()
    mapfile -t packages < <(redis_packages; mariadb_packages; kafka_packages
        have nginx || echo nginx-light
        have haproxy || echo haproxy
        have curl || echo curl
        have python3 || echo python3-minimal)
    if [ ${#packages[@]} -gt 0 ]; then apt_install "$RUN/apt.log" "${packages[@]}"; fi
    mkdir -p "$STATE_DIR/kafka"
    kafka_jars_there || kafka_fetch_jars
    if [ ! -x "$BIN/seckill-api" ] && [ "$BIN" = "$ROOT/target/release" ]; then
        say "building the release binaries"
        scripts/toolchain
        cargo build --release --workspace --locked
    fi
    [ -x "$BIN/seckill-api" ] || die "no programs in $BIN"
}

# --- the servers ---------------------------------------------------------------------------------

start_servers() {
    local number
    say "starting three Kafka brokers, three Redis with Sentinel, MariaDB, nginx and HAProxy, each on its host"
    CLUSTER=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=' | sed 's/^-/A/')
    for number in 1 2 3; do start_kafka "$number"; done
    for number in 1 2 3; do start_redis "$number"; done
    start_mysql
    wait_until 60 'Redis has two replicas' all_replicas_follow
    for number in 1 2 3; do start_sentinel "$number"; done
    start_redis_door
    wait_until 90 'three brokers' brokers_are_there
    wait_until 60 'MariaDB answers' mysql_answers
    wait_until 30 'HAProxy leads to the primary' redis_door_is_open
    admin migrate >>"$RUN/setup.log"
    admin topics create >>"$RUN/setup.log"
    for number in 1 2 3; do start_consumer "$number"; done
    for number in 1 2 3; do start_api "$number"; done
    start_nginx
    wait_until 60 'three consumers' consumers_ready 1 2 3
    wait_until 60 'three APIs' apis_ready
    admin doctor >"$RUN/doctor.log" || { cat "$RUN/doctor.log" >&2; die "doctor finds a fault"; }
}

start_kafka() {
    local number=$1 dir="$RUN/kafka$1" voters='' other listener
    mkdir -p "$dir"
    ln -sfn "$STATE_DIR/kafka/libs" "$dir/libs"
    cp scripts/kafka/log4j2.xml "$dir/"
    for other in 1 2 3; do voters+="${voters:+,}$other@$(address "kafka$other"):9093"; done
    listener="BROKER://$(address "kafka$number"):9092"
    kafka_properties "$number" "$voters" "$listener,CONTROLLER://$(address "kafka$number"):9093" "$listener" \
        BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT 3 >"$dir/server.properties"
    kafka_format "$dir" "$CLUSTER"
    kafka_runs -Xms192m -Xmx384m
    run "kafka$number" "kafka$number" "${COMMAND[@]}"
}

start_redis() {
    local number=$1 dir="$RUN/redis$1"
    mkdir -p "$dir"
    ln -sfn "$(command -v redis-server || command -v redis-check-rdb)" "$dir/redis-server"
    {
        printf '%s\n' "bind $(address "redis$number") 127.0.0.1" 'port 6379' 'protected-mode no'
        redis_replicated_settings
        if [ "$number" -ne 1 ]; then echo "replicaof $(address redis1) 6379"; fi
    } >"$dir/redis.conf"
    run "redis$number" "redis$number" ./redis-server redis.conf
}

start_sentinel() {
    local number=$1 dir="$RUN/sentinel$1"
    mkdir -p "$dir"
    ln -sfn "$(command -v redis-server || command -v redis-check-rdb)" "$dir/redis-sentinel"
    {
        printf '%s\n' "bind $(address "redis$number") 127.0.0.1" 'port 26379' 'protected-mode no'
        sentinel_settings "$(address redis1)" 6379
    } >"$dir/sentinel.conf"
    run "redis$number" "sentinel$number" ./redis-sentinel sentinel.conf --sentinel
}

# The one address of Redis. It leads to the server that says it is the primary and has a replica that follows: so
# never to one that was cut off and is back and does not know yet that it was replaced.
start_redis_door() {
    local dir="$RUN/haproxy" number
    mkdir -p "$dir"
    cp deploy/haproxy/haproxy.cfg "$dir/haproxy.cfg"
    for number in 1 2 3; do sed -i "s/ redis-$number:6379/ $(address "redis$number"):6379/" "$dir/haproxy.cfg"; done
    run front haproxy haproxy -db -f haproxy.cfg
}

start_mysql() {
    local STATE_DIR=$RUN
    mkdir -p "$RUN/mariadb"
    chmod 755 "$RUN" "$RUN/mariadb"
    mariadb_prepare
    mariadb_command 3306
    COMMAND=("${COMMAND[@]/--bind-address=127.0.0.1/--bind-address=$(address mysql)}")
    run mysql mysql "${COMMAND[@]}"
}

start_nginx() {
    local servers='' number
    mkdir -p "$RUN/nginx/tmp"
    for number in 1 2 3; do
        servers+="        server $(address "api$number"):3000 max_fails=1 fail_timeout=1s;\\n"
    done
    # Docker's names are Docker's to know.
    sed "s|^ *server api:3000.*|$servers|; /resolver/d; s|/tmp/|tmp/|" deploy/nginx/nginx.conf >"$RUN/nginx/nginx.conf"
    run front nginx nginx -p "$RUN/nginx/" -e stderr -c "$RUN/nginx/nginx.conf" -g 'daemon off;'
}

# --- the programs --------------------------------------------------------------------------------

# Sets PLACES: the variables that lead to all of it.
places() {
    PLACES=(
        "DATABASE_URL=mysql://seckill:seckill@$(address mysql):3306/seckill"
        "REDIS_URL=redis://$(address front):6379/1"
        "KAFKA_BROKERS=$(address kafka1):9092,$(address kafka2):9092,$(address kafka3):9092"
        SECKILL_REPLICATION_FACTOR=3 SECKILL_ORDER_ID_SECRET=several-hosts SECKILL_WORKERS=1 RUST_LOG=info
    )
}

start_consumer() {
    places
    run "consumer$1" "consumer$1" env "${PLACES[@]}" "SECKILL_LISTEN=$(address "consumer$1"):3001" "$BIN/order-consumer"
}

start_api() {
    places
    run "api$1" "api$1" env "${PLACES[@]}" "SECKILL_LISTEN=$(address "api$1"):3000" "$BIN/seckill-api"
}

admin() {
    places
    on buyers env "${PLACES[@]}" "$BIN/stock-admin" "$@"
}

# buy STORY ARGUMENT…: seckill-bench, on the buyers' host, in the background.
buy() {
    local story=$1
    shift
    places
    (
        exec nsenter "--net=/run/netns/sk$$-buyers" env "${PLACES[@]}" "$BIN/seckill-bench" "$@" \
            >"$RUN/$story.json" 2>"$RUN/$story.err" </dev/null
    ) &
    PROCESS[bench]=$!
}

# --- looking -------------------------------------------------------------------------------------

get() { on buyers curl --silent --fail --max-time 2 "$1"; }

mysql_answers() {
    on mysql env MYSQL_PWD=seckill mariadb --no-defaults --protocol=tcp "--host=$(address mysql)" --user=seckill \
        --execute='SELECT 1' seckill
}

brokers_are_there() {
    [ "$(on buyers timeout 5 kcat -b "$(address kafka1):9092" -L -m 2 | grep -c ' broker [123] at ')" -eq 3 ]
}

redis_door_is_open() { [ "$(on buyers timeout 2 redis-cli -h "$(address front)" PING)" = PONG ]; }

replication_of() { on "$1" timeout 2 redis-cli -h 127.0.0.1 INFO replication | tr -d '\r'; }

# The host of the one server that two replicas follow; fails if there is none.
primary() {
    local host
    for host in redis1 redis2 redis3; do
        if replication_of "$host" | grep -q '^min_slaves_good_slaves:[12]'; then
            echo "$host"
            return
        fi
    done
    return 1
}

all_replicas_follow() {
    local host
    host=$(primary) && replication_of "$host" | grep -q '^min_slaves_good_slaves:2'
}

consumers_ready() {
    local number
    for number in "$@"; do get "http://$(address "consumer$number"):3001/readyz" || return 1; done
}

apis_ready() {
    local number
    for number in 1 2 3; do get "http://$(address "api$number"):3000/readyz" || return 1; done
}

sale_is_everywhere() {
    local number
    for number in 1 2 3; do get "http://$(address "api$number"):3000/v1/sales/$1" || return 1; done
}

# The host of the consumer that is the keeper.
keeper() {
    local number
    for number in 1 2 3; do
        if get "http://$(address "consumer$number"):3001/metrics" | grep -q '^seckill_keeper 1'; then
            echo "consumer$number"
            return
        fi
    done
    die "no consumer is the keeper"
}

# How many events each of these consumers has written.
written_by() {
    local number
    for number in "$@"; do
        get "http://$(address "consumer$number"):3001/metrics" |
            awk -v host="$number" '/^seckill_consumer_events_total/ { sum += $2 } END { printf "%s: %d  ", host, sum }'
    done
}
