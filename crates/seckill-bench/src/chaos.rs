//! The fault suite: real processes on real services of their own, under load, while things go wrong.
//!
//! | module | is |
//! |---|---|
//! | [`fault`] | the faults: names, lengths, how often, what is expected |
//! | [`schedule`] | what strikes when, drawn from a seed |
//! | [`round`] | two sales, their strikes, and the checks afterwards |
//! | [`course`] | one strike, from its first blow to the recovery |
//! | [`strike`]; [`mysql`], [`poison`], [`clients`], [`clock`], [`disk`], [`replicas`] | how each fault is done and undone |
//! | [`proxy`], [`commit_cut`] | what stands between processes and services where replies are lost |
//! | [`cancel`] | buyers who cancel, and come back |
//! | [`evidence`] | whether a fault took effect |
//! | [`probe`] | how long recovery takes |
//! | [`world`], [`process`], [`stage`], [`services`] | what is broken: our processes, and what they stand on |
//! | [`outcome`] | the report |

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};

use crate::{exit::Failure, verify::WhereArgs, witness::LogWitness};

mod cancel;
mod clients;
mod clock;
mod commit_cut;
mod course;
mod disk;
mod evidence;
mod fault;
mod mysql;
mod outcome;
mod poison;
mod probe;
mod process;
mod proxy;
mod replicas;
mod round;
mod schedule;
mod services;
mod stage;
mod strike;
mod world;

use fault::{Fault, Needs, Pace};
use outcome::{Outcome, Report};
use process::{Kind, Processes};
use proxy::{Behind, Proxies};
use schedule::Round;
use services::Services;
use stage::{Addresses, Stage, Stages};
use world::{World, address_in};

/// So many rounds in a row that could not be played end the run: what is left will not do better.
const GIVE_UP_AFTER: usize = 2;

/// Orders that are held in a full run, beside those of the rounds.
const HELD: u64 = 100_000;

/// What `chaos` is asked.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct ChaosArgs {
    /// Only the selection of the test command, and shorter
    #[arg(long)]
    quick: bool,
    /// What the schedule is drawn from; by chance if not given
    #[arg(long)]
    seed: Option<u64>,
    /// Only these faults, by commas
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<Fault>,
    /// Pairs of faults at random for so long, instead of one fault after the other
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: Option<u64>,
    /// With --quick: leave out what this machine lacks something for, which else fails the run
    #[arg(long)]
    may_skip: bool,
    /// Print the faults, and do nothing
    #[arg(long)]
    list: bool,
    /// The script that runs the services (scripts/services)
    #[arg(long, value_name = "FILE", default_value = "scripts/services")]
    services: PathBuf,
    /// Where the services keep their state; everything in there is at the mercy of the faults
    #[arg(long, value_name = "FOLDER", default_value = "target/chaos/services")]
    services_dir: PathBuf,
    /// The same, each on a disk of its own that is small enough to be filled; without it, what needs it is skipped
    #[arg(long, value_name = "FOLDER")]
    small_disks: Option<PathBuf>,
    /// Whether several brokers, and a Redis with replicas, can be run; else what needs them is skipped
    #[arg(long)]
    replicas: bool,
    /// Where the binaries of the system lie
    #[arg(long, value_name = "FOLDER", default_value = "target/release")]
    binaries: PathBuf,
    /// Where report, logs and histories go
    #[arg(long, value_name = "FOLDER", default_value = "target/chaos")]
    folder: PathBuf,
    /// Toxiproxy's server; without it, what needs it is skipped
    #[arg(long, value_name = "FILE")]
    toxiproxy: Option<PathBuf>,
    /// The port that Kafka's listener for clients of the proxy names to them
    #[arg(long, env = "SECKILL_KAFKA_PROXY_PORT", value_name = "PORT")]
    kafka_proxy_port: Option<u16>,
    /// libfaketime; without it, what needs it is skipped
    #[arg(long, value_name = "FILE")]
    faketime: Option<String>,
    /// Kafka
    #[arg(long, env = "KAFKA_BROKERS", default_value = "127.0.0.1:9092")]
    kafka_brokers: String,
    #[command(flatten)]
    place: WhereArgs,
}

