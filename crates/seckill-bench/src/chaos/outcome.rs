//! What a round came to, and what a run is told as: a table for people, JSON for machines.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use jiff::Timestamp;
use seckill_core::sale::SaleId;
use serde::Serialize;

use super::{fault::Fault, round::RATE, schedule::Round};
use crate::promises::Finding;

/// For so long a busy machine may keep all buyers waiting, whatever the fault. Of one that is no longer nothing is asked.
const HICCUP_MS: u64 = 1_000;

/// Most memory of an API, in megabytes. At rest it has some 20; half of the 5,000 connections of an overload add 75.
const MOST_MEMORY_MB: u64 = 200;

/// What one strike came to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StrikeReport {
    /// What struck.
    #[serde(serialize_with = "names")]
    pub faults: Vec<Fault>,
    /// When the first blow fell.
    pub began: Timestamp,
    /// When the last blow had fallen.
    pub struck: Timestamp,
    /// When the faults began to be ended.
    pub ended: Timestamp,
    /// Seconds from the end of the faults on until every API accepted orders; none: never.
    pub accepting: Option<f64>,
    /// Seconds until all the rest was as before, too; none: never.
    pub recovered: Option<f64>,
    /// New orders of the sale with plenty of stock whose acceptance came between `struck` and `ended`.
    pub accepted_meanwhile: u64,
    /// Memory of the largest API before, at the end of the faults, and after the recovery, in megabytes.
    pub memory_mb: [u64; 3],
    /// What went wrong.
    pub problems: Vec<String>,
}

impl StrikeReport {
    /// Where the faults leave orders accepted: half of the buyers who came meanwhile, but for a hiccup, were to have
    /// their orders meanwhile, too.
    fn too_few_accepted(&self) -> Option<String> {
        let lasted = u64::try_from(self.ended.as_millisecond() - self.struck.as_millisecond()).ok()?;
        let must_sell = self.faults.iter().all(|fault| fault.leaves_orders_accepted());
        let (accepted, wanted) =
            (self.accepted_meanwhile, RATE * lasted.saturating_sub(HICCUP_MS) / 1_000 / 2);
        (must_sell && accepted < wanted)
            .then(|| format!("{accepted} orders were accepted in the {lasted} ms it lasted, not {wanted}"))
    }

    fn too_much_memory(&self) -> Option<String> {
        let most = self.memory_mb.into_iter().max()?;
        (most > MOST_MEMORY_MB).then(|| {
            format!("an API took {most} MB of memory, more than {MOST_MEMORY_MB}: {:?}", self.memory_mb)
        })
    }
}

fn names<S: serde::Serializer>(faults: &[Fault], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(faults.iter().map(|fault| fault.name()))
}

/// What one round came to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The fault, or both of a pair.
    pub fault: String,
    /// Seconds within which it shall be as before.
    pub target: u64,
    /// Each strike.
    pub strikes: Vec<StrikeReport>,
    /// Orders that were answered `accepted`.
    pub accepted: u64,
    /// Orders that were answered `pending`.
    pub pending: u64,
    /// Of these: known by now, to stand or not to be.
    pub resolved: u64,
    /// What was found by each check, of both sales together.
    pub found: BTreeMap<&'static str, u64>,
    /// Dead letters that came meanwhile.
    pub dead_letters: u64,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// What went wrong, beside the strikes' own problems.
    pub problems: Vec<String>,
}

