//! One round: two sales are on, one of them scarce; things go wrong; then every promise is checked.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use jiff::Timestamp;
use seckill_core::sale::SaleId;

use super::{
    cancel::cancel_some,
    clients,
    fault::{Fault, Needs},
    outcome::{Outcome, StrikeReport},
    poison,
    probe::Probe,
    schedule::{Round, Strike},
    strike,
    world::World,
};
use crate::{
    history::History,
    load::{self, LoadArgs},
    promises,
    verify::{read_histories, verify},
    witness::{Offsets, Witness},
};

/// Units of the sale that does not sell out.
const PLENTY: u64 = 1_000_000;
/// Buyers a second, of each of the two sales.
const RATE: u64 = 150;
/// Connections to each of the two sales.
const CONNECTIONS: u16 = 48;
/// How long a sale is on before the first strike's pause begins, and after the last recovery.
const CALM: Duration = Duration::from_millis(500);
/// How long a fault may take to begin: a restart of everything in turn takes longest.
const BEGIN_WITHIN: Duration = Duration::from_secs(60);
/// How long an answer may take before its outcome counts as unknown.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// A sale, and what its buyers were told.
#[derive(Debug)]
pub struct OnSale {
    sale: SaleId,
    histories: Vec<PathBuf>,
}

/// Plays `round`, the `number`-th of this run.
pub async fn play(world: &mut World, round: &Round, number: usize) -> anyhow::Result<Outcome> {
    let needs: Vec<Needs> = round.faults().iter().map(|fault| fault.needs()).collect();
    world.set(&needs).await?;
    world.make_whole().await?;
    let (orders, dead_letters) = world.log.ends().await?;
    let plenty = world.create_sale(&format!("r{number}-plenty"), PLENTY).await?;
    let scarce = world.create_sale(&format!("r{number}-scarce"), round.scarce).await?;
    let file = |name: &str| world.folder.join(format!("round-{number}-{name}.jsonl"));
    let (told_plenty, told_scarce, told_probe) = (file("plenty"), file("scarce"), file("probe"));

    let urls = world.processes.api_urls();
    let mut probe = Probe::start(&urls, plenty.clone(), told_probe.clone()).await?;
    let shut = Arc::new(AtomicBool::new(false));
    let crowd = |sale: &SaleId, told: &Path| {
        let args = crowd_args(&urls, sale.clone());
        let (told, shut) = (told.to_owned(), Arc::clone(&shut));
        async move { load::run_until_shut(&args, Some(told), None, shut).await }
    };
    let strikes = async {
        let struck = strike_all(world, round, &plenty, &mut probe).await;
        shut.store(true, Ordering::Relaxed);
        struck
    };
    let (of_plenty, of_scarce, strikes) =
        tokio::join!(crowd(&plenty, &told_plenty), crowd(&scarce, &told_scarce), strikes);
    let strikes = strikes?;
    let overload = Some(world.overload_history(plenty.as_str())).filter(|told| told.exists());
    of_plenty.and(of_scarce).context("the load generator failed")?;
    probe.finish()?;

    let mut outcome = Outcome::of(round, strikes);
    // A log that was made anew does not tell of what was in the old one.
    let orders = Some(orders).filter(|_| !round.faults().contains(&Fault::TopicDeleted));
    // A process that does not stand up any more is no reason to look at nothing.
    if let Err(error) = world.make_whole().await {
        outcome.problems.push(format!("{error:#}"));
    }
    if let Err(error) = world.wait_for_writers().await {
        outcome.problems.push(format!("{error:#}"));
    }
    // Nor is an order that cannot be cancelled: that it is not there is what the checks will say.
    if let Err(error) = cancel_some(world, &plenty, &History::read(&told_plenty)?).await {
        outcome.problems.push(format!("{error:#}"));
    }
    for on_sale in [
        OnSale {
            sale: plenty,
            histories: [told_plenty, told_probe].into_iter().chain(overload.clone()).collect(),
        },
        OnSale { sale: scarce, histories: vec![told_scarce] },
    ] {
        check(world, &on_sale, orders.as_ref(), &mut outcome).await?;
    }
    if let Some(told) = &overload {
        let (note, problems) = clients::judge(&History::read(told)?);
        outcome.notes.push(note);
        outcome.problems.extend(problems);
    }
    check_dead_letters(world, round, dead_letters, &mut outcome).await?;
    Ok(outcome)
}

