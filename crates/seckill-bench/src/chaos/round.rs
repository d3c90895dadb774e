//! One round: two sales are on, one of them scarce; things go wrong; then every promise is checked.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use seckill_core::sale::SaleId;

use super::{
    cancel::cancel_some,
    clients,
    course::{self, Probes},
    fault::{Fault, Needs},
    outcome::{Outcome, StrikeReport},
    poison,
    probe::Probe,
    schedule::Round,
    stage::Stage,
    world::World,
};
use crate::{
    history::{Attempt, History},
    load::{self, LoadArgs},
    promises,
    recorder::Kind,
    verify::{read_histories, verify},
    witness::{Offsets, Witness},
};

/// Units of the sale that does not sell out.
const PLENTY: u64 = 1_000_000;
/// Buyers a second, of each of the two sales.
pub const RATE: u64 = 150;
/// Most units that one buyer of the scarce sale may hold.
const LIMIT: u64 = 1;
/// Every so many-th of its buyers with a key has been there a second before, and asks for more than the limit.
const RETURNING_EVERY: u64 = 5;
/// Connections to each of the two sales.
const CONNECTIONS: u16 = 48;
/// How long a sale is on before the first strike's pause begins, and after the last recovery.
const CALM: Duration = Duration::from_millis(500);
/// How long an answer may take before its outcome counts as unknown.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// A sale, and what its buyers were told.
#[derive(Debug)]
pub struct OnSale {
    sale: SaleId,
    histories: Vec<PathBuf>,
}

/// A sale whose orders are held throughout a run, and who asks whether it is answered.
#[derive(Debug)]
pub struct Held {
    on_sale: OnSale,
    probe: Probe,
}

/// Plays `round`, the `number`-th of this run.
pub async fn play(
    world: &mut World,
    round: &Round,
    number: usize,
    held: Option<&mut Held>,
) -> anyhow::Result<Outcome> {
    let needs: Vec<Needs> = round.faults().iter().map(|fault| fault.needs()).collect();
    world.set(&needs).await?;
    world.make_whole().await?;
    // The servers on small disks have a MySQL of their own, which does not know of it.
    let held = held.filter(|_| world.stage != Stage::SmallDisks).map(|held| &mut held.probe);
    let (orders, dead_letters) = world.log.ends().await?;
    let plenty = world.create_sale(&format!("r{number}-plenty"), PLENTY, None).await?;
    let scarce = world.create_sale(&format!("r{number}-scarce"), round.scarce, Some(LIMIT)).await?;
    let told = Told::of(world, number, &plenty);
    let strikes = sell(world, round, [&plenty, &scarce], &told, held).await?;

    let mut outcome = Outcome::of(round, strikes);
    let of_plenty = History::read(&told.plenty)?;
    for strike in &mut outcome.strikes {
        count_accepted(&of_plenty, strike);
        check_felt(&of_plenty, strike);
    }
    bring_to_rest(world, &plenty, &of_plenty, &mut outcome).await;
    // A log that was made anew does not tell of what was in the old one.
    let orders = Some(orders).filter(|_| !round.faults().contains(&Fault::TopicDeleted));
    let overload = Some(&told.overload).filter(|told| told.exists());
    let histories = [&told.plenty, &told.probe].into_iter().chain(overload).cloned().collect();
    for on_sale in
        [OnSale { sale: plenty, histories }, OnSale { sale: scarce, histories: vec![told.scarce.clone()] }]
    {
        check(world, &on_sale, orders.as_ref(), &mut outcome).await?;
    }
    if let Some(crowd) = overload {
        let others = read_histories(&[told.plenty.clone(), told.scarce.clone()])?;
        let (note, problems) = clients::judge(&History::read(crowd)?, &others);
        outcome.notes.push(note);
        outcome.problems.extend(problems);
    }
    check_dead_letters(world, round, dead_letters, &mut outcome).await?;
    Ok(outcome)
}

