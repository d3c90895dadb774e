//! The binary's arguments: what is wrong is told in one line that repeats no secret.

use std::process::Command;

#[test]
fn p6_what_may_be_a_secret_in_the_wrong_place_is_not_repeated() {
    for arguments in [
        &["hunter2"][..],
        &["--databse-url=hunter2", "promises"],
        &["promises", "--databse-url", "hunter2"],
        &["promises", "--sale", "x", "--history", "h", "--wait", "hunter2"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_seckill-bench")).args(arguments).output().unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), line.lines().count()), (Some(64), 1), "{line}");
        assert!(!line.contains("hunter2"), "{arguments:?}: {line}");
    }
}
