//! Checks the promises of a sale once it rests.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use seckill_core::sale::SaleId;

use crate::{
    exit::Failure,
    history::History,
    promises::{Finding, all_hold, check},
    witness::Witness,
};

/// How often the sale is looked at until it rests.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Where MySQL and Redis are.
#[derive(Args, Clone, Debug)]
pub struct WhereArgs {
    /// MySQL, which holds the truth
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        default_value = "mysql://seckill:seckill@127.0.0.1:3306/seckill"
    )]
    pub database_url: String,
    /// Redis, which holds the ledger
    #[arg(long, env = "REDIS_URL", hide_env_values = true, default_value = "redis://127.0.0.1:6379/1")]
    pub redis_url: String,
    /// Seconds to wait, while MySQL is written nothing, until nothing of the sale is on its way any more
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds_or_none)]
    pub wait: Duration,
}

fn seconds_or_none(text: &str) -> Result<Duration, String> {
    let seconds: f64 =
        text.trim_end_matches('s').parse().map_err(|_| "expected a number of seconds".to_owned())?;
    if (0.0..=86_400.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("expected 0 to 86400 seconds".to_owned())
    }
}

/// What `promises` is asked.
#[derive(Args, Debug)]
pub struct PromisesArgs {
    /// The history that `load` wrote; several may be given
    #[arg(long, required = true)]
    pub history: Vec<PathBuf>,
    /// The sale that was sold
    #[arg(long)]
    pub sale: SaleId,
    #[command(flatten)]
    pub place: WhereArgs,
}

/// Reads several histories of one sale as one.
pub fn read_histories(paths: &[PathBuf]) -> Result<History, Failure> {
    let mut history = History::default();
    for path in paths {
        let more =
            History::read(path).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
        history.attempts.extend(more.attempts);
    }
    Ok(history)
}

/// Waits until `sale` rests, at most as long as asked, and checks what it then finds. What does not hold
/// is looked at again until the time is over: an order may only have been on its way. The time begins
/// anew while anything is written to MySQL: other orders may have been in the log before.
pub async fn verify(history: &History, sale: &SaleId, place: &WhereArgs) -> Result<Vec<Finding>, Failure> {
    let mut witness = Witness::connect(&place.database_url, &place.redis_url, sale.clone()).await?;
    let (mut written, mut ends) = (0, Instant::now() + place.wait);
    loop {
        let written_now = witness.written().await?;
        if written_now != written {
            (written, ends) = (written_now, Instant::now() + place.wait);
        }
        let is_over = Instant::now() >= ends;
        if is_over || witness.is_at_rest().await? {
            let (store, ledger) = witness.read().await?;
            let findings = check(history, &store, &ledger);
            if is_over || all_hold(&findings) {
                return Ok(findings);
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
