//! `doctor`: every dependency, and the settings of it that the promises rest on, a line each.

use jiff::Timestamp;
use seckill_core::order_log::topics;
use serde::Serialize;

use crate::{
    failure::Failure,
    output::{Report, counted, table},
    surroundings::Surroundings,
};

/// A clock that is further off than this confuses people who read logs and times.
const MAX_SKEW_MS: i64 = 1000;

/// One line of the examination.
#[derive(Serialize)]
struct Finding {
    check: &'static str,
    ok: bool,
    found: String,
    expected: &'static str,
}

/// Examines everything. What is wrong makes the exit code 1; what cannot be reached is wrong, too.
pub async fn examine(all: &Surroundings) -> Result<Report, Failure> {
    let mut findings = Vec::new();
    redis(all, &mut findings).await;
    kafka(all, &mut findings).await;
    mysql(all, &mut findings).await;
    let rows = findings.iter().map(|it| {
        let verdict = if it.ok { "ok" } else { "FAULT" };
        vec![verdict.to_owned(), it.check.to_owned(), it.found.clone(), it.expected.to_owned()]
    });
    let text = table(&["", "check", "found", "expected"], rows);
    let faulty = findings.iter().any(|finding| !finding.ok);
    Ok(Report::new(text, &serde_json::json!({ "ok": !faulty, "checks": findings })).faulty_if(faulty))
}

async fn redis(all: &Surroundings, findings: &mut Vec<Finding>) {
    match all.ledger.now().await {
        Ok(now) => {
            findings.push(finding("redis: reachable", true, "yes", "yes"));
            findings.push(skew("redis: clock", now.as_millisecond() - Timestamp::now().as_millisecond()));
        }
        Err(error) => {
            findings.push(finding("redis: reachable", false, error.to_string(), "yes"));
            return;
        }
    }
    for (check, setting, expected) in [
        ("redis: persistence", "appendonly", "yes"),
        ("redis: persistence on every write", "appendfsync", "always"),
        ("redis: eviction policy", "maxmemory-policy", "noeviction"),
    ] {
        let found = match all.ledger.server_setting(setting).await {
            Ok(Some(value)) => value,
            Ok(None) => "no such setting".to_owned(),
            Err(error) => error.to_string(),
        };
        findings.push(finding(check, found == expected, format!("{setting} {found}"), expected));
    }
}

async fn kafka(all: &Surroundings, findings: &mut Vec<Finding>) {
    let described = match topics::describe(&all.kafka).await {
        Ok(described) => described,
        Err(error) => {
            findings.push(finding("kafka: reachable", false, error.to_string(), "yes"));
            return;
        }
    };
    findings.push(finding("kafka: reachable", true, "yes", "yes"));
    for topic in described {
        let there = topic.partitions > 0;
        let found =
            if there { counted(topic.partitions, "partition", "partitions") } else { "missing".into() };
        findings.push(finding(
            "kafka: topic",
            there,
            format!("{}: {found}", topic.name),
            "as topics create makes it",
        ));
        if !there {
            continue;
        }
        let setting = |name: &str| topic.settings.get(name).cloned().unwrap_or_default();
        let in_sync: usize = setting("min.insync.replicas").parse().unwrap_or(0);
        // More than there are, and nothing could be written.
        let wanted = if topic.replicas >= 3 { 2 } else { 1 };
        let durable = (wanted..=topic.replicas).contains(&in_sync);
        let replicas = counted(topic.replicas, "replica", "replicas");
        let found = format!("{}: {replicas}, min.insync.replicas {in_sync}", topic.name);
        findings.push(finding("kafka: replication", durable, found, "2 with 3 replicas, else 1"));
        let unclean = setting("unclean.leader.election.enable");
        let found = format!("{}: {unclean}", topic.name);
        findings.push(finding("kafka: unclean election", unclean == "false", found, "false"));
    }
}

async fn mysql(all: &Surroundings, findings: &mut Vec<Finding>) {
    let described = match all.store.describe().await {
        Ok(described) => described,
        Err(error) => {
            findings.push(finding("mysql: reachable", false, error.to_string(), "yes"));
            return;
        }
    };
    findings.push(finding("mysql: reachable", true, described.version, "yes"));
    let pending = seckill_core::store::pending_migrations(&all.database).await;
    let pending = pending.map_or_else(|error| error.to_string(), |names| names.len().to_string());
    findings.push(finding("mysql: migrations to apply", pending == "0", pending, "0"));
    let durable = described.flush_log_at_commit == "1";
    let found = format!("innodb_flush_log_at_trx_commit {}", described.flush_log_at_commit);
    findings.push(finding("mysql: commits on disk", durable, found, "1"));
    let serious = matches!(
        described.transaction_isolation.as_str(),
        "REPEATABLE-READ" | "READ-COMMITTED" | "SERIALIZABLE"
    );
    findings.push(finding(
        "mysql: isolation",
        serious,
        described.transaction_isolation,
        "not READ-UNCOMMITTED",
    ));
    let found = if described.read_only { "read-only" } else { "yes" };
    findings.push(finding("mysql: writable", !described.read_only, found, "yes"));
    findings.push(skew("mysql: clock", described.clock_ahead_ms));
}

fn skew(check: &'static str, ahead_ms: i64) -> Finding {
    finding(check, ahead_ms.abs() <= MAX_SKEW_MS, format!("{ahead_ms} ms ahead"), "within 1000 ms")
}

fn finding(check: &'static str, ok: bool, found: impl Into<String>, expected: &'static str) -> Finding {
    Finding { check, ok, found: found.into(), expected }
}
