# shellcheck shell=bash
# TLS for the native services, where SECKILL_SERVICES_TLS is yes: an authority of our own, and one certificate that all
# three show. It is of the name localhost alone, so that by its address each is a server with a wrong name. Redis and Kafka speak it on ports of their own, MariaDB on its only one, where it then
# refuses whoever does not.

tls_wanted() { [ "${SECKILL_SERVICES_TLS:-no}" = yes ]; }

tls_packages() { if ! have openssl; then echo openssl; fi; }

# Keys without a passphrase, that everybody here may read: they are worth nothing elsewhere.
tls_prepare() {
    local dir="$STATE_DIR/tls" new name
    if openssl x509 -checkend 86400 -noout -in "$dir/server.pem" >/dev/null 2>&1; then return; fi
    new="$STATE_DIR/tls.new.$$"
    rm -rf -- "$dir" "$new"
    mkdir -p "$new"
    # A second one that nobody trusts: what a client says to a stranger.
    for name in ca stranger; do
        openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj "/CN=Seckill test authority ($name)" \
            -keyout "$new/$name.key" -out "$new/$name.pem" 2>>"$new/log"
    done
    openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$new/server.key" -out "$new/server.csr" 2>>"$new/log"
    openssl x509 -req -days 365 -in "$new/server.csr" -CA "$new/ca.pem" -CAkey "$new/ca.key" -CAcreateserial \
        -extfile <(echo 'subjectAltName=DNS:localhost') -out "$new/server.pem" 2>>"$new/log" ||
        die "could not make certificates; see $new/log"
    # Kafka takes key and certificates in one file.
    cat "$new/server.key" "$new/server.pem" "$new/ca.pem" >"$new/kafka.pem"
    chmod 644 "$new"/*
    mv "$new" "$dir"
}
