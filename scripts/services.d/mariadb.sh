# shellcheck shell=bash
# MariaDB in MySQL's place (the SQL keeps to what both know), with durable commits.
# shellcheck disable=SC2034 # _ports and _program are read by process.sh

mariadb_ports='23306 1'
mariadb_program='mariadbd mariadbd'

# Not mariadb-server: that is these two and a system service, which nobody asked for.
mariadb_packages() {
    if ! have mariadbd || ! have mariadb-install-db; then echo mariadb-server-core; fi
    if ! have mariadb; then echo mariadb-client-core; fi
}

# As whom it runs: never as root if there is a choice, but a checkout below a private folder (/root)
# leaves none: user mysql cannot reach it.
mariadb_user() {
    if [ "$(id -u)" -ne 0 ]; then
        id -un
    elif id mysql >/dev/null 2>&1 && runuser -u mysql -- test -x "$STATE_DIR/mariadb" 2>/dev/null; then
        echo mysql
    else
        echo root
    fi
}

mariadb_prepare() {
    local dir="$STATE_DIR/mariadb" user new
    user=$(mariadb_user)
    rm -rf -- "$dir"/data.new.* "$dir"/data.gone.*
    if [ ! -d "$dir/data" ]; then
        new="$dir/data.new.$$"
        mkdir "$new"
        chown "$user" "$new"
        # -u and not --user: this the script hands on to the server, where that makes it chown without
        # quotes (a space in the path ends it) and change files of the machine's own MariaDB.
        mariadb-install-db --no-defaults "-u$user" --datadir="$new" --skip-test-db --cross-bootstrap \
            --auth-root-authentication-method=normal >"$dir/install.log" 2>&1 9>&- </dev/null || {
            grep -m 10 -E 'rror|Can.t' "$dir/install.log" >&2 || tail -n 10 "$dir/install.log" >&2
            die "mariadb: could not make its data directory, as above (all of it: $dir/install.log);" \
                "when mended, run this again"
        }
        chown -R "$user" "$new"
        mv "$new" "$dir/data"
    fi
    # The checkout may have moved between /root and elsewhere.
    if [ "$(stat -c %U "$dir/data")" != "$user" ]; then chown -R "$user" "$dir/data"; fi
    # A copy, because user mysql may be unable to reach the checkout.
    install -m 644 "$HERE/services.d/init.sql" "$dir/init.sql"
    if tls_wanted; then echo "ALTER USER 'seckill'@'%' REQUIRE SSL;" >>"$dir/init.sql"; fi
}

mariadb_command() {
    COMMAND=(
        mariadbd --no-defaults
        --datadir="$STATE_DIR/mariadb/data"
        --init-file="$STATE_DIR/mariadb/init.sql"
        # Relative names lie in the data directory, which the server may write to and works in. It is
        # also never too long for a socket, whose whole name has room for 107 bytes.
        --socket=mariadbd.sock --pid-file=mariadbd.pid
        --bind-address=127.0.0.1 --port="$1" --skip-name-resolve
        --max-connections=500
        --innodb-buffer-pool-size=1G
        --innodb-flush-log-at-trx-commit=1
        # Room for some minutes of selling: a small log makes pages be written to disk again and again.
        --innodb-log-file-size=512M
        # As mysql:8.4 has it, where MariaDB would differ.
        --character-set-server=utf8mb4
        --max-allowed-packet=64M
        --default-time-zone=+00:00
        --innodb-flush-neighbors=0
    )
    if tls_wanted; then
        COMMAND+=("--ssl-ca=$STATE_DIR/tls/ca.pem" "--ssl-cert=$STATE_DIR/tls/server.pem"
            "--ssl-key=$STATE_DIR/tls/server.key")
    fi
    if [ "$(id -u)" -eq 0 ]; then COMMAND+=(--user="$(mariadb_user)"); fi
}

mariadb_ready() {
    local -a tls=()
    if tls_wanted; then tls=("--ssl-ca=$STATE_DIR/tls/ca.pem"); fi
    MYSQL_PWD=seckill timeout 5 mariadb --no-defaults --protocol=tcp --host=127.0.0.1 --port="$1" \
        "${tls[@]}" --user=seckill --execute='SELECT 1' seckill >/dev/null 2>&1
}