/// Where it is written what the buyers of a round were told.
struct Told {
    plenty: PathBuf,
    scarce: PathBuf,
    probe: PathBuf,
    /// Written where the fault is an overload.
    overload: PathBuf,
}

impl Told {
    fn of(world: &World, number: usize, plenty: &SaleId) -> Self {
        let file = |name: &str| world.folder.join(format!("round-{number}-{name}.jsonl"));
        let overload = world.overload_history(plenty.as_str());
        Self { plenty: file("plenty"), scarce: file("scarce"), probe: file("probe"), overload }
    }
}

/// Sells both sales until all strikes are over.
async fn sell(
    world: &mut World,
    round: &Round,
    [plenty, scarce]: [&SaleId; 2],
    told: &Told,
    held: Option<&mut Probe>,
) -> anyhow::Result<Vec<StrikeReport>> {
    let urls = world.processes.api_urls();
    let mut probe = Probe::start(&urls, plenty.clone(), told.probe.clone()).await?;
    let shut = Arc::new(AtomicBool::new(false));
    let crowd = |sale: &SaleId, told: &Path, returning_every| {
        let args = LoadArgs { returning_every, ..crowd_args(&urls, sale.clone()) };
        let (told, shut) = (told.to_owned(), Arc::clone(&shut));
        async move { load::run_until_shut(&args, Some(told), None, shut).await }
    };
    let strikes = async {
        let struck = strike_all(world, round, plenty, &mut probe, held).await;
        shut.store(true, Ordering::Relaxed);
        struck
    };
    let (of_plenty, of_scarce, strikes) = tokio::join!(
        crowd(plenty, &told.plenty, None),
        crowd(scarce, &told.scarce, Some(RETURNING_EVERY)),
        strikes
    );
    let strikes = strikes?;
    of_plenty.and(of_scarce).context("the load generator failed")?;
    probe.finish()?;
    Ok(strikes)
}

/// Waits until all runs again, and lets some cancel. What goes wrong is a problem, and no reason to look at nothing.
async fn bring_to_rest(world: &mut World, sale: &SaleId, told: &History, outcome: &mut Outcome) {
    let whole = world.make_whole().await;
    let written_to = world.wait_for_writers().await;
    // That an order is not there is what the checks will say.
    let cancelled = cancel_some(world, sale, told).await;
    let errors = [whole, written_to, cancelled].into_iter().filter_map(Result::err);
    outcome.problems.extend(errors.map(|error| format!("{error:#}")));
}

/// Sells so many orders of one sale, as fast as it goes: what a ledger that is rebuilt has to hold.
pub async fn hold(world: &mut World, orders: u64) -> anyhow::Result<Held> {
    world.set(&[]).await?;
    world.make_whole().await?;
    let sale = world.create_sale("held", orders, None).await?;
    let (told, told_probe) = (world.folder.join("held.jsonl"), world.folder.join("held-probe.jsonl"));
    let urls = world.processes.api_urls();
    let crowd = LoadArgs { buyers: Some(orders), rate: None, ..crowd_args(&urls, sale.clone()) };
    load::run(&crowd, Some(told.clone()), None).await.context("the load generator failed")?;
    let probe = Probe::start(&urls, sale.clone(), told_probe.clone()).await?;
    Ok(Held { on_sale: OnSale { sale, histories: vec![told, told_probe] }, probe })
}

/// Checks once more what [`hold`] has sold, after everything that came since.
pub async fn check_held(world: &mut World, held: Held) -> anyhow::Result<Outcome> {
    held.probe.finish()?;
    world.set(&[]).await?;
    world.make_whole().await?;
    let round = Round { name: "held throughout".to_owned(), scarce: 0, strikes: Vec::new() };
    let mut outcome = Outcome::of(&round, Vec::new());
    check(world, &held.on_sale, None, &mut outcome).await?;
    Ok(outcome)
}

