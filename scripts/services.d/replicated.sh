# shellcheck shell=bash
# What scripts/chaos has beside the three, started only by name: three Kafka brokers of one cluster (kafka1 to kafka3), a
# Redis with two replicas (redis1 to redis3), the Sentinels that make another one the primary (sentinel1 to
# sentinel3), and the one address that leads to whichever it is (door: HAProxy, as deploy/haproxy has it).
# shellcheck disable=SC2034 # _ports and _program are read by process.sh

REPLICATED=()
# A hundred apart, because the first free ones from there on are taken.
for number in 1 2 3; do
    REPLICATED+=("kafka$number" "redis$number" "sentinel$number")
    declare "kafka${number}_ports=29$((number + 1))00 2" "kafka${number}_program=java kafka.Kafka"
    declare "redis${number}_ports=27${number}00 1" "redis${number}_program=redis-server redis-server"
    declare "sentinel${number}_ports=27$((number + 3))00 1" "sentinel${number}_program=redis-sentinel redis-sentinel"
    for kind in kafka redis sentinel; do
        eval "$kind${number}_packages() { ${kind/sentinel/redis}_packages; }"
        for part in prepare command ready; do
            eval "$kind${number}_$part() { one_${kind}_$part $number \"\$@\"; }"
        done
    done
done
unset number kind part
REPLICATED+=(door)
readonly REPLICATED

# --- a broker of three ---------------------------------------------------------------------------

one_kafka_prepare() {
    local number=$1 port=$2 dir="$STATE_DIR/kafka$1" voters='' other listener
    kafka_jars_there || kafka_fetch_jars
    ln -sfn ../kafka/libs "$dir/libs"
    cp "$HERE/kafka/log4j2.xml" "$dir/log4j2.xml"
    for other in 1 2 3; do voters+="${voters:+,}$other@127.0.0.1:$(($(reserved_port "kafka$other") + 1))"; done
    listener="BROKER://127.0.0.1:$port"
    kafka_properties "$number" "$voters" "$listener,CONTROLLER://127.0.0.1:$((port + 1))" "$listener" \
        BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT 3 >"$dir/server.properties"
    # One cluster, whose nodes find each other by their ports.
    kafka_format "$dir" c2Vja2lsbC1yZXBsaWNhQQ
}

one_kafka_command() { kafka_runs -Xms128m -Xmx320m; }

one_kafka_ready() { kafka_node_ready "$1" "127.0.0.1:$2"; }

# --- a Redis of three, and its Sentinel ----------------------------------------------------------

# Sentinel writes to both files what it has found and decided: they are made once.
one_redis_prepare() {
    local number=$1 port=$2 dir="$STATE_DIR/redis$1"
    mkdir -p "$dir/data"
    ln -sfn "$(command -v redis-server || command -v redis-check-rdb)" "$dir/redis-server"
    [ ! -e "$dir/redis.conf" ] || return 0
    {
        printf '%s\n' 'bind 127.0.0.1' "port $port" 'dir data'
        redis_replicated_settings
        if [ "$number" -ne 1 ]; then echo "replicaof 127.0.0.1 $(reserved_port redis1)"; fi
    } >"$dir/redis.conf"
}

one_redis_command() { redis_command; }

one_redis_ready() { redis_ready "$2"; }

one_sentinel_prepare() {
    local port=$2 dir="$STATE_DIR/sentinel$1"
    ln -sfn "$(command -v redis-server || command -v redis-check-rdb)" "$dir/redis-sentinel"
    [ ! -e "$dir/sentinel.conf" ] || return 0
    {
        printf '%s\n' 'bind 127.0.0.1' "port $port"
        sentinel_settings 127.0.0.1 "$(reserved_port redis1)"
    } >"$dir/sentinel.conf"
}

# sentinel_settings HOST PORT: what a Sentinel is told of the primary there.
sentinel_settings() {
    printf '%s\n' "sentinel monitor seckill $1 $2 2" 'sentinel down-after-milliseconds seckill 2000' \
        'sentinel failover-timeout seckill 10000'
}

one_sentinel_command() { COMMAND=(./redis-sentinel sentinel.conf --sentinel); }

# Once it has found the others: it can do nothing alone.
one_sentinel_ready() { [[ $(timeout 5 redis-cli -p "$2" SENTINEL CKQUORUM seckill 2>/dev/null) == OK* ]]; }

# --- the one address of Redis --------------------------------------------------------------------

door_ports='27700 1'
door_program='haproxy haproxy'
door_packages() { have haproxy || echo haproxy; }

door_prepare() {
    local number
    cp "$ROOT/deploy/haproxy/haproxy.cfg" "$STATE_DIR/door/haproxy.cfg"
    sed -i "s/ bind :6379/ bind 127.0.0.1:$1/" "$STATE_DIR/door/haproxy.cfg"
    for number in 1 2 3; do
        sed -i "s/ redis-$number:6379/ 127.0.0.1:$(reserved_port "redis$number")/" "$STATE_DIR/door/haproxy.cfg"
    done
}

door_command() { COMMAND=(haproxy -db -f haproxy.cfg); }

# It leads to a primary that a replica follows.
door_ready() { redis_ready "$1"; }
