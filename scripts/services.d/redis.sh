# shellcheck shell=bash
# Redis 7, as the ledger needs it: every write on disk before the answer, nothing ever evicted.
# shellcheck disable=SC2034 # _ports and _program are read by process.sh

redis_ports='26379 1'
# The second speaks TLS.
if tls_wanted; then redis_ports='26379 2'; fi
redis_program='redis-server redis-server'

# Debian's redis-server package is a system service and a link to redis-check-rdb, which is the same
# program (it goes by the name it is called). redis-tools alone has it, and starts nothing.
redis_packages() {
    if ! have redis-cli || ! have redis-server && ! have redis-check-rdb; then echo redis-tools; fi
}

redis_prepare() {
    local dir="$STATE_DIR/redis" version
    mkdir -p "$dir/data"
    ln -sfn "$(command -v redis-server || command -v redis-check-rdb)" "$dir/redis-server"
    version=$("$dir/redis-server" --version | sed -nE 's/.* v=([0-9]+).*/\1/p')
    [ "${version:-0}" -ge 7 ] || die "redis: version 7 or newer is needed, this one is ${version:-unknown}"
    {
        printf '%s\n' '# Written by scripts/services at every start.' 'bind 127.0.0.1' "port $1" 'dir data'
        redis_settings
    } >"$dir/redis.conf"
    tls_wanted || return 0
    # Relative to its data, where it has gone by then.
    cat >>"$dir/redis.conf" <<EOF
tls-port $(($1 + 1))
tls-cert-file ../../tls/server.pem
tls-key-file ../../tls/server.key
tls-ca-cert-file ../../tls/ca.pem
tls-auth-clients no
EOF
}

# What the ledger needs of any Redis (docs/operate.md).
redis_settings() {
    printf '%s\n' 'daemonize no' 'appendonly yes' 'appendfsync always' 'save ""' 'maxmemory-policy noeviction' \
        'auto-aof-rewrite-min-size 512mb'
}

# The same, of one that has replicas: without one that follows closely it decides nothing.
redis_replicated_settings() {
    redis_settings
    printf '%s\n' 'min-replicas-to-write 1' 'min-replicas-max-lag 2' 'repl-diskless-sync-delay 0'
}

redis_command() { COMMAND=(./redis-server redis.conf); }

redis_ready() { [ "$(timeout 5 redis-cli -h 127.0.0.1 -p "$1" PING 2>/dev/null)" = PONG ]; }
