//! The load generator: a crowd of buyers over HTTP, and the history of what they were told.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use clap::Args;
use seckill_core::{
    order::{Quantity, Units},
    sale::SaleId,
};
use tokio::task::JoinSet;

use crate::{
    buyer::{Client, Fate, Run, Tally},
    confirm::{self, Followed, Seen},
    exit::Failure,
    hook::Hook,
    http::{Connection, Target},
    progress::Progress,
    recorder::{Measures, Recorder},
    request::{Crowd, MAX_BUYERS, Requests},
};

/// How often the main thread looks how far the sale is.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What `load` is asked.
#[derive(Args, Debug)]
pub struct LoadArgs {
    /// Where the API listens; several by commas
    #[arg(long, value_name = "http://HOST:PORT", value_delimiter = ',', required = true)]
    pub url: Vec<String>,
    /// The sale to buy in
    #[arg(long)]
    pub sale: SaleId,
    /// Further sales, by commas, that buyers turn to in turns with the first (for which there is no check)
    #[arg(long, value_name = "SALE", value_delimiter = ',')]
    pub also_in: Vec<SaleId>,
    /// How many buyers order, each once
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=MAX_BUYERS), required_unless_present = "duration")]
    pub buyers: Option<u64>,
    /// Seconds after which nobody new starts to buy
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// How many buyers are at it at once, each on a connection of its own
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub connections: u16,
    /// Share of the buyers who send an Idempotency-Key, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = share)]
    pub keyed_share: f64,
    /// Every N-th keyed buyer asks once more after it has won
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub replay_every: Option<u64>,
    /// Every N-th keyed buyer is one who came before, with another key: what the fault suite tries limits by.
    #[arg(skip)]
    pub returning_every: Option<u64>,
    /// Units that each buyer asks for
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=Quantity::MAX))]
    pub quantity: Units,
    /// Characters of a remark that each buyer adds to its order
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=500))]
    pub remark_length: u16,
    /// Look for every N-th accepted order in MySQL, and measure when its row is there (needs --database-url)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub follow_every: Option<u64>,
    /// Buyers who start a second; as many as the API bears if not given
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: Option<u64>,
    /// Seconds after which a request without an answer counts as unknown
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub timeout: Duration,
    /// Seconds for which a buyer follows an open outcome
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub retry_for: Duration,
    /// Threads that send, 1 or 2
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub threads: u8,
    /// Run a shell command once so many buyers have an order (to break things in the middle of a sale)
    #[arg(long = "at", value_name = "ORDERS:COMMAND")]
    pub hooks: Vec<Hook>,
    /// Show progress bars
    #[arg(long)]
    pub progress: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 =
        text.trim_end_matches('s').parse().map_err(|_| "expected a number of seconds".to_owned())?;
    if seconds > 0.0 && seconds <= 86_400.0 {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("expected more than 0 and at most 86400 seconds".to_owned())
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("expected 0 to 1".to_owned()) }
}

/// What a run has come to.
#[derive(Debug)]
pub struct Finished {
    /// What its attempts took.
    pub measures: Measures,
    /// What became of its buyers.
    pub tally: Tally,
    /// How long it took.
    pub took: Duration,
    /// When the orders that were followed were in MySQL.
    pub confirmed: Option<Seen>,
}

/// Hands out buyers: who is next, and when.
#[derive(Debug)]
struct Door {
    next: AtomicU64,
    buyers: u64,
    opened: Instant,
    closes: Option<Instant>,
    between: Option<Duration>,
    shut: Arc<AtomicBool>,
}

impl Door {
    /// The next buyer's number and the time it is due, if it is not too late.
    fn next(&self) -> Option<(u64, Option<Instant>)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let due = self.between.map(|between| self.opened + between.mul_f64(number as f64));
        let starts = due.unwrap_or_else(Instant::now);
        let still_open =
            self.closes.is_none_or(|closes| starts < closes) && !self.shut.load(Ordering::Relaxed);
        (number < self.buyers && still_open).then_some((number, due))
    }
}

