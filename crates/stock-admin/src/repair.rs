//! `reconcile --repair`: mends what can be mended without guessing, and names what cannot.
//!
//! 1. Units that the store says are owed go back to the ledger.
//! 2. Changes of stock that reached one side only are brought into line.
//! 3. Live orders that only the ledger knows (neither log nor store has them: the log lost them) are published
//!    again: the buyer was told that they stand. Where that does not help they are named, and nothing more is
//!    done to their sale: to load it anew would drop them.
//! 4. A ledger that still does not add up, or is not loaded, is loaded anew.

use std::time::Duration;

use seckill_core::{
    ledger::SaleLookup,
    order_log::LogObserver,
    sale::SaleId,
    upkeep::{
        realign::{RealignOutcome, realign},
        relay,
        returns::sweep,
    },
};
use tokio::time::Instant;

use crate::{
    failure::Failure,
    output::{Report, counted},
    rebuild,
    reconcile::{self, Survey},
    stock, strays,
    surroundings::Surroundings,
};

/// How long consumers may take to write what was published again.
const WRITTEN_WITHIN: Duration = Duration::from_secs(15);
/// How long a ledger may take to be loaded.
const LOADED_WITHIN: Duration = Duration::from_secs(300);
const CHECK: Duration = Duration::from_millis(200);
/// Most orders that a line names.
const NAMED: usize = 10;

/// What was mended, and what was not, a line each.
#[derive(Default)]
struct Notes {
    mended: Vec<String>,
    left: Vec<String>,
}

/// Mends, then reconciles again: what is found then makes the exit code. Asks first where a sale may have to be loaded
/// anew.
pub async fn repair(all: &Surroundings, only: Option<&SaleId>, yes: bool) -> Result<Report, Failure> {
    let before = reconcile::survey(all, only).await?;
    let to_mend = to_mend(&before);
    if !to_mend.is_empty() {
        let names = to_mend.iter().map(SaleId::as_str).collect::<Vec<_>>().join(", ");
        stock::confirm(
            &format!("Mend what can be mended? These may sell nothing for some seconds: {names}"),
            yes,
        )?;
    }
    let mut notes = Notes::default();
    give_back(all, &mut notes).await?;
    bring_into_line(all, only, &mut notes).await?;
    let found = reconcile::survey(all, only).await?;
    let mut to_load = found.unloaded;
    for count in found.counts.iter().filter(|count| count.drift != 0) {
        let kept = publish_strays(all, &count.sale, &mut notes).await?;
        let again = reconcile::survey(all, Some(&count.sale)).await?;
        if again.drifts() && kept {
            to_load.push(count.sale.clone());
        }
    }
    to_load.retain(|sale| {
        let agreed = yes || to_mend.contains(sale);
        if !agreed {
            notes.left.push(format!("sale {sale}: went wrong meanwhile; run this again"));
        }
        agreed
    });
    load(all, &to_load, &mut notes).await?;
    // What waited for its ledger to be loaded.
    give_back(all, &mut notes).await?;
    Ok(report(&reconcile::survey(all, only).await?, notes))
}

/// The sales that may have to be loaded anew, and sell nothing meanwhile: what is asked for first.
fn to_mend(before: &Survey) -> Vec<SaleId> {
    let drifting = before.counts.iter().filter(|count| count.drift != 0).map(|count| &count.sale);
    drifting.chain(&before.unloaded).cloned().collect()
}

/// Gives back the units that are owed.
async fn give_back(all: &Surroundings, notes: &mut Notes) -> Result<(), Failure> {
    let given = sweep(&all.store, &all.ledger).await?;
    if given > 0 {
        let orders = counted(given, "cancelled or rejected order", "cancelled or rejected orders");
        notes.mended.push(format!("units of {orders} went back to the ledger"));
    }
    Ok(())
}

