//! The runbook says what to do about everything that `doctor` may find, and about nothing else.

use std::collections::BTreeSet;

use crate::support::Site;

const RUNBOOK: &str = include_str!("../../../../docs/runbook.md");

#[tokio::test]
async fn every_check_of_doctor_is_in_the_runbook() {
    let site = Site::with_topics().await;
    let examined = site.run(&["doctor", "--json"]).json();
    let checks: BTreeSet<&str> = examined["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["check"].as_str().unwrap())
        .collect();
    assert!(checks.contains("mysql: writable"), "not everything was examined: {examined}");

    let (_, section) = RUNBOOK.split_once("## What `doctor` may find").unwrap();
    let table = section.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `"));
    // Between backquotes are the names, one or more in the first cell.
    let documented: BTreeSet<&str> =
        table.flat_map(|line| line.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)).collect();
    assert_eq!(checks, documented);
}