/// Waits until `due`, and says how late it is. Late is only whom the server kept waiting: where the
/// client was free in time, what the timer took longer is nobody's latency.
async fn wait_for_turn(due: Option<Instant>) -> Duration {
    let Some(due) = due else { return Duration::ZERO };
    let now = Instant::now();
    if due <= now {
        return now - due;
    }
    tokio::time::sleep_until(due.into()).await;
    Duration::ZERO
}

/// Sends the whole crowd, and waits until each buyer knows what became of it.
pub async fn run(
    args: &LoadArgs,
    history: Option<PathBuf>,
    database: Option<&str>,
) -> Result<Finished, Failure> {
    run_until_shut(args, history, database, Arc::default()).await
}

/// The same, but nobody new starts to buy once `shut` is set.
pub async fn run_until_shut(
    args: &LoadArgs,
    history: Option<PathBuf>,
    database: Option<&str>,
    shut: Arc<AtomicBool>,
) -> Result<Finished, Failure> {
    let mut targets = Vec::new();
    for url in &args.url {
        targets.push(Target::resolve(url).await.map_err(Failure::Usage)?);
    }
    reach_one(&targets).await?;

    let now = jiff::Timestamp::now();
    let run = Arc::new(Run {
        crowd: Crowd {
            run: format!("{:x}", now.as_millisecond()),
            sales: std::iter::once(&args.sale).chain(&args.also_in).cloned().collect(),
            quantity: args.quantity,
            keyed_share: args.keyed_share,
            replay_every: args.replay_every,
            returning_every: args.returning_every,
            remark_length: args.remark_length.into(),
        },
        answer_within: args.timeout,
        retry_for: args.retry_for,
        began: Instant::now(),
        recorder: Recorder::default(),
        keeps_history: history.is_some(),
        followed: args.follow_every.map(Followed::every),
        tally: Tally::default(),
        stop: AtomicBool::new(false),
    });
    let following = confirm::follow(&run, database)?;
    let recording = record(&run, history);
    let senders = send(args, &run, &targets, shut).map_err(|error| Failure::Other(error.into()))?;
    watch(args, &run, &senders, database).await;
    let took = run.began.elapsed();
    for sender in senders {
        sender.join().map_err(|_| anyhow::anyhow!("a sending thread panicked"))??;
    }
    let confirmed = match following {
        Some(following) => Some(following.end(&run)?),
        None => None,
    };
    run.recorder.finish();
    let measures = recording.join().map_err(|_| anyhow::anyhow!("the recording thread panicked"))??;
    let run = Arc::into_inner(run).expect("every thread has ended");
    Ok(Finished { measures, tally: run.tally, took, confirmed })
}

/// One server that answers is enough: that others are down may be what is tried out.
async fn reach_one(targets: &[Target]) -> Result<(), Failure> {
    let mut reasons = Vec::new();
    for target in targets {
        match Connection::open(target.address).await {
            Ok(_) => return Ok(()),
            Err(error) => reasons.push(format!("{}: {error}", target.host)),
        }
    }
    Err(Failure::Unreachable(format!("no API answers: {}", reasons.join(", "))))
}

fn record(run: &Arc<Run>, history: Option<PathBuf>) -> JoinHandle<io::Result<Measures>> {
    let run = Arc::clone(run);
    std::thread::spawn(move || run.recorder.run(history.as_deref()))
}

