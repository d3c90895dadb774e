//! What the program prints, for people, for machines and for shells.

use crate::support::{Site, program, run};

#[tokio::test]
async fn every_command_answers_in_json_when_asked() {
    let mut site = Site::with_topics().await;
    let sale = site.sale(100).await;
    let name = sale.as_str();
    for arguments in [
        &["migrate"][..],
        &["topics", "create"],
        &["sale", "list"],
        &["sale", "show", name],
        &["sale", "history", name],
        &["sale", "pause", name],
        &["sale", "open", name],
        &["stock", "show", name],
        &["stock", "add", name, "1", "--reason", "r"],
        &["stock", "set", name, "10"],
        &["reset", name, "--to", "10", "--yes"],
        &["reconcile", name],
        &["reconcile", name, "--repair", "--yes"],
        &["outbox", "list", name],
        &["outbox", "publish", name],
        &["dead-letters", "list"],
        &["dead-letters", "replay", "--all"],
        &["doctor"],
        &["completions", "bash"],
        &["sale", "close", name],
    ] {
        let before = site.run(&[&["--json"], arguments].concat()).expect(0);
        before.json();
        assert_eq!(before.stderr, "", "{arguments:?}");
    }
    let refused = site.run(&["--json", "reset", name, "--to", "5"]).expect(1);
    let error: serde_json::Value = serde_json::from_str(refused.complaint()).unwrap();
    assert_eq!(error["error"], "refused");
}

#[test]
fn help_shows_where_secrets_come_from_and_not_the_secrets() {
    for arguments in [&["--help"][..], &["-h"], &["sale", "create", "--help"], &["help"]] {
        let mut command = program(arguments);
        command.env("DATABASE_URL", "mysql://u:hunter2@h/x").env("REDIS_URL", "redis://:hunter2@h/1");
        let ran = run(&mut command).expect(0);
        assert!(!ran.stdout.contains("hunter2"), "{ran:?}");
        assert_eq!(ran.stderr, "");
    }
    assert!(run(&mut program(&["--help"])).stdout.contains("DATABASE_URL_FILE"));
}

#[test]
fn a_setting_may_stand_before_or_after_the_command() {
    let bad = ["--redis-url", "hunter2"];
    for arguments in [&[&bad[..], &["sale", "list"]].concat(), &[&["sale", "list"], &bad[..]].concat()] {
        let ran = run(&mut program(arguments)).expect(64);
        assert_eq!(ran.complaint(), "stock-admin: REDIS_URL: must begin with redis:// or rediss://");
    }
}

#[test]
fn help_tells_the_exit_codes() {
    let help = run(&mut program(&["--help"])).expect(0).stdout;
    for code in ["0 ", "1 ", "64", "69"] {
        assert!(help.contains(&format!("\n  {code} ")), "{help}");
    }
}

#[test]
fn completions_are_a_script_for_the_shell() {
    let ran = run(&mut program(&["completions", "bash"])).expect(0);
    assert!(ran.stdout.contains("complete -F _stock__admin"), "{}", ran.stdout);
    assert!(ran.stdout.contains("--per-buyer-limit"));
}