/// Sells so many orders of one sale, as fast as it goes: what a ledger that is rebuilt has to hold.
pub async fn hold(world: &mut World, orders: u64) -> anyhow::Result<OnSale> {
    world.set(&[]).await?;
    world.make_whole().await?;
    let sale = world.create_sale("held", orders).await?;
    let told = world.folder.join("held.jsonl");
    let crowd = LoadArgs {
        buyers: Some(orders),
        rate: None,
        ..crowd_args(&world.processes.api_urls(), sale.clone())
    };
    load::run(&crowd, Some(told.clone()), None).await.context("the load generator failed")?;
    Ok(OnSale { sale, histories: vec![told] })
}

/// Checks once more what [`hold`] has sold, after everything that came since.
pub async fn check_held(world: &mut World, held: &OnSale) -> anyhow::Result<Outcome> {
    world.set(&[]).await?;
    world.make_whole().await?;
    let round = Round { name: "held throughout".to_owned(), scarce: 0, strikes: Vec::new() };
    let mut outcome = Outcome::of(&round, Vec::new());
    check(world, held, None, &mut outcome).await?;
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
) -> anyhow::Result<Vec<StrikeReport>> {
    let mut reports = Vec::new();
    tokio::time::sleep(CALM).await;
    for strike in &round.strikes {
        reports.push(strike_once(world, strike, sale, probe).await?);
    }
    tokio::time::sleep(CALM).await;
    Ok(reports)
}

async fn strike_once(
    world: &mut World,
    strike: &Strike,
    sale: &SaleId,
    probe: &mut Probe,
) -> anyhow::Result<StrikeReport> {
    tokio::time::sleep(strike.pause).await;
    let began = Timestamp::now();
    let (memory_before, cut_before) = (world.api_memory(), world.cut_commits());
    let mut problems = Vec::new();
    for blow in &strike.blows {
        tokio::time::sleep(blow.after).await;
        let blown =
            tokio::time::timeout(BEGIN_WITHIN, strike::begin(world, blow, sale.as_str(), strike.lasts))
                .await
                .unwrap_or_else(|late| Err(late.into()));
        // The second of a pair may find nothing left to break.
        if let (Err(error), 1) = (blown, strike.blows.len()) {
            problems.push(format!("{}: {error:#}", blow.fault));
        }
    }
    tokio::time::sleep(strike.lasts).await;
    let ended = Timestamp::now();
    if let (Err(error), 1) = (strike::end_under_way(world).await, strike.blows.len()) {
        problems.push(format!("{error:#}"));
    }
    let mut faults: Vec<_> = strike.blows.iter().map(|blow| blow.fault).collect();
    faults.sort_by_key(|&fault| strike::order_of_ending(fault));
    for &fault in &faults {
        strike::end(world, fault).await.with_context(|| format!("cannot end {fault}"))?;
    }
    let healed = Instant::now();
    let recovery = probe.recovery(healed, &world.log).await;
    if faults.contains(&Fault::CutAtCommit) && world.cut_commits() == cut_before {
        problems.push("no COMMIT was cut".to_owned());
    }
    if recovery.is_none() {
        problems.push("did not recover".to_owned());
    }
    Ok(StrikeReport {
        faults,
        began,
        ended,
        accepting: recovery.map(|recovery| recovery.accepting.as_secs_f64()),
        recovered: recovery.map(|recovery| recovery.whole.as_secs_f64()),
        accepted_meanwhile: 0,
        memory_mb: [memory_before, world.api_memory()],
        problems,
    })
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
    check_expectations(&told, outcome);
    Ok(())
}

/// What is expected of some faults beyond the promises.
fn check_expectations(told: &History, outcome: &mut Outcome) {
    if outcome.faults().any(Fault::allows_no_5xx) {
        let answers = told.answers().filter(|(_, answer)| answer.status >= 500).count();
        if answers > 0 {
            outcome.problems.push(format!("{answers} answers of 5xx"));
        }
    }
    for strike in &mut outcome.strikes {
        let during = told.answers().filter(|(attempt, answer)| {
            let sent = attempt.at_ms;
            sent >= strike.began.as_millisecond()
                && sent < strike.ended.as_millisecond()
                && answer.is_promise()
        });
        strike.accepted_meanwhile += during.count() as u64;
    }
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