/// Starts the sending threads. Each has a runtime of its own: nothing is handed from one to the other.
fn send(
    args: &LoadArgs,
    run: &Arc<Run>,
    targets: &[Target],
    shut: Arc<AtomicBool>,
) -> io::Result<Vec<JoinHandle<io::Result<()>>>> {
    let opened = Instant::now();
    let door = Arc::new(Door {
        next: AtomicU64::new(0),
        buyers: args.buyers.unwrap_or(MAX_BUYERS),
        opened,
        closes: args.duration.map(|duration| opened + duration),
        between: args.rate.map(|rate| Duration::from_secs(1).div_f64(rate as f64)),
        shut,
    });
    let requests = |target: &Target| Arc::new(Requests::render(&run.crowd, &target.host));
    let targets: Vec<(Target, Arc<Requests>)> =
        targets.iter().map(|target| (target.clone(), requests(target))).collect();
    let threads = usize::from(args.threads);
    let mut senders = Vec::new();
    for thread in 0..threads {
        let clients: Vec<Client> = (0..usize::from(args.connections))
            .filter(|connection| connection % threads == thread)
            // Neighbours on one thread turn to different servers.
            .map(|connection| Client::new(Arc::clone(run), &targets, connection / threads))
            .collect();
        let (run, door) = (Arc::clone(run), Arc::clone(&door));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        senders.push(std::thread::spawn(move || runtime.block_on(serve_buyers(clients, &run, &door))));
    }
    Ok(senders)
}

async fn serve_buyers(clients: Vec<Client>, run: &Arc<Run>, door: &Arc<Door>) -> io::Result<()> {
    let mut busy = JoinSet::new();
    for mut client in clients {
        let (run, door) = (Arc::clone(run), Arc::clone(door));
        busy.spawn(async move {
            while let Some((number, due)) = door.next() {
                let late = wait_for_turn(due).await;
                if run.stop.load(Ordering::Relaxed) {
                    return;
                }
                let fate = client.buy(number, late).await;
                run.tally.count(fate);
            }
        });
    }
    while let Some(ended) = busy.join_next().await {
        ended.map_err(io::Error::other)?;
    }
    Ok(())
}

/// Runs the hooks and shows the progress until all senders have ended. Ctrl-C ends the run early.
async fn watch(args: &LoadArgs, run: &Run, senders: &[JoinHandle<io::Result<()>>], database: Option<&str>) {
    let mut progress = if args.progress { Some(Progress::start(args, database).await) } else { None };
    let mut hooks: Vec<&Hook> = args.hooks.iter().collect();
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let mut interrupted = false;
    while !senders.iter().all(JoinHandle::is_finished) {
        tokio::select! {
            _ = &mut interrupt, if !interrupted => {
                interrupted = true;
                run.stop.store(true, Ordering::Relaxed);
            }
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let accepted = run.tally.of(Fate::Accepted);
        hooks.retain(|hook| !hook.run_if_due(accepted));
        if let Some(progress) = &mut progress {
            progress.show(&run.tally);
        }
    }
    if let Some(mut progress) = progress {
        progress.finish(&run.tally).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(buyers: u64, closes_in: Option<Duration>, rate: Option<u64>) -> Door {
        let opened = Instant::now();
        Door {
            next: AtomicU64::new(0),
            buyers,
            opened,
            closes: closes_in.map(|span| opened + span),
            between: rate.map(|rate| Duration::from_secs(1).div_f64(rate as f64)),
            shut: Arc::default(),
        }
    }

    #[test]
    fn every_buyer_comes_once() {
        let door = door(3, None, None);
        let numbers: Vec<_> = std::iter::from_fn(|| door.next()).map(|(number, _)| number).collect();
        assert_eq!(numbers, [0, 1, 2]);
    }

    #[test]
    fn nobody_is_due_after_the_door_closes() {
        let door = door(MAX_BUYERS, Some(Duration::from_secs(2)), Some(10));
        assert_eq!(std::iter::from_fn(|| door.next()).count(), 20);
    }

    #[test]
    fn nobody_comes_through_a_door_that_is_shut() {
        let door = door(3, None, None);
        assert!(door.next().is_some());
        door.shut.store(true, Ordering::Relaxed);
        assert!(door.next().is_none());
    }

    #[test]
    fn spans_and_shares_have_their_ranges() {
        assert_eq!(seconds("1.5s"), Ok(Duration::from_millis(1500)));
        for bad in ["0", "-1", "x", "nan", "1e9"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        assert_eq!(share("0.25"), Ok(0.25));
        for bad in ["-0.1", "1.1", "nan"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }
}
