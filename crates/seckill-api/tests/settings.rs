//! The binary's settings: an empty variable counts as not set, and no secret is repeated.

use std::process::Command;

/// What the binary says on stderr, and its exit code.
fn said(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let mut binary = Command::new(env!("CARGO_BIN_EXE_seckill-api"));
    let output =
        binary.args(arguments).env_remove("RUST_LOG").envs(variables.iter().copied()).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// The variables that `--help` names.
fn variables(help: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_seckill-api")).args(help).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let named = help.split("[env: ").skip(1).map(|rest| rest.split(['=', ']']).next().unwrap().to_owned());
    named.collect()
}

#[test]
fn p6_a_variable_that_is_set_and_empty_counts_as_not_set() {
    let variables = variables(&["--help"]);
    assert!(variables.len() >= 18, "{variables:?}");
    let empty: Vec<(&str, &str)> = variables.iter().map(|name| (name.as_str(), "")).collect();
    // What is wrong is the flag alone: everything else was read, and found good.
    let (code, line) = said(&["--redis-url", "hunter2", "--order-id-secret", "s"], &empty);
    assert_eq!(
        (code, line.as_str()),
        (64, "seckill-api: REDIS_URL: must begin with redis:// or rediss://\n")
    );
}

#[test]
fn p6_what_may_be_a_secret_in_the_wrong_place_is_not_repeated() {
    for arguments in [&["hunter2"][..], &["--databse-url=hunter2"], &["--databse-url", "hunter2"]] {
        let (code, line) = said(arguments, &[]);
        assert_eq!((code, line.lines().count()), (64, 1), "{line}");
        assert!(!line.contains("hunter2"), "{arguments:?}: {line}");
    }
}
