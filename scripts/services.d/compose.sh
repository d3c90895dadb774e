# shellcheck shell=bash
# The three from docker-compose.yaml, where a Docker engine answers. Nothing is installed for them.

# Their names there, their ports inside, and the variable for their port outside.
declare -rA COMPOSE_SERVICE=([redis]=redis [mariadb]=mysql [kafka]=kafka)
declare -rA COMPOSE_VOLUME=([redis]=redis-data [mariadb]=mysql-data [kafka]=kafka-data)
declare -rA COMPOSE_PORT=([redis]=6379 [mariadb]=3306 [kafka]=9092)
declare -rA COMPOSE_VARIABLE=([redis]=SECKILL_REDIS_PORT [mariadb]=SECKILL_MYSQL_PORT [kafka]=SECKILL_KAFKA_PORT)

compose_available() {
    if [ -z "${COMPOSE_AVAILABLE:-}" ]; then
        COMPOSE_AVAILABLE=no
        if [ -f "$ROOT/docker-compose.yaml" ] && have docker && timeout 10 docker info >/dev/null 2>&1 &&
            docker compose version >/dev/null 2>&1; then
            COMPOSE_AVAILABLE=yes
        elif [ "${SECKILL_SERVICES:-}" = compose ]; then
            die "SECKILL_SERVICES is compose, but no Docker engine with Compose answers (see: docker info)"
        fi
    fi
    [ "$COMPOSE_AVAILABLE" = yes ]
}

compose() { docker compose --file "$ROOT/docker-compose.yaml" "$@"; }

# Prints the port a running container has outside; fails if it does not run.
compose_running_port() {
    local address
    address=$(compose port "${COMPOSE_SERVICE[$1]}" "${COMPOSE_PORT[$1]}" 2>/dev/null) || return 1
    [[ $address =~ :([1-9][0-9]*)$ ]] && echo "${BASH_REMATCH[1]}"
}

# The port a service has outside, or would get: the usual one, unless that is taken. The variable
# that Compose reads may set it as well.
compose_port() {
    local name=$1 variable=${COMPOSE_VARIABLE[$1]}
    if compose_running_port "$name"; then
        return
    elif [ -n "${!variable:-}" ]; then
        echo "${!variable}"
    else
        free_port "${COMPOSE_PORT[$name]}" 1
    fi
}

compose_up() {
    local name port
    local -a services=()
    # All three ports are fixed first: Compose makes a container anew whose settings seem to change.
    for name in "${ALL_SERVICES[@]}"; do
        port=$(compose_port "$name")
        export "${COMPOSE_VARIABLE[$name]}=$port"
    done
    for name in "$@"; do services+=("${COMPOSE_SERVICE[$name]}"); done
    local timeout=$((${SECKILL_SERVICES_TIMEOUT:-60} * 2))
    if ! compose up --detach --wait --wait-timeout "$timeout" "${services[@]}" >&2 </dev/null; then
        compose logs --tail 15 "${services[@]}" >&2 || true
        complain "docker compose up failed, as above; to go without Docker: SECKILL_SERVICES=native"
        return 1
    fi
    for name in "$@"; do say "$name: up, in a container, on 127.0.0.1:$(compose_port "$name")"; done
}

compose_down() {
    local name
    local -a services=()
    for name in "$@"; do services+=("${COMPOSE_SERVICE[$name]}"); done
    compose rm --stop --force "${services[@]}" >&2 </dev/null
}

# By its labels: the volume's own name carries the project's, which may have been changed.
compose_wipe() {
    local volume
    for volume in $(docker volume ls --quiet \
        --filter "label=com.docker.compose.project=${COMPOSE_PROJECT_NAME:-seckill}" \
        --filter "label=com.docker.compose.volume=${COMPOSE_VOLUME[$1]}"); do
        docker volume rm "$volume" >/dev/null
    done
    say "$1: data removed"
}
