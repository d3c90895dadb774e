//! What is shown at the end: tables for people, JSON for machines.

use std::{path::Path, time::Duration};

use comfy_table::{CellAlignment, Table, TableComponent, presets::UTF8_HORIZONTAL_ONLY};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{
    buyer::Fate,
    load::Finished,
    promises::Finding,
    recorder::{Kind, Measure, SLICE},
};

/// What a run came to, in numbers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// How long it took.
    pub seconds: f64,
    /// What became of the buyers.
    pub buyers: Buyers,
    /// Requests sent (and not sent), of every kind.
    pub attempts: u64,
    /// Those a second.
    pub attempts_per_second: f64,
    /// CPU time that this program spent for each of them, where the system tells.
    pub client_cpu_micros_per_attempt: Option<f64>,
    /// How long the attempts took, by outcome.
    pub outcomes: Vec<Outcomes>,
    /// From the request's start until the order was seen in MySQL, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Confirmed>,
    /// Milliseconds of a slice of the outcomes' timelines.
    pub slice_ms: u128,
}

/// How long it took until accepted orders were seen in MySQL.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Confirmed {
    /// Orders that were followed.
    pub followed: u64,
    /// Of those, the ones that never came.
    pub missing: u64,
    #[serde(flatten)]
    pub latency: Latency,
}

/// What became of the buyers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Buyers {
    pub accepted: u64,
    pub sold_out: u64,
    pub refused: u64,
    pub gone: u64,
    pub unknown: u64,
}

/// How long the attempts of one outcome took.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcomes {
    pub outcome: Kind,
    pub count: u64,
    /// From the first one's start to the last one's end.
    pub per_second: f64,
    #[serde(flatten)]
    pub latency: Latency,
    /// How many ended in each slice since the run began.
    pub timeline: Vec<u32>,
}

/// How latencies are spread.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
    /// Upper bounds in milliseconds, each a quarter above the last, and how many are below it and above that.
    pub histogram: Vec<(f64, u64)>,
}

impl Latency {
    /// Of latencies in microseconds.
    pub fn of(micros: &Histogram<u64>) -> Self {
        let at = |quantile| millis(micros.value_at_quantile(quantile));
        let steps = micros.iter_log(FIRST_BOUND_US, BOUNDS_RATIO);
        Self {
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: millis(micros.max()),
            histogram: steps
                .map(|step| (millis(step.value_iterated_to()), step.count_since_last_iteration()))
                .collect(),
        }
    }
}

/// The bounds of the histograms that are reported: from a tenth of a millisecond, a quarter apart.
const FIRST_BOUND_US: u64 = 100;
const BOUNDS_RATIO: f64 = 1.25;

fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

impl Outcomes {
    fn of(outcome: Kind, measure: &Measure) -> Self {
        let count = measure.latency.len();
        let span = Duration::from_micros(measure.last_end_us.saturating_sub(measure.first_start_us).max(1));
        Self {
            outcome,
            count,
            per_second: count as f64 / span.as_secs_f64(),
            latency: Latency::of(&measure.latency),
            timeline: measure.timeline.clone(),
        }
    }
}

impl Summary {
    /// Sums up a run.
    pub fn of(finished: &Finished) -> Self {
        let outcomes: Vec<Outcomes> =
            finished.measures.iter().map(|(&kind, measure)| Outcomes::of(kind, measure)).collect();
        let attempts: u64 = outcomes.iter().map(|outcome| outcome.count).sum();
        let seconds = finished.took.as_secs_f64();
        let tally = &finished.tally;
        Self {
            seconds,
            buyers: Buyers {
                accepted: tally.of(Fate::Accepted),
                sold_out: tally.of(Fate::SoldOut),
                refused: tally.of(Fate::Refused),
                gone: tally.of(Fate::Gone),
                unknown: tally.of(Fate::Unknown),
            },
            attempts,
            attempts_per_second: attempts as f64 / seconds,
            client_cpu_micros_per_attempt: cpu_micros().map(|micros| micros / attempts.max(1) as f64),
            outcomes,
            confirmed: finished.confirmed.as_ref().map(|seen| Confirmed {
                followed: seen.latency.len() + seen.missing,
                missing: seen.missing,
                latency: Latency::of(&seen.latency),
            }),
            slice_ms: SLICE.as_millis(),
        }
    }

    /// Throughput and latency as a table.
    pub fn table(&self) -> String {
        let mut table = ruled_table();
        table.set_header(["answer", "count", "per second", "p50 ms", "p90 ms", "p99 ms", "max ms"]);
        for row in &self.outcomes {
            let number = |value: f64| format!("{value:.1}");
            table.add_row([
                word(row.outcome),
                row.count.to_string(),
                format!("{:.0}", row.per_second),
                number(row.latency.p50_ms),
                number(row.latency.p90_ms),
                number(row.latency.p99_ms),
                number(row.latency.max_ms),
            ]);
        }
        align_right(&mut table, 1..7);
        format!(
            "{table}\n{} attempts in {:.2} s: {:.0} a second",
            self.attempts, self.seconds, self.attempts_per_second
        )
    }
}

/// A word of JSON as a word for people: `soldOut` is `sold out`.
fn word(kind: Kind) -> String {
    let name = format!("{kind:?}");
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

fn align_right(table: &mut Table, columns: std::ops::Range<usize>) {
    for index in columns {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// CPU time of this process so far, in microseconds: user and system, of `/proc/self/stat`.
fn cpu_micros() -> Option<f64> {
    // Ticks of 10 ms: USER_HZ is 100 on every Linux that Rust's std supports.
    const MICROS_A_TICK: f64 = 10_000.0;
    let stat = std::fs::read_to_string(Path::new("/proc/self/stat")).ok()?;
    // The name in brackets may hold spaces: count from behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 * MICROS_A_TICK)
}

/// A table with a rule above, below and under its header, and none between its rows.
fn ruled_table() -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).remove_style(TableComponent::HorizontalLines);
    table.remove_style(TableComponent::MiddleIntersections);
    table
}

/// The promises as a table, with examples of those that are broken.
pub fn promises_table(findings: &[Finding]) -> String {
    let mut table = ruled_table();
    table.set_header(["promise", "check", "what", "expected", "found", "ok"]);
    for finding in findings {
        table.add_row([
            finding.promise,
            finding.name,
            finding.what,
            &finding.expected.to_string(),
            &finding.found.to_string(),
            if finding.ok { "yes" } else { "NO" },
        ]);
    }
    align_right(&mut table, 3..5);
    let mut text = table.to_string();
    for finding in findings {
        for example in &finding.examples {
            text.push_str("\n  ");
            text.push_str(finding.name);
            text.push_str(": ");
            text.push_str(example);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_promise_is_shown_with_its_example() {
        let finding = Finding {
            name: "lost",
            promise: "P2",
            what: "orders",
            expected: 0,
            found: 1,
            ok: false,
            examples: vec!["buyer-1".into()],
        };
        let table = promises_table(&[finding]);
        assert!(table.contains("NO") && table.ends_with("lost: buyer-1"), "{table}");
    }

    #[test]
    fn kinds_are_words() {
        assert_eq!(word(Kind::SoldOut), "sold out");
        assert_eq!(word(Kind::Accepted), "accepted");
    }
}