/// Plays the rounds that are asked for, and says whether every promise held. When it is interrupted, the processes
/// that it started end with it.
pub async fn run(args: &ChaosArgs, json: bool) -> Result<bool, Failure> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        held = play(args, json) => held,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted").into()),
        _ = terminated.recv() => Err(anyhow::anyhow!("terminated").into()),
    }
}

async fn play(args: &ChaosArgs, json: bool) -> Result<bool, Failure> {
    let pace = if args.quick { Pace::Quick } else { Pace::Full };
    if args.list {
        list(pace);
        return Ok(true);
    }
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    eprintln!("chaos: seed {seed} (to repeat this schedule: --seed {seed})");
    let (began, started) = (Timestamp::now(), Instant::now());
    let (mut rounds, mut skipped) = (Vec::new(), Vec::new());
    let mut planned = plan(args, seed, pace, &mut skipped)?;
    let mut world = prepare(args).await?;
    // A ledger that is lost is rebuilt with all that it held: in a long run that is a lot.
    let mut held = match pace {
        Pace::Full => Some(round::hold(&mut world, HELD).await?),
        Pace::Quick => None,
    };
    let (mut failures, playing) = (0, Instant::now());
    while failures < GIVE_UP_AFTER
        && let Some(round) = planned.next(playing.elapsed())
    {
        eprintln!("chaos: {} ({} times)", round.name, round.strikes.len());
        let played = round::play(&mut world, &round, rounds.len() + 1, held.as_mut()).await;
        failures = if played.is_ok() { 0 } else { failures + 1 };
        let outcome = played.unwrap_or_else(|error| Outcome::failed(&round, &error));
        tell(&outcome);
        rounds.push(outcome);
    }
    if let Some(held) = held {
        rounds.push(round::check_held(&mut world, held).await?);
    }
    let ended = world.end().await;
    let ok = ended.is_ok() && rounds.iter().all(|round| round.all_problems().is_empty());
    let report = Report { seed, began, seconds: started.elapsed().as_secs_f64(), ok, rounds, skipped };
    report.write(&args.folder.join("report.json"))?;
    if json {
        println!("{}", serde_json::json!(report));
    } else {
        println!("{}", report.table());
    }
    ended?;
    Ok(ok)
}

/// The rounds to come.
struct Planned {
    rounds: std::vec::IntoIter<Round>,
    pairs: Option<Pairs>,
}

/// Pairs at random, until the time is over.
struct Pairs {
    faults: Vec<Fault>,
    seed: u64,
    drawn: u64,
    ends: Duration,
}

fn plan(args: &ChaosArgs, seed: u64, pace: Pace, skipped: &mut Vec<String>) -> Result<Planned, Failure> {
    let chosen = |fault: &Fault| {
        // Pairs are short, but drawn from all.
        let pace = if args.minutes.is_some() { Pace::Full } else { pace };
        if args.only.is_empty() { fault.times(pace) > 0 } else { args.only.contains(fault) }
    };
    let mut faults: Vec<Fault> = Fault::ALL.into_iter().filter(chosen).collect();
    faults.retain(|fault| {
        let lacks = match fault.needs() {
            Needs::Proxies if args.toxiproxy.is_none() || args.kafka_proxy_port.is_none() => "Toxiproxy",
            Needs::FakeTime if args.faketime.is_none() => "libfaketime",
            Needs::SmallDisks if args.small_disks.is_none() => "small disks",
            Needs::Replicas if !args.replicas => "HAProxy",
            _ => return true,
        };
        let line = format!("{fault}: no {lacks} on this machine");
        eprintln!("chaos: skipped {line}");
        skipped.push(line);
        false
    });
    // The test command must not pass because of what it did not try.
    if pace == Pace::Quick && !skipped.is_empty() && !args.may_skip {
        return Err(anyhow::anyhow!("what is skipped is part of --quick; --may-skip plays the rest").into());
    }
    let Some(minutes) = args.minutes else {
        let rounds: Vec<Round> =
            faults.into_iter().map(|fault| schedule::round_of(fault, seed, pace)).collect();
        return Ok(Planned { rounds: rounds.into_iter(), pairs: None });
    };
    let faults: Vec<Fault> = faults.into_iter().filter(|fault| fault.can_be_paired()).collect();
    if faults.len() < 2 {
        return Err(Failure::Usage("--minutes needs two faults that can strike together".into()));
    }
    let pairs = Pairs { faults, seed, drawn: 0, ends: Duration::from_secs(minutes * 60) };
    Ok(Planned { rounds: Vec::new().into_iter(), pairs: Some(pairs) })
}