fn crowd_args(urls: &[String], sale: SaleId) -> LoadArgs {
    LoadArgs {
        url: urls.to_vec(),
        sale,
        also_in: Vec::new(),
        buyers: None,
        duration: None,
        connections: CONNECTIONS,
        keyed_share: 0.7,
        replay_every: Some(5),
        returning_every: None,
        quantity: 1,
        remark_length: 0,
        follow_every: None,
        rate: Some(RATE),
        timeout: ANSWER_WITHIN,
        retry_for: Duration::from_secs(60),
        threads: 1,
        hooks: Vec::new(),
        progress: false,
    }
}

async fn strike_all(
    world: &mut World,
    round: &Round,
    sale: &SaleId,
    probe: &mut Probe,
    mut held: Option<&mut Probe>,
) -> anyhow::Result<Vec<StrikeReport>> {
    let mut reports = Vec::new();
    tokio::time::sleep(CALM).await;
    for strike in &round.strikes {
        let probes = Probes { of_round: &mut *probe, of_held: held.as_deref_mut() };
        reports.push(course::run(world, strike, sale.as_str(), probes).await?);
    }
    tokio::time::sleep(CALM).await;
    Ok(reports)
}

/// Checks every promise of one sale; what the log tells of it only where it is told from where on to read.
async fn check(
    world: &World,
    on_sale: &OnSale,
    starts: Option<&Offsets>,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let told = read_histories(&on_sale.histories)?;
    let mut findings = verify(&told, &on_sale.sale, &world.place).await?;
    let mut witness =
        Witness::connect(&world.place.database_url, &world.place.redis_url, on_sale.sale.clone()).await?;
    let (store, ledger) = witness.read().await?;
    if let Some(starts) = starts {
        let log = world.log.orders_of(on_sale.sale.clone(), starts.clone()).await?;
        findings.push(promises::unlogged(&told, &store, &log));
    }

    let pending = promises::once_pending(&told);
    let is_open = |id: &&_| {
        ledger.outbox.contains(*id) || ledger.live.contains_key(*id) && !store.orders.contains_key(*id)
    };
    outcome.accepted += promises::promised(&told).len() as u64;
    outcome.pending += pending.len() as u64;
    outcome.resolved += (pending.len() - pending.iter().filter(is_open).count()) as u64;
    outcome.add_findings(&on_sale.sale, &findings);
    if store.per_buyer_limit.is_some() && !told.answers().any(|(_, answer)| answer.is_limit_reached()) {
        outcome.problems.push("nobody was refused for the limit of a buyer".to_owned());
    }
    check_expectations(&told, outcome);
    Ok(())
}

/// Some faults did nothing if no buyer who asked while they lasted had to ask again.
fn check_felt(told: &History, strike: &mut StrikeReport) {
    let lasted = strike.began.as_millisecond()..strike.ended.as_millisecond();
    let mut asked = told.attempts.iter().filter(|attempt| lasted.contains(&attempt.at_ms));
    let is_felt =
        asked.any(|attempt| matches!(Kind::of(attempt), Kind::Pending | Kind::TryAgain | Kind::Unknown));
    if matches!(strike.faults[..], [fault] if fault.is_felt()) && !is_felt {
        strike.problems.push("no buyer felt it".to_owned());
    }
}

/// What is expected of some faults beyond the promises.
fn check_expectations(told: &History, outcome: &mut Outcome) {
    if outcome.faults().any(Fault::is_unnoticed) {
        let failed = told.answers().filter(|(_, answer)| answer.status >= 500).count();
        let cut_off = told.attempts.iter().filter(|attempt| Kind::of(attempt) == Kind::Unknown).count();
        if failed + cut_off > 0 {
            outcome.problems.push(format!("{failed} answers of 5xx, {cut_off} requests without an answer"));
        }
    }
}

