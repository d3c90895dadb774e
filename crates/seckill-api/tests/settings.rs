//! The binary's settings: each a flag and a variable; a bad one is refused in one line; no secret is repeated.

use seckill_core::testing::{BAD_TRACE_SETTINGS, Binary, SHARED_SETTINGS, TRACE_SETTINGS, assert_settings};

const BINARY: Binary = Binary(env!("CARGO_BIN_EXE_seckill-api"));

#[test]
fn every_setting_is_a_flag_and_a_variable_with_its_default() {
    let own = [
        ("--listen", "SECKILL_LISTEN", "0.0.0.0:3000]"),
        ("--admin-token", "SECKILL_ADMIN_TOKEN", ""),
        ("--admin-token-file", "SECKILL_ADMIN_TOKEN_FILE", ""),
        ("--order-id-secret", "SECKILL_ORDER_ID_SECRET", ""),
        ("--order-id-secret-file", "SECKILL_ORDER_ID_SECRET_FILE", ""),
        ("--default-sale", "SECKILL_DEFAULT_SALE", "default]"),
        ("--workers", "SECKILL_WORKERS", ""),
        ("--max-connections", "SECKILL_MAX_CONNECTIONS", "10000]"),
        ("--queue-capacity", "SECKILL_QUEUE_CAPACITY", "8192]"),
        ("--max-event-streams", "SECKILL_MAX_EVENT_STREAMS", "4096]"),
        ("--lame-duck-seconds", "SECKILL_LAME_DUCK_SECONDS", "1]"),
        ("--rate-limit-buyer", "SECKILL_RATE_LIMIT_BUYER", ""),
        ("--rate-limit-address", "SECKILL_RATE_LIMIT_ADDRESS", ""),
        ("--trusted-proxies", "SECKILL_TRUSTED_PROXIES", ""),
        ("--buyer-jwt-secret", "SECKILL_BUYER_JWT_SECRET", ""),
        ("--buyer-jwt-secret-file", "SECKILL_BUYER_JWT_SECRET_FILE", ""),
        ("--buyer-jwt-jwks", "SECKILL_BUYER_JWT_JWKS", ""),
        ("--buyer-jwt-issuer", "SECKILL_BUYER_JWT_ISSUER", ""),
        ("--buyer-jwt-audience", "SECKILL_BUYER_JWT_AUDIENCE", ""),
    ];
    assert_settings(&BINARY.help(), &[&SHARED_SETTINGS[..], &TRACE_SETTINGS, &own].concat());
}

#[test]
fn p6_a_bad_value_is_one_line_that_names_its_variable_and_exit_code_64() {
    for (variable, value) in [
        ("DATABASE_URL", "hunter2"),
        ("DATABASE_URL", "mysql://u:hunter2@host:99999/x"),
        ("REDIS_URL", "redis://:hunter2@host:99999/1"),
        ("REDIS_URL", "redis://:hunter2@host/one"),
        ("KAFKA_BROKERS", "hunter2"),
        ("SECKILL_ORDERS_TOPIC", "no topic"),
        ("SECKILL_DEAD_LETTER_TOPIC", "seckill.orders"),
        ("SECKILL_LISTEN", "3000"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("SECKILL_DEFAULT_SALE", "{x}"),
        ("SECKILL_PROFILE", "test"),
        ("SECKILL_LOG_FORMAT", "xml"),
        ("RUST_LOG", "a=b=c"),
        ("SECKILL_WORKERS", "0"),
        ("SECKILL_MAX_CONNECTIONS", "many"),
        ("SECKILL_QUEUE_CAPACITY", "-1"),
        ("SECKILL_MAX_EVENT_STREAMS", "1.5"),
        ("SECKILL_LAME_DUCK_SECONDS", "11"),
        ("SECKILL_RATE_LIMIT_BUYER", "fast"),
        ("SECKILL_RATE_LIMIT_ADDRESS", "0/s"),
        ("SECKILL_TRUSTED_PROXIES", "localhost"),
        ("SECKILL_BUYER_JWT_SECRET", "hunter2"),
        ("SECKILL_BUYER_JWT_JWKS", "/no/such/file"),
        ("SECKILL_ORDER_ID_SECRET_FILE", "/no/such/file"),
        ("SECKILL_ADMIN_TOKEN_FILE", "/no/such/file"),
    ] {
        let secret: &[&str] =
            if variable.starts_with("SECKILL_ORDER_ID") { &[] } else { &["--order-id-secret", "s"] };
        BINARY.assert_refused(secret, variable, value);
    }
}

#[test]
fn p6_a_variable_that_is_set_and_empty_counts_as_not_set() {
    // What is wrong is the flag alone: everything else was read, and found good.
    let arguments = ["--redis-url", "hunter2", "--order-id-secret", "s"];
    let refusal = "seckill-api: REDIS_URL: must begin with redis:// or rediss://\n";
    BINARY.assert_empty_is_not_set(&arguments, refusal);
}

#[test]
fn p6_what_may_be_a_secret_in_the_wrong_place_is_not_repeated() {
    BINARY.assert_nothing_is_repeated();
}

#[test]
fn p6_traces_have_settings_like_the_others() {
    for (variable, value) in BAD_TRACE_SETTINGS {
        BINARY.assert_refused(&["--order-id-secret", "s"], variable, value);
    }
}
