//! Loads sales into the ledger from the store, behind the fence. The first load of a new sale is the same
//! path with nothing to wait for.
//!
//! 1. Take the next epoch in the store and take the fence off in the ledger: from here on it decides nothing.
//! 2. Wait as long as an order that was reserved before may still be answered `accepted`.
//! 3. Publish what survived in the outboxes.
//! 4. Wait until the consumers have written the log up to where it ends now. Whatever was answered
//!    `accepted` is then in the store.
//! 5. Admit the new epoch in the store: what comes later from an older one, and is not known, is refused. The
//!    sale's orders stand still.
//! 6. Load them, from one snapshot, and swap them in: if the ledger still carries this epoch.

use std::time::Duration;

use metrics::{counter, histogram};
use seckill_core::{
    ledger::{ACCEPT_WITHIN, LedgerError, SaleLookup, load::SwapOutcome},
    sale::SaleId,
    store::StoredSale,
    upkeep::{Failures, relay},
};
use tokio::time::Instant;

use super::{Keeper, KeeperError};

/// How long orders reserved under the old fence may still be answered `accepted`, and a margin for an
/// acknowledgement that was in time but is still on its way into the end offsets.
const LAST_ACCEPTED: Duration = ACCEPT_WITHIN.saturating_add(Duration::from_secs(1));
/// How much longer where there are replicas: as long as a primary that was cut off from them may go on to reserve after
/// another was promoted (`min-replicas-max-lag`, as docs/operate.md has it).
const CUT_OFF_STOPS: Duration = Duration::from_secs(2);
const DRAIN_CHECK: Duration = Duration::from_millis(100);
/// Most orders of an outbox that are in memory at once; of the others there are the ids.
const OUTBOX_PAGE: usize = 10_000;

/// A sale under the epoch of this rebuild.
pub struct Begun {
    sale: SaleId,
    epoch: u64,
    first_load: bool,
}

/// Rebuilds `sales` together, for they share the waiting, and one after the other. If the ledger is lost again before
/// all are there, what is left waits for the next rebuild: it must not keep the first of them waiting.
pub async fn rebuild(keeper: &Keeper, sales: &[StoredSale]) -> Result<(), KeeperError> {
    let started = Instant::now();
    let mut failures = Failures::default();
    let mut begun = Vec::with_capacity(sales.len());
    for stored in sales {
        begun.extend(failures.note(&stored.sale.id, begin(keeper, stored).await).flatten());
    }
    if begun.iter().any(|sale| !sale.first_load) {
        tracing::warn!(sales = begun.len(), "the ledger is not to be trusted: rebuilding");
        let replicas = keeper.ledger.needs_replicas().await?;
        tokio::time::sleep(LAST_ACCEPTED + if replicas { CUT_OFF_STOPS } else { Duration::ZERO }).await;
        for sale in &begun {
            publish_survivors(keeper, &sale.sale).await?;
        }
        drained(keeper).await?;
    }
    let mut first_loaded = None;
    for sale in &begun {
        if let Some(first) = first_loaded
            && !matches!(keeper.ledger.sale(first).await?, SaleLookup::Trusted(_))
        {
            tracing::warn!(sale = %first, "the ledger was lost again during its rebuild");
            break;
        }
        if failures.note(&sale.sale, load(keeper, sale).await) == Some(true) {
            first_loaded.get_or_insert(&sale.sale);
        }
    }
    histogram!("seckill_keeper_rebuild_seconds").record(started.elapsed().as_secs_f64());
    failures.end()
}

/// Takes the fence off. None: the sale is not there any more, or another rebuild of it has begun.
pub async fn begin(keeper: &Keeper, stored: &StoredSale) -> Result<Option<Begun>, KeeperError> {
    let sale = &stored.sale.id;
    let Some(taken) = keeper.store.take_rebuild_epoch(sale).await? else { return Ok(None) };
    let epoch = taken.epoch;
    if !keeper.ledger.begin_rebuild(sale, epoch).await? {
        tracing::info!(%sale, epoch, "another rebuild has begun since");
        return Ok(None);
    }
    // Not what `stored` says: that was read earlier, and another keeper may have loaded the sale since. An epoch that
    // was only taken has loaded nothing: no order can have been reserved in it.
    Ok(Some(Begun { sale: sale.clone(), epoch, first_load: taken.never_loaded }))
}

/// Publishes what has survived in a sale's outbox, as far as it can be read.
async fn publish_survivors(keeper: &Keeper, sale: &SaleId) -> Result<(), KeeperError> {
    let mut published = 0;
    match publish_outbox(keeper, sale, &mut published).await {
        Err(KeeperError::Ledger(LedgerError::Corrupt(why))) => {
            tracing::error!(%sale, why, "what else was in the outbox cannot be read");
        }
        done => done?,
    }
    if published > 0 {
        tracing::info!(%sale, orders = published, "published what had survived in the outbox");
    }
    Ok(())
}

async fn publish_outbox(keeper: &Keeper, sale: &SaleId, published: &mut usize) -> Result<(), KeeperError> {
    let ids = keeper.ledger.outbox_ids(sale, Duration::ZERO).await?;
    for page in ids.chunks(OUTBOX_PAGE) {
        let (survivors, _) = keeper.ledger.outbox_orders(sale, page).await?;
        relay::publish(&keeper.publisher, &survivors).await?;
        *published += survivors.len();
    }
    Ok(())
}

/// Waits until the consumer group has written the log up to its present end.
async fn drained(keeper: &Keeper) -> Result<(), KeeperError> {
    let ends = keeper.observer.end_offsets().await?;
    while !keeper.observer.has_reached(&ends).await? {
        tokio::time::sleep(DRAIN_CHECK).await;
    }
    Ok(())
}

/// Puts a sale into the ledger; says whether it is there now.
async fn load(keeper: &Keeper, begun: &Begun) -> Result<bool, KeeperError> {
    let Begun { sale, epoch, .. } = begun;
    if !keeper.store.admit_epoch(sale, *epoch).await? {
        tracing::info!(%sale, epoch, "another rebuild has begun since");
        return Ok(false);
    }
    let mut loading = keeper.ledger.start_loading(sale, *epoch).await?;
    let Some(mut snapshot) = keeper.store.snapshot(sale).await? else { return Ok(false) };
    if snapshot.sale().sale.per_buyer_limit.is_none() {
        loading = loading.without_buyers();
    }
    loop {
        let orders = snapshot.next_page().await?;
        if orders.is_empty() {
            break;
        }
        loading.add(&orders).await?;
    }
    let stored = snapshot.sale();
    if loading.held() != stored.sold {
        tracing::error!(%sale, held = loading.held(), sold = stored.sold, "the store's orders and its count of them differ");
    }
    let outcome = loading.swap_in(&stored.sale, stored.adjustment).await?;
    match outcome {
        SwapOutcome::Swapped => {
            counter!("seckill_keeper_rebuilds_total").increment(1);
            tracing::info!(%sale, epoch, sold = stored.sold, "the sale is in the ledger");
        }
        SwapOutcome::Superseded => tracing::info!(%sale, epoch, "another rebuild has begun since"),
        SwapOutcome::Incomplete => tracing::warn!(%sale, epoch, "the ledger lost what was being loaded"),
    }
    Ok(outcome == SwapOutcome::Swapped)
}