impl Outcome {
    /// What strikes came to; nothing is checked yet.
    pub fn of(round: &Round, strikes: Vec<StrikeReport>) -> Self {
        let target = round.faults().into_iter().map(|fault| fault.target().as_secs()).max();
        Self {
            fault: round.name.clone(),
            target: target.unwrap_or_default(),
            strikes,
            accepted: 0,
            pending: 0,
            resolved: 0,
            found: BTreeMap::new(),
            dead_letters: 0,
            notes: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// A round that could not be played to its end.
    pub fn failed(round: &Round, error: &anyhow::Error) -> Self {
        let mut outcome = Self::of(round, Vec::new());
        outcome.problems.push(format!("{error:#}"));
        outcome
    }

    /// The faults of all strikes.
    pub fn faults(&self) -> impl Iterator<Item = Fault> {
        self.strikes.iter().flat_map(|strike| strike.faults.iter().copied())
    }

    /// Adds what was found of one sale; a broken promise is a problem.
    pub fn add_findings(&mut self, sale: &SaleId, findings: &[Finding]) {
        for finding in findings {
            if !finding.ok {
                let examples = finding.examples.join("; ");
                self.problems.push(format!(
                    "{} {}: {sale}: {} {examples}",
                    finding.promise, finding.name, finding.found
                ));
            }
            // "sold" counts units, not violations.
            if finding.name != "sold" {
                *self.found.entry(finding.name).or_default() += finding.found;
            }
        }
    }

    /// The longest recovery; none if a strike was never recovered from.
    pub fn slowest(&self) -> Option<f64> {
        slowest(self.strikes.iter().map(|strike| strike.recovered))
    }

    /// The longest time until orders were accepted again; none if they never were.
    pub fn slowest_to_accept(&self) -> Option<f64> {
        slowest(self.strikes.iter().map(|strike| strike.accepting))
    }

    /// Whether every recovery was as fast as it shall be.
    pub fn is_in_time(&self) -> bool {
        self.slowest().is_some_and(|seconds| seconds <= self.target as f64)
    }

    /// All that went wrong.
    pub fn all_problems(&self) -> Vec<String> {
        let mut problems = self.problems.clone();
        for strike in &self.strikes {
            problems.extend(strike.problems.iter().cloned());
            problems.extend(strike.too_few_accepted());
            problems.extend(strike.too_much_memory());
        }
        problems
    }

    fn found(&self, name: &str) -> u64 {
        self.found.get(name).copied().unwrap_or_default()
    }
}

fn slowest(mut times: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    times.try_fold(0.0, |slowest: f64, next| Some(slowest.max(next?)))
}

fn seconds(time: Option<f64>) -> String {
    time.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.1}"))
}

/// A whole run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What it was drawn from.
    pub seed: u64,
    /// When it began.
    pub began: Timestamp,
    /// How long it took.
    pub seconds: f64,
    /// Whether every promise held.
    pub ok: bool,
    /// Each round.
    pub rounds: Vec<Outcome>,
    /// What could not be tried on this machine, and why.
    pub skipped: Vec<String>,
}

