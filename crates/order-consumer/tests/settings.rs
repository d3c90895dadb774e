//! The binary's settings: each a flag and a variable; a bad one is refused in one line; no secret is repeated.

use seckill_core::testing::{BAD_TRACE_SETTINGS, Binary, SHARED_SETTINGS, TRACE_SETTINGS, assert_settings};

const BINARY: Binary = Binary(env!("CARGO_BIN_EXE_order-consumer"));

#[test]
fn every_setting_is_a_flag_and_a_variable_with_its_default() {
    let own = [("--writers", "SECKILL_WRITERS", "2]"), ("--listen", "SECKILL_LISTEN", "0.0.0.0:3001]")];
    assert_settings(&BINARY.help(), &[&SHARED_SETTINGS[..], &TRACE_SETTINGS, &own].concat());
}

#[test]
fn p6_a_bad_value_is_one_line_that_names_its_variable_and_exit_code_64() {
    for (variable, value) in [
        ("DATABASE_URL", "mysql://u:hunter2@host:99999/x"),
        ("REDIS_URL", "redis://:hunter2@host:99999/1"),
        ("KAFKA_BROKERS", "hunter2"),
        ("SECKILL_DEAD_LETTER_TOPIC", "seckill.orders"),
        ("SECKILL_LISTEN", "localhost"),
        ("SECKILL_WRITERS", "0"),
    ] {
        // Whatever else happens there, it must not take a port that somebody uses.
        let arguments: &[&str] =
            if variable == "SECKILL_LISTEN" { &[] } else { &["--listen", "127.0.0.1:0"] };
        BINARY.assert_refused(arguments, variable, value);
    }
}

#[test]
fn p6_a_variable_that_is_set_and_empty_counts_as_not_set() {
    // What is wrong is the flag alone: everything else was read, and found good.
    let refusal = "order-consumer: REDIS_URL: must begin with redis:// or rediss://\n";
    BINARY.assert_empty_is_not_set(&["--redis-url", "hunter2"], refusal);
}

#[test]
fn p6_what_may_be_a_secret_in_the_wrong_place_is_not_repeated() {
    BINARY.assert_nothing_is_repeated();
}

#[test]
fn p6_traces_have_settings_like_the_others() {
    for (variable, value) in BAD_TRACE_SETTINGS {
        BINARY.assert_refused(&["--listen", "127.0.0.1:0"], variable, value);
    }
}
