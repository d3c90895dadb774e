//! Bad usage: exit code 64 and one line that names what is wrong, before anything is touched.

use crate::support::{program, run};

/// Runs it with bad usage and gives the one line it says.
#[track_caller]
fn complaint(arguments: &[&str], variable: Option<(&str, &str)>) -> String {
    let mut command = program(arguments);
    command.envs(variable);
    let ran = run(&mut command).expect(64);
    assert_eq!(ran.stdout, "", "{arguments:?}");
    let line = ran.complaint().to_owned();
    line.strip_prefix("stock-admin: ").unwrap_or_else(|| panic!("{line}")).to_owned()
}

#[test]
fn a_command_that_is_missing_or_unknown_is_said_in_one_line() {
    for arguments in [&[][..], &["sale"], &["stock"], &["topics"]] {
        assert_eq!(complaint(arguments, None), "a command is missing (see --help)", "{arguments:?}");
    }
    for (arguments, named) in [
        (&["frobnicate"][..], "'frobnicate'"),
        (&["sale", "frobnicate"], "'frobnicate'"),
        (&["--frobnicate", "migrate"], "--frobnicate: there is no such flag"),
        // Not repeated: it may be a secret in the wrong place.
        (&["migrate", "hunter2"], "there is an argument too many"),
        (&["reset", "x"], "--to"),
        (&["sale", "create", "x"], "--stock"),
        (&["stock", "add", "x", "5"], "--reason"),
    ] {
        let line = complaint(arguments, None);
        assert!(line.contains(named), "{arguments:?}: {line}");
    }
}

#[test]
fn a_number_that_is_none_or_out_of_range_is_told_the_range() {
    let stock = "--stock: must be a whole number from 0 to 1000000000";
    for number in ["-5", "x", "", "1.5", "1000000001", "99999999999999999999999"] {
        assert_eq!(complaint(&["sale", "create", "x", "--stock", number], None), stock, "{number}");
    }
    for (arguments, expected) in [
        (
            &["sale", "create", "x", "--stock", "1", "--per-buyer-limit", "0"][..],
            "--per-buyer-limit: must be a whole number from 1 to 1000000000",
        ),
        (
            &["stock", "add", "x", "many", "--reason", "r"],
            "<UNITS>: must be a whole number from -1000000000 to 1000000000",
        ),
        (
            &["stock", "add", "x", "-1000000001", "--reason", "r"],
            "<UNITS>: must be a whole number from -1000000000 to 1000000000",
        ),
        (&["stock", "set", "x", "-1"], "<UNITS>: must be a whole number from 0 to 1000000000"),
        (&["reset", "x", "--to", "-1"], "--to: must be a whole number from 0 to 1000000000"),
    ] {
        assert_eq!(complaint(arguments, None), expected, "{arguments:?}");
    }
    let line = complaint(&["topics", "create", "--orders-partitions", "x"], None);
    assert_eq!(line, "--orders-partitions (SECKILL_ORDERS_PARTITIONS): must be a number, in digits");
}

#[test]
fn a_name_time_or_reason_that_is_none_is_said() {
    for (arguments, named) in [
        (&["sale", "create", "a/b", "--stock", "1"][..], "<SALE>: "),
        (&["sale", "show", ""], "<SALE>: "),
        (&["sale", "show", "two\nlines"], "<SALE>: "),
        (&["sale", "create", "x", "--stock", "1", "--title", ""], "--title: must have 1 to "),
        (&["sale", "create", "x", "--stock", "1", "--opens-at", "soon"], "--opens-at: must be RFC 3339"),
        (&["stock", "add", "x", "1", "--reason", ""], "--reason: must have 1 to 500"),
        (&["stock", "add", "x", "1", "--reason", "a\nb"], "--reason: must have 1 to 500"),
        (&["completions", "dos"], "<SHELL>: must be one of bash"),
    ] {
        let line = complaint(arguments, None);
        assert!(line.starts_with(named), "{arguments:?}: {line}");
    }
    let window = ["--opens-at", "2030-01-02T00:00:00Z", "--closes-at", "2030-01-01T00:00:00Z"];
    let line = complaint(&[&["sale", "create", "x", "--stock", "1"][..], &window].concat(), None);
    assert_eq!(line, "--closes-at: must be after --opens-at");
}

#[test]
fn a_bad_setting_is_named_by_its_variable_and_a_secret_is_not_repeated() {
    for (variable, value) in [
        ("KAFKA_BROKERS", "hunter2"),
        ("SECKILL_ORDERS_TOPIC", "no topic"),
        ("REDIS_URL", "hunter2"),
        ("REDIS_URL", "redis://:hunter2@host:99999/1"),
        ("REDIS_URL", "redis://:hunter2@host/one"),
        ("DATABASE_URL", "hunter2"),
        ("DATABASE_URL", "mysql://u:hunter2@host:99999/x"),
        ("RUST_LOG", "a=b=c"),
    ] {
        let line = complaint(&["sale", "list"], Some((variable, value)));
        assert!(line.contains(variable), "{variable}={value}: {line}");
        assert!(!line.contains("hunter2"), "{variable}={value}: {line}");
    }
}

#[test]
fn a_variable_that_is_set_but_empty_counts_as_not_set() {
    let variables = [
        "SECKILL_CONSUMER_GROUP",
        "SECKILL_ORDERS_TOPIC",
        "SECKILL_ORDERS_PARTITIONS",
        "SECKILL_PROFILE",
        "SECKILL_LOG_FORMAT",
        "RUST_LOG",
    ];
    // Wrong by its topic alone: everything else was read, and found good.
    let mut command = program(&["topics", "create", "--dead-letter-topic", "no topic"]);
    command.envs(variables.map(|variable| (variable, "")));
    let ran = run(&mut command).expect(64);
    assert!(ran.complaint().contains("--dead-letter-topic"), "{ran:?}");
}