impl Report {
    /// Writes it as JSON.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(path, serde_json::to_string_pretty(self)? + "\n")?)
    }

    /// The table, and below it whatever went wrong.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(UTF8_HORIZONTAL_ONLY);
        table.set_header([
            "fault",
            "times",
            "accepted",
            "pending resolved",
            "oversold",
            "lost",
            "duplicated",
            "stranded",
            "lied",
            "seconds to accept",
            "to recover",
            "target",
            "met",
            "holds",
        ]);
        for round in &self.rounds {
            table.add_row([
                round.fault.clone(),
                round.strikes.len().to_string(),
                round.accepted.to_string(),
                format!("{} of {}", round.resolved, round.pending),
                round.found("oversold").to_string(),
                (round.found("lost") + round.found("unlogged")).to_string(),
                round.found("duplicated").to_string(),
                round.found("stranded").to_string(),
                round.found("lied").to_string(),
                seconds(round.slowest_to_accept()),
                seconds(round.slowest()),
                round.target.to_string(),
                if round.is_in_time() { "yes" } else { "no" }.to_owned(),
                if round.all_problems().is_empty() { "yes" } else { "NO" }.to_owned(),
            ]);
        }
        for index in 1..12 {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text = table.to_string();
        for round in &self.rounds {
            for note in &round.notes {
                let _ = write!(text, "\n  {}: {note}", round.fault);
            }
            for problem in round.all_problems() {
                let _ = write!(text, "\n  {}: {problem}", round.fault);
            }
        }
        for skipped in &self.skipped {
            let _ = write!(text, "\n  skipped: {skipped}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::{fault::Pace, schedule::round_of};

    /// Orders that must be accepted in the three seconds that a strike lasts.
    const ENOUGH: u64 = RATE;

    fn strike(faults: &[Fault], recovered: Option<f64>, accepted_meanwhile: u64) -> StrikeReport {
        let began = Timestamp::from_second(1_000).unwrap();
        StrikeReport {
            faults: faults.to_vec(),
            began,
            struck: began,
            ended: Timestamp::from_second(1_003).unwrap(),
            accepting: recovered,
            recovered,
            accepted_meanwhile,
            memory_mb: [10, 10, 10],
            problems: Vec::new(),
        }
    }

    fn outcome(strikes: Vec<StrikeReport>) -> Outcome {
        Outcome::of(&round_of(Fault::MysqlKill, 1, Pace::Quick), strikes)
    }

    fn report(rounds: Vec<Outcome>) -> Report {
        let began = Timestamp::from_second(1_000).unwrap();
        Report {
            seed: 7,
            began,
            seconds: 1.0,
            ok: true,
            rounds,
            skipped: vec!["clock-ahead: no library".into()],
        }
    }

    #[test]
    fn the_slowest_recovery_counts_and_one_that_never_came_is_never() {
        let recovered = outcome(vec![
            strike(&[Fault::MysqlKill], Some(3.0), ENOUGH),
            strike(&[Fault::MysqlKill], Some(31.0), ENOUGH),
        ]);
        assert_eq!((recovered.slowest(), recovered.is_in_time()), (Some(31.0), false));
        assert!(recovered.all_problems().is_empty());
        let never = outcome(vec![
            strike(&[Fault::MysqlKill], Some(3.0), ENOUGH),
            strike(&[Fault::MysqlKill], None, ENOUGH),
        ]);
        assert_eq!((never.slowest(), never.is_in_time()), (None, false));
        assert!(report(vec![never]).table().contains("never"));
    }

    #[test]
    fn when_orders_are_accepted_again_is_told_and_the_target_counts_until_all_is_written() {
        let slow = StrikeReport { accepting: Some(0.5), ..strike(&[Fault::MysqlKill], Some(31.0), ENOUGH) };
        let slow = outcome(vec![slow]);
        assert!(!slow.is_in_time());
        let table = report(vec![slow]).table();
        assert!(table.contains("0.5") && table.contains("31.0"), "{table}");
    }

    #[test]
    fn p2_orders_must_go_on_being_accepted_while_only_the_store_is_away() {
        let away = |accepted| outcome(vec![strike(&[Fault::MysqlKill], Some(1.0), accepted)]);
        assert_eq!(
            away(RATE - 1).all_problems(),
            ["149 orders were accepted in the 3000 ms it lasted, not 150"]
        );
        assert!(away(RATE).all_problems().is_empty());
        let together = outcome(vec![strike(&[Fault::MysqlKill, Fault::RedisKill], Some(1.0), 0)]);
        assert!(together.all_problems().is_empty());
    }

    #[test]
    fn an_api_that_takes_too_much_memory_is_a_problem() {
        let greedy = StrikeReport { memory_mb: [50, 201, 60], ..strike(&[Fault::Overload], Some(1.0), 0) };
        assert_eq!(outcome(vec![greedy]).all_problems().len(), 1);
    }

    #[test]
    fn a_broken_promise_is_a_problem_and_shows_in_the_table() {
        let mut broken = outcome(vec![strike(&[Fault::MysqlKill], Some(1.0), ENOUGH)]);
        let lost = Finding {
            name: "lost",
            promise: "P2",
            what: "orders",
            expected: 0,
            found: 3,
            ok: false,
            examples: vec!["buyer-1".into()],
        };
        broken.add_findings(&SaleId::parse("spring").unwrap(), &[lost]);
        assert_eq!(broken.all_problems(), ["P2 lost: spring: 3 buyer-1"]);
        let table = report(vec![broken]).table();
        assert!(
            table.contains("NO") && table.contains("buyer-1") && table.contains("skipped: clock-ahead"),
            "{table}"
        );
    }

    #[test]
    fn the_report_is_json_by_the_names_of_the_table() {
        let json =
            serde_json::json!(report(vec![outcome(vec![strike(&[Fault::MysqlKill], Some(1.5), ENOUGH)])]));
        assert_eq!(json["seed"], 7);
        assert_eq!(json["rounds"][0]["fault"], "mysql-kill");
        assert_eq!(json["rounds"][0]["strikes"][0]["faults"][0], "mysql-kill");
        assert_eq!(json["rounds"][0]["strikes"][0]["recovered"], 1.5);
    }
}
