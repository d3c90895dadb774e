//! The course of one strike: its blows fall, it lasts, it is healed, and the system recovers.

use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;

use super::{
    evidence::{self, Evidence},
    fault::Fault,
    outcome::StrikeReport,
    probe::{Probe, Recovery},
    replicas,
    schedule::Strike,
    strike,
    world::World,
};

/// How long a fault may take to begin: a restart of everything in turn takes longest.
const BEGIN_WITHIN: Duration = Duration::from_secs(60);

/// Who asks whether the system has recovered.
#[derive(Debug)]
pub struct Probes<'a> {
    /// In the sale of the round.
    pub of_round: &'a mut Probe,
    /// In the sale that is held throughout, where there is one: a ledger is not recovered before it is.
    pub of_held: Option<&'a mut Probe>,
}

/// Lets the blows of a strike fall on the system while `sale` is on, and waits until it has recovered.
pub async fn run(
    world: &mut World,
    planned: &Strike,
    sale: &str,
    mut probes: Probes<'_>,
) -> anyhow::Result<StrikeReport> {
    tokio::time::sleep(planned.pause).await;
    let mut faults: Vec<Fault> = planned.blows.iter().map(|blow| blow.fault).collect();
    faults.sort_by_key(|&fault| strike::order_of_ending(fault));
    let memory_before = world.api_memory();
    let before = evidence::of(world, &faults).await;
    let began = Timestamp::now();
    let mut missed = begin_all(world, planned, sale).await;
    let (struck, struck_at) = (Timestamp::now(), Instant::now());

    let mut recoveries = Vec::new();
    if faults.iter().any(|fault| fault.is_taken_over()) {
        let healed = replicas::another_primary(world).await?;
        recoveries.push(probes.recovery(world, healed).await);
    }
    tokio::time::sleep(planned.lasts.saturating_sub(struck_at.elapsed())).await;
    let (ended, memory_under) = (Timestamp::now(), world.api_memory());
    end_all(world, &faults, &mut missed).await?;
    recoveries.push(probes.recovery(world, Instant::now()).await);
    if faults.contains(&Fault::TopicDeleted) {
        // It goes on by itself, and an operator's work, which may halt a sale for seconds, brings back what was lost.
        strike::repair(world).await?;
        recoveries.push(probes.recovery(world, Instant::now()).await);
    }

    missed.extend(without_effect(before, &evidence::of(world, &faults).await));
    let mut problems = unless_one_landed(&faults, missed);
    let slowest = Recovery::slowest(&recoveries);
    if slowest.is_none() {
        problems.push("did not recover".to_owned());
    }
    Ok(StrikeReport {
        faults,
        began,
        struck,
        ended,
        accepting: slowest.map(|recovery| recovery.accepting.as_secs_f64()),
        recovered: slowest.map(|recovery| recovery.whole.as_secs_f64()),
        accepted_meanwhile: 0,
        memory_mb: [memory_before, memory_under, world.api_memory()],
        problems,
    })
}

impl Probes<'_> {
    async fn recovery(&mut self, world: &World, healed: Instant) -> Option<Recovery> {
        self.of_round.recovery(self.of_held.as_deref_mut(), world, healed).await
    }
}

/// A fault that did not do what it shall, and why.
type Missed = (Fault, String);

async fn begin_all(world: &mut World, planned: &Strike, sale: &str) -> Vec<Missed> {
    let mut missed = Vec::new();
    for blow in &planned.blows {
        tokio::time::sleep(blow.after).await;
        let begun = tokio::time::timeout(BEGIN_WITHIN, strike::begin(world, blow, sale, planned.lasts))
            .await
            .unwrap_or_else(|late| Err(late.into()));
        if let Err(error) = begun {
            missed.push((blow.fault, format!("{error:#}")));
        }
    }
    missed
}

/// Ends what strikes.
async fn end_all(world: &mut World, faults: &[Fault], missed: &mut Vec<Missed>) -> anyhow::Result<()> {
    // What goes on again and again may fail because of the other fault of a pair.
    if let (Err(error), &[fault]) = (strike::end_under_way(world).await, faults) {
        missed.push((fault, format!("{error:#}")));
    }
    for &fault in faults {
        strike::end(world, fault).await.with_context(|| format!("cannot end {fault}"))?;
    }
    Ok(())
}

fn without_effect(before: Vec<Evidence>, after: &[Evidence]) -> Vec<Missed> {
    let unmoved = before.into_iter().filter(|evidence| after.contains(evidence));
    unmoved.map(|evidence| (evidence.fault, format!("no {}", evidence.what))).collect()
}

/// What is wrong with a strike some of whose faults missed. Of a pair one may find nothing left to break; but a strike
/// in which nothing happened tells nothing.
fn unless_one_landed(faults: &[Fault], missed: Vec<Missed>) -> Vec<String> {
    if faults.iter().any(|fault| !missed.iter().any(|(of, _)| of == fault)) {
        return Vec::new();
    }
    missed.into_iter().map(|(fault, why)| format!("{fault}: {why}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_pair_one_may_miss_and_not_both() {
        let missed = |fault| (fault, "connection refused".to_owned());
        let pair = [Fault::RedisFlush, Fault::MysqlLock];
        assert!(unless_one_landed(&pair, vec![missed(Fault::RedisFlush)]).is_empty());
        assert_eq!(unless_one_landed(&pair, pair.map(missed).to_vec()).len(), 2);
        assert_eq!(
            unless_one_landed(&pair[..1], vec![missed(Fault::RedisFlush)]),
            ["redis-flush: connection refused"]
        );
    }

    #[test]
    fn a_counter_that_has_not_moved_is_a_fault_that_did_nothing() {
        let cut = |count| Evidence { fault: Fault::CutAtCommit, what: "COMMIT was cut", count };
        assert_eq!(
            without_effect(vec![cut(3)], &[cut(3)]),
            [(Fault::CutAtCommit, "no COMMIT was cut".to_owned())]
        );
        assert!(without_effect(vec![cut(3)], &[cut(4)]).is_empty());
        // What could not be asked says nothing.
        assert!(without_effect(vec![cut(3)], &[]).is_empty());
    }
}