/// Counts who was accepted while a strike lasted: not before its last blow had fallen, nor by its being healed.
fn count_accepted(told: &History, strike: &mut StrikeReport) {
    let lasted = strike.struck.as_millisecond()..strike.ended.as_millisecond();
    let is_accepted = |attempt: &&Attempt| Kind::of(attempt) == Kind::Accepted;
    let accepted = told.attempts.iter().filter(is_accepted);
    strike.accepted_meanwhile =
        accepted.filter(|attempt| lasted.contains(&attempt.known_at_ms())).count() as u64;
}

async fn check_dead_letters(
    world: &World,
    round: &Round,
    starts: Offsets,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let reasons = world.log.reasons(starts).await?;
    let poisoned =
        round.strikes.iter().flat_map(|strike| &strike.blows).filter(|blow| blow.fault.is_poison()).count();
    for kind in poison::missing(&reasons, poisoned) {
        outcome.problems.push(format!("no dead letter says {kind:?}"));
    }
    outcome.dead_letters = reasons.len() as u64;
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        chaos::{fault::Pace, schedule::round_of},
        history::{Answer, Outcome as Ending},
    };

    /// A strike from second 1 to 4, whose last blow had fallen at second 2.
    fn strike(fault: Fault) -> StrikeReport {
        let at = |second| Timestamp::from_second(second).unwrap();
        StrikeReport {
            faults: vec![fault],
            began: at(1),
            struck: at(2),
            ended: at(4),
            accepting: Some(0.0),
            recovered: Some(0.0),
            accepted_meanwhile: 0,
            memory_mb: [0; 3],
            problems: Vec::new(),
        }
    }

    fn attempt(at_ms: i64, took_ms: u64, outcome: Ending) -> Attempt {
        Attempt { at_ms, start_us: 7, end_us: 7 + 1_000 * took_ms, ..Attempt::ended(outcome) }
    }

    #[test]
    fn who_was_accepted_before_the_blow_or_by_its_end_does_not_count() {
        let told = [(1_500, 400), (1_500, 500), (3_000, 900), (3_000, 1_000), (4_100, 1)];
        let attempts = told.map(|(at, took)| attempt(at, took, Ending::accepted())).to_vec();
        let mut strike = strike(Fault::MysqlKill);
        count_accepted(&History { attempts }, &mut strike);
        assert_eq!(strike.accepted_meanwhile, 2);
    }

    #[test]
    fn replies_that_are_lost_and_missed_by_nobody_were_not_lost() {
        let mut calm = strike(Fault::RedisLostReplies);
        let mut told = History { attempts: vec![attempt(3_000, 1, Ending::accepted())] };
        check_felt(&told, &mut calm);
        assert_eq!(calm.problems, ["no buyer felt it"]);
        let mut felt = strike(Fault::RedisLostReplies);
        told.attempts.push(attempt(3_000, 4_000, Ending::Unknown("no answer".into())));
        check_felt(&told, &mut felt);
        assert!(felt.problems.is_empty());
    }

    #[test]
    fn a_rolling_restart_that_cuts_a_buyer_off_is_a_problem() {
        let told = |outcome| History { attempts: vec![attempt(3_000, 1, outcome)] };
        let problems = |told| {
            let round = round_of(Fault::RollingRestart, 1, Pace::Quick);
            let mut outcome = Outcome::of(&round, vec![strike(Fault::RollingRestart)]);
            check_expectations(&told, &mut outcome);
            outcome.problems
        };
        assert!(problems(told(Ending::accepted())).is_empty());
        assert!(problems(told(Ending::Unsent("refused".into()))).is_empty());
        assert_eq!(
            problems(told(Ending::Unknown("reset".into()))),
            ["0 answers of 5xx, 1 requests without an answer"]
        );
        let failed = Ending::Answered(Answer { status: 502, ..Answer::default() });
        assert_eq!(problems(told(failed)), ["1 answers of 5xx, 0 requests without an answer"]);
    }
}
