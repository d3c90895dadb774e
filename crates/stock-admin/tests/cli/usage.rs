//! Bad usage: exit code 64 and one line that names what is wrong, before anything is touched.

use seckill_core::testing::{SHARED_SETTINGS, assert_settings};

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
        (&["frobnicate"][..], "there is no such command"),
        (&["sale", "frobnicate"], "there is no such command"),
        (&["reconsile"], "did you mean reconcile?"),
        (&["--frobnicate", "migrate"], "--frobnicate: there is no such flag"),
        (&["migrate", "more"], "there is an argument too many"),
        (&["rebuild", "x", "--all"], "[SALE]: cannot be used with --all"),
        (&["dead-letters", "replay", "17"], "must be PARTITION:OFFSET"),
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
fn a_value_in_the_wrong_place_may_be_a_secret_and_is_not_repeated() {
    for arguments in [
        &["hunter2"][..],
        &["sale", "hunter2"],
        &["migrate", "hunter2"],
        &["--databse-url=hunter2", "migrate"],
        &["--databse-url", "hunter2", "migrate"],
        &["--json=hunter2", "migrate"],
        &["--yes=hunter2", "migrate"],
        &["--database-url", "a", "--database-url", "hunter2", "migrate"],
        &["--database-url-file", "hunter2", "migrate"],
        &["-phunter2", "migrate"],
        &["sale", "create", "x", "--stock", "hunter2"],
        &["reset", "x", "--to", "1", "hunter2"],
        &["topics", "create", "--orders-partitions", "hunter2"],
        &["completions", "hunter2"],
        &["man", "x", "hunter2"],
    ] {
        let line = complaint(arguments, None);
        assert!(!line.contains("hunter2"), "{arguments:?}: {line}");
    }
}

#[test]
fn every_setting_is_a_flag_and_a_variable_with_its_default() {
    let admin = [
        ("--orders-partitions", "SECKILL_ORDERS_PARTITIONS", "12]"),
        ("--replication-factor", "SECKILL_REPLICATION_FACTOR", "1]"),
    ];
    let import = [("--from", "SECKILL_IMPORT_URL", ""), ("--from-file", "SECKILL_IMPORT_URL_FILE", "")];
    for (command, own) in [(&[][..], &[][..]), (&["topics", "create"], &[]), (&["import"], &import)] {
        let help = run(program(command).arg("--help")).expect(0).stdout;
        assert_settings(&help, &[&SHARED_SETTINGS[..], &admin, own].concat());
    }
}

#[test]
fn a_variable_that_is_set_and_empty_counts_as_not_set() {
    let help = run(&mut program(&["--help"])).expect(0).stdout;
    let named = help.split("[env: ").skip(1).map(|rest| rest.split(['=', ']']).next().unwrap());
    let variables: Vec<&str> = named.collect();
    assert!(variables.len() >= 13, "{variables:?}");
    // Whatever is wrong next is said next: nothing is, but for the one that is.
    let mut command = program(&["topics", "create"]);
    command.envs(variables.iter().map(|name| (*name, ""))).env("REDIS_URL", "hunter2");
    let line = run(&mut command).expect(64);
    assert_eq!(line.complaint(), "stock-admin: REDIS_URL: must begin with redis:// or rediss://");
}

#[test]
fn a_machine_is_told_of_bad_usage_in_json_too_and_on_stderr() {
    for (arguments, named) in [
        (&["--json", "frobnicate"][..], "command"),
        (&["reset", "x", "--to", "many", "--json"], "--to"),
        (&["--json", "--log-filter", "a=b=c", "migrate"], "RUST_LOG"),
        (&["--json", "--redis-url", "x", "migrate"], "REDIS_URL"),
    ] {
        let ran = run(&mut program(arguments)).expect(64);
        assert_eq!(ran.stdout, "", "{arguments:?}");
        let error: serde_json::Value = serde_json::from_str(ran.complaint()).unwrap();
        assert_eq!(error["error"], "usage");
        assert!(error["message"].as_str().unwrap().contains(named), "{error}");
    }
}
