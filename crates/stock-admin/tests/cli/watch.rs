//! `--watch`: looks again and again, and ends in good order.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command as Process, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::support::{Site, run};

/// The program, running, with its output in a pipe.
fn start(site: &Site, arguments: &[&str]) -> Child {
    let mut process = Process::new(env!("CARGO_BIN_EXE_stock-admin"));
    process.args(arguments).envs(site.places()).env_remove("RUST_LOG");
    process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What Ctrl-C does.
fn interrupt(process: &Child) {
    let pid = process.id().to_string();
    assert!(Process::new("kill").args(["-INT", &pid]).status().unwrap().success());
}

#[tokio::test]
async fn watching_a_sale_appends_a_line_a_look_and_ends_cleanly() {
    let mut site = Site::new().await;
    let sale = site.sale(10).await;
    let mut process = start(&site, &["sale", "show", sale.as_str(), "--watch", "1", "--json"]);
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut remaining = || {
        let line = lines.next().unwrap().unwrap();
        serde_json::from_str::<Value>(&line).unwrap()["remaining"].as_u64().unwrap()
    };
    assert_eq!(remaining(), 10);
    site.hold(&sale, 4).await;
    let mut looks = (0..10).map(|_| remaining());
    assert!(looks.any(|left| left == 6), "what is sold meanwhile is seen");
    interrupt(&process);
    assert_eq!(process.wait().unwrap().code(), Some(0));
    let mut said = String::new();
    process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
}

#[tokio::test]
async fn the_exit_code_of_a_watch_is_that_of_its_last_look() {
    let mut site = Site::with_topics().await;
    let sale = site.sale(10).await;
    let mut damage = deadpool_redis::redis::cmd("HINCRBY");
    damage.arg(format!("seckill:{{{sale}}}:sale")).arg("remaining").arg(1);
    damage.query_async::<()>(&mut crate::support::raw().await).await.unwrap();
    let mut process = start(&site, &["reconcile", sale.as_str(), "--watch"]);
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("drift")));
    let row = lines.find(|line| line.as_ref().unwrap().contains(&sale.as_str()[..20])).unwrap().unwrap();
    assert!(row.contains("-1"), "{row}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    interrupt(&process);
    assert_eq!(process.wait().unwrap().code(), Some(1));
}

#[tokio::test]
async fn watching_what_is_not_there_ends_at_once() {
    let site = Site::new().await;
    let ran = site.run(&["sale", "show", "no-such-sale", "--watch"]).expect(1);
    assert!(ran.complaint().contains("there is no sale"), "{ran:?}");
    for arguments in [
        &["sale", "show", "x", "--watch", "0"][..],
        &["sale", "show", "x", "--watch", "soon"],
        &["reconcile", "--repair", "--watch"],
    ] {
        assert!(site.run(arguments).expect(64).complaint().contains("--watch"), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_failure() {
    let mut site = Site::new().await;
    let sale = site.sale(10).await;
    let mut process = start(&site, &["sale", "show", sale.as_str()]);
    drop(process.stdout.take());
    let output = process.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[tokio::test]
async fn while_a_dependency_is_away_a_watch_says_so_and_goes_on() {
    let mut site = Site::new().await;
    let sale = site.sale(10).await;
    let mut process = Process::new(env!("CARGO_BIN_EXE_stock-admin"));
    process.args(["sale", "show", sale.as_str(), "--watch", "1", "--json"]).envs(site.places());
    process.env("DATABASE_URL", "mysql://u:hunter2@127.0.0.1:1/x").env_remove("RUST_LOG");
    let mut process = process.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    for _ in 0..2 {
        let line = lines.next().unwrap().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["error"], "unreachable");
    }
    interrupt(&process);
    assert_eq!(process.wait().unwrap().code(), Some(69));
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let directory = std::env::temp_dir().join(format!("seckill-man-{}", uuid::Uuid::new_v4()));
    let name = directory.to_str().unwrap();
    run(&mut crate::support::program(&["man", name])).expect(0);
    for page in
        ["stock-admin", "stock-admin-sale-create", "stock-admin-dead-letters-replay", "stock-admin-rebuild"]
    {
        let text = std::fs::read_to_string(directory.join(format!("{page}.1"))).unwrap();
        assert!(text.starts_with(".ie") || text.contains(".TH"), "{page}: {text}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
    let ran = run(&mut crate::support::program(&["man", "/proc/no"])).expect(1);
    assert!(ran.complaint().contains("/proc/no"), "{ran:?}");
}