impl Planned {
    fn next(&mut self, elapsed: Duration) -> Option<Round> {
        let Some(pairs) = &mut self.pairs else { return self.rounds.next() };
        if elapsed >= pairs.ends {
            return None;
        }
        pairs.drawn += 1;
        Some(schedule::pair(&pairs.faults, pairs.seed, pairs.drawn))
    }
}

/// Makes schema and topics, and starts two of each process.
async fn prepare(args: &ChaosArgs) -> anyhow::Result<World> {
    std::fs::create_dir_all(&args.folder)?;
    let folder = args.folder.canonicalize()?;
    let members = [
        ("consumer-1", Kind::Consumer),
        ("consumer-2", Kind::Consumer),
        ("api-1", Kind::Api),
        ("api-2", Kind::Api),
    ];
    let processes = Processes::new(args.binaries.clone(), folder.clone(), &members)?;
    let proxies = match (&args.toxiproxy, args.kafka_proxy_port) {
        (Some(program), Some(port)) => Some(Proxies::start(program, &folder, &behind(args)?, port).await?),
        _ => None,
    };
    let log = LogWitness {
        brokers: args.kafka_brokers.clone(),
        orders: "seckill.orders".into(),
        dead_letters: "seckill.orders.dead".into(),
        group: "order-consumer".into(),
    };
    let services = Services { script: args.services.clone(), directory: args.services_dir.clone() };
    let addresses = Addresses {
        redis: args.place.redis_url.clone(),
        kafka: args.kafka_brokers.clone(),
        mysql: args.place.database_url.clone(),
    };
    let world = World {
        stages: Stages { usual: services.clone(), addresses, small: args.small_disks.clone() },
        stage: Stage::Usual,
        services,
        processes,
        log,
        place: args.place.clone(),
        binaries: args.binaries.clone(),
        folder,
        under_way: Vec::new(),
        locks: None,
        proxies,
        fake_time: args.faketime.clone(),
    };
    world.prepare().await?;
    Ok(world)
}

/// What the proxies stand before. Kafka's listener for them is two ports above its own: scripts/services.d/kafka.sh.
fn behind(args: &ChaosArgs) -> anyhow::Result<Behind> {
    let kafka: SocketAddr = args.kafka_brokers.parse().context("KAFKA_BROKERS is not one address")?;
    Ok(Behind {
        redis: address_in(&args.place.redis_url)?.to_owned(),
        kafka: SocketAddr::new(kafka.ip(), kafka.port() + 2).to_string(),
        mysql: address_in(&args.place.database_url)?.to_owned(),
    })
}

/// A line on a round that is over.
fn tell(outcome: &Outcome) {
    let recovered = outcome.slowest().map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.1} s"));
    eprintln!(
        "chaos:   accepted {}, slowest recovery {recovered} (target {} s)",
        outcome.accepted, outcome.target
    );
    for problem in outcome.all_problems() {
        eprintln!("chaos:   {problem}");
    }
}

fn list(pace: Pace) {
    for fault in Fault::ALL.into_iter().filter(|fault| fault.times(pace) > 0) {
        let traits = fault.traits();
        println!("{:20} {:3} times  {}", traits.name, fault.times(pace), traits.about);
    }
}