/// Brings changes of stock into line that reached one side only.
async fn bring_into_line(
    all: &Surroundings,
    only: Option<&SaleId>,
    notes: &mut Notes,
) -> Result<(), Failure> {
    for stored in all.sales(only).await? {
        let sale = &stored.sale.id;
        let SaleLookup::Trusted(ledger) = all.ledger.sale(sale).await? else { continue };
        let sides = (&stored, &ledger);
        match realign(&all.store, &all.ledger, sides, &Surroundings::actor()).await? {
            RealignOutcome::Aligned | RealignOutcome::NotLoaded => {}
            RealignOutcome::Realigned => {
                notes.mended.push(format!("sale {sale}: the ledger has the store's terms now"));
            }
            RealignOutcome::Busy => {
                notes.left.push(format!("sale {sale}: another operator is changing it just now"));
            }
            RealignOutcome::Short { held } => notes.left.push(format!(
                "sale {sale}: live orders of the ledger hold {held} units, more than the stock of {}",
                stored.sale.stock
            )),
        }
    }
    Ok(())
}

/// Publishes again the orders that only the ledger knows. False if some of them cannot be kept like that: the
/// sale must then be left alone.
async fn publish_strays(all: &Surroundings, sale: &SaleId, notes: &mut Notes) -> Result<bool, Failure> {
    let strays = strays::only_in_ledger(all, sale).await?;
    if strays.is_empty() {
        return Ok(true);
    }
    let observer = all.observer()?;
    relay::publish(&all.publisher()?, &strays).await?;
    written(&observer).await?;
    let left = strays::only_in_ledger(all, sale).await?;
    let told = strays.len() - left.len();
    if told > 0 {
        let orders =
            counted(told, "order that only the ledger had is", "orders that only the ledger had are");
        notes.mended.push(format!("sale {sale}: {orders} in the log again"));
    }
    if left.is_empty() {
        return Ok(true);
    }
    let names: Vec<String> = left.iter().take(NAMED).map(|stray| stray.order.id.to_string()).collect();
    notes.left.push(format!(
        "sale {sale}: {} in the ledger and cannot be stored (see dead-letters list); \
         a rebuild would drop them: {}",
        counted(left.len(), "live order is", "live orders are"),
        names.join(", ")
    ));
    Ok(false)
}

/// Waits until the consumers have written the log up to its present end. That they do not is no failure: what
/// is in the log is counted as such.
async fn written(observer: &LogObserver) -> Result<(), Failure> {
    let (started, ends) = (Instant::now(), observer.end_offsets().await?);
    while started.elapsed() < WRITTEN_WITHIN && !observer.has_reached(&ends).await? {
        tokio::time::sleep(CHECK).await;
    }
    Ok(())
}

/// Has `sales` loaded anew.
async fn load(all: &Surroundings, sales: &[SaleId], notes: &mut Notes) -> Result<(), Failure> {
    if sales.is_empty() {
        return Ok(());
    }
    if !rebuild::has_keeper(all).await? {
        for sale in sales {
            notes
                .left
                .push(format!("sale {sale}: its ledger must be loaded anew, and {}", rebuild::NO_KEEPER));
        }
        return Ok(());
    }
    let awaited = rebuild::begin(all, sales).await?;
    let loaded = match rebuild::wait(all, awaited, LOADED_WITHIN).await {
        Ok(loaded) => loaded,
        Err(Failure::Refused(overdue)) => {
            notes.left.push(overdue);
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
    for loaded in loaded {
        notes.mended.push(format!("sale {}: its ledger was loaded anew", loaded.sale.id));
        if let Some(line) = strays::contradiction(all, &loaded.sale.id).await? {
            notes.left.push(line);
        }
    }
    Ok(())
}

fn report(after: &Survey, notes: Notes) -> Report {
    let Notes { mended, left } = notes;
    let mut text = after.text();
    if mended.is_empty() {
        text.push_str("\nmended: nothing");
    }
    for (what, lines) in [("mended", &mended), ("NOT mended", &left)] {
        for line in lines {
            text.extend(["\n", what, ": ", line]);
        }
    }
    let mut json = after.json();
    json["mended"] = mended.into();
    json["notMended"] = left.clone().into();
    let faulty = after.drifts() || !after.unloaded.is_empty() || !left.is_empty();
    Report::new(text, &json).faulty_if(faulty)
}
