//! `rebuild`: has a sale's ledger loaded anew, and waits until it is.
//!
//! It loads nothing itself. It takes the fence off, and the keeper, which looks for such sales all the time,
//! does the rest: there is one way to load a sale, and this process may die at any moment of it. A rebuild
//! that is under way already is superseded by the epoch that is taken here.

use std::{collections::BTreeMap, time::Duration};

use indicatif::ProgressBar;
use seckill_core::{
    ledger::{LedgerSale, SaleLookup},
    order_log::LogObserver,
    sale::SaleId,
    store::StoredSale,
};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    cli::Patience,
    failure::Failure,
    output::{Report, table},
    progress, stock,
    surroundings::Surroundings,
};

/// How long no process may be the keeper before there seems to be none: a new one takes a second or two.
const KEEPER_WITHIN: Duration = Duration::from_secs(4);
const CHECK: Duration = Duration::from_millis(100);
/// How often an epoch is taken that other rebuilds have overtaken at once.
const EPOCHS: usize = 100;

/// Rebuilds one sale, or all.
pub async fn rebuild(
    all: &Surroundings,
    only: Option<&SaleId>,
    patience: &Patience,
    yes: bool,
) -> Result<Report, Failure> {
    let sales: Vec<SaleId> = all.sales(only).await?.into_iter().map(|stored| stored.sale.id).collect();
    let question = match only {
        Some(sale) => format!("Rebuild sale {sale}? It sells nothing for some seconds."),
        None => format!("Rebuild {} sales? They sell nothing for some seconds.", sales.len()),
    };
    stock::confirm(&question, yes)?;
    // A sale that is halted where nobody can load it would stay so.
    all.ledger.ping().await?;
    all.observer()?.ping().await?;
    if !has_keeper(all).await? {
        return Err(Failure::Refused(format!("{NO_KEEPER}; nothing was changed")));
    }
    let started = Instant::now();
    let begun = begin(all, &sales).await?;
    let loaded = wait(all, begun, patience.within).await?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(report(&loaded, seconds))
}

/// What is wrong where nobody can load a sale.
pub const NO_KEEPER: &str = "no order-consumer runs, and it is what loads sales: start one and try again";

/// Whether there is a process that loads sales.
pub async fn has_keeper(all: &Surroundings) -> Result<bool, Failure> {
    let started = Instant::now();
    loop {
        if all.store.is_kept().await? {
            return Ok(true);
        }
        if started.elapsed() > KEEPER_WITHIN {
            return Ok(false);
        }
        tokio::time::sleep(CHECK).await;
    }
}

/// Sales whose ledger is to be loaded, each with the epoch that it must be later than.
pub type Awaited = BTreeMap<SaleId, u64>;

/// Takes the fence off `sales`.
pub async fn begin(all: &Surroundings, sales: &[SaleId]) -> Result<Awaited, Failure> {
    let mut begun = Awaited::new();
    for sale in sales {
        begun.insert(sale.clone(), take_fence_off(all, sale).await?);
    }
    Ok(begun)
}

async fn take_fence_off(all: &Surroundings, sale: &SaleId) -> Result<u64, Failure> {
    for _ in 0..EPOCHS {
        let taken = all.store.take_rebuild_epoch(sale).await?.ok_or_else(|| Failure::no_such_sale(sale))?;
        let epoch = taken.epoch;
        if all.ledger.begin_rebuild(sale, epoch).await? {
            return Ok(epoch);
        }
        // Another rebuild began in between, or the store is older than the ledger and has to catch up.
    }
    Err(Failure::Failed("Redis", format!("the ledger's epoch of sale {sale} is far ahead of the store's")))
}

/// Waits until all of `awaited` are loaded, and gives what the ledger then has.
pub async fn wait(
    all: &Surroundings,
    mut awaited: Awaited,
    within: Duration,
) -> Result<Vec<LedgerSale>, Failure> {
    let (started, spinner, observer) = (Instant::now(), progress::spinner(), all.observer()?);
    let mut loaded = Vec::new();
    loop {
        let mut waiting = Awaited::new();
        for (sale, epoch) in awaited {
            match all.ledger.sale(&sale).await? {
                SaleLookup::Trusted(found) if found.epoch > epoch => loaded.push(found),
                SaleLookup::Trusted(_) | SaleLookup::Untrusted | SaleLookup::Absent => {
                    waiting.insert(sale, epoch);
                }
            }
        }
        let Some((first, epoch)) = waiting.first_key_value() else { return Ok(loaded) };
        if started.elapsed() > within {
            return Err(overdue(all, &waiting, within).await?);
        }
        tell(all, &observer, &spinner, (first, *epoch)).await;
        awaited = waiting;
        tokio::time::sleep(CHECK).await;
    }
}

async fn overdue(all: &Surroundings, waiting: &Awaited, within: Duration) -> Result<Failure, Failure> {
    let names: Vec<&str> = waiting.keys().map(SaleId::as_str).collect();
    let who = if all.store.is_kept().await? {
        "an order-consumer is at it; its log tells what it waits for"
    } else {
        "no order-consumer runs any more: start one"
    };
    Ok(Failure::Refused(format!(
        "after {} s these sales still sell nothing, until they are loaded: {}; {who}",
        within.as_secs(),
        names.join(", ")
    )))
}

/// Shows how far the rebuild of a sale has come. That it cannot be told is no reason to fail.
async fn tell(
    all: &Surroundings,
    observer: &LogObserver,
    spinner: &ProgressBar,
    (sale, epoch): (&SaleId, u64),
) {
    if spinner.is_hidden() {
        return;
    }
    let stage = match all.store.sale(sale).await {
        Ok(Some(stored)) if stored.epoch > epoch => "loading its orders".to_owned(),
        Ok(Some(StoredSale { rebuild_epoch, .. })) if rebuild_epoch > epoch => {
            let lag = observer.lag().await.map_or_else(|_| "?".to_owned(), |lag| lag.to_string());
            format!("waiting for what was taken before to be written: {lag} events in the log")
        }
        _ => "waiting for an order-consumer to begin".to_owned(),
    };
    spinner.set_message(format!("sale {sale}: {stage}"));
}

fn report(loaded: &[LedgerSale], seconds: f64) -> Report {
    let rows = loaded.iter().map(|it| {
        let numbers = [it.epoch, it.sale.stock, it.remaining, it.held(), it.orders];
        let mut row = vec![it.sale.id.to_string()];
        row.extend(numbers.iter().map(ToString::to_string));
        row
    });
    let header = ["sale", "epoch", "stock", "remaining", "held", "orders"];
    let text = format!("{}\nloaded anew within {seconds:.1} s", table(&header, rows));
    let sales: Vec<_> = loaded
        .iter()
        .map(|it| {
            json!({ "sale": it.sale.id, "epoch": it.epoch, "stock": it.sale.stock,
                "remaining": it.remaining, "orders": it.orders })
        })
        .collect();
    Report::new(text, &json!({ "rebuilt": sales, "seconds": (seconds * 10.0).round() / 10.0 }))
}
