//! `reconcile`: whether ledger, log and store add up. The two laws, for each sale:
//!
//!     stock in the store = remaining + units of live orders in the ledger
//!     units of live orders in the ledger = sold in the store + units in outbox or log not yet written

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use seckill_core::{
    event::{OrderEvent, OrderEventKind},
    ledger::{LedgerError, RecordState, SaleLookup},
    order::{OrderId, Units},
    sale::SaleId,
};
use serde::Serialize;

use crate::{
    failure::Failure,
    output::{Report, table},
    progress,
    surroundings::Surroundings,
};

/// A sale that sells while it is counted may seem to drift: it is counted again, and only a difference that
/// stays the same is one.
const COUNTS: usize = 5;
const BETWEEN_COUNTS: Duration = Duration::from_millis(500);

/// What was counted of a sale, in units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    pub sale: SaleId,
    /// As the store has it.
    stock: Units,
    remaining: Units,
    /// Of live orders in the ledger.
    held: Units,
    /// Of them, in the outbox.
    outbox: Units,
    /// Of them, in the log and not yet written.
    in_log: Units,
    sold: Units,
    /// What is left over, by either law; 0 where all adds up.
    pub drift: i64,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Survey {
    /// Of each sale that could be counted.
    pub counts: Vec<Count>,
    /// Sales whose ledger is not loaded, or not to be trusted.
    pub unloaded: Vec<SaleId>,
    /// Those of them that were loaded once: units of theirs are not for sale.
    lost: Vec<SaleId>,
}

/// Counts every sale, or one.
pub async fn reconcile(all: &Surroundings, only: Option<&SaleId>) -> Result<Report, Failure> {
    let survey = survey(all, only).await?;
    let faulty = survey.drifts() || !survey.lost.is_empty();
    Ok(Report::new(survey.text(), &survey.json()).faulty_if(faulty))
}

/// Counts every sale, or one.
pub async fn survey(all: &Surroundings, only: Option<&SaleId>) -> Result<Survey, Failure> {
    let sales = all.sales(only).await?;
    let bar = progress::bar("counting sales", sales.len());
    let mut survey = Survey::default();
    for stored in bar.wrap_iter(sales.into_iter()) {
        if let Some(count) = settled_count(all, &stored.sale.id).await? {
            survey.counts.push(count);
            continue;
        }
        // The store takes over the epoch of a ledger that was loaded.
        if stored.epoch > 0 {
            survey.lost.push(stored.sale.id.clone());
        }
        survey.unloaded.push(stored.sale.id);
    }
    Ok(survey)
}

impl Survey {
    /// Whether anything does not add up.
    pub fn drifts(&self) -> bool {
        self.counts.iter().any(|count| count.drift != 0)
    }

    /// The form for people.
    pub fn text(&self) -> String {
        let rows = self.counts.iter().map(|it| {
            let units = [it.stock, it.remaining, it.held, it.outbox, it.in_log, it.sold];
            let mut row = vec![it.sale.to_string()];
            row.extend(units.iter().map(ToString::to_string));
            row.push(it.drift.to_string());
            row
        });
        let header = ["sale", "stock", "remaining", "held", "outbox", "in the log", "sold", "drift"];
        let mut text = table(&header, rows);
        for sale in &self.unloaded {
            let what = if self.lost.contains(sale) {
                ": the ledger has lost it, and sells nothing until it is rebuilt"
            } else {
                ": the ledger is not loaded, nothing to compare"
            };
            text.extend(["\nsale ", sale.as_str(), what]);
        }
        text
    }

    /// The form for machines.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({ "sales": self.counts, "notLoaded": self.unloaded, "lost": self.lost, "drift": self.drifts() })
    }
}

/// The count of a sale, repeated until it adds up or keeps the same drift; none if the ledger has none that can be
/// read.
async fn settled_count(all: &Surroundings, sale: &SaleId) -> Result<Option<Count>, Failure> {
    let mut last: Option<Count> = None;
    for _ in 0..COUNTS {
        let Some(count) = count(all, sale).await? else { return Ok(None) };
        if count.drift == 0 || last.as_ref() == Some(&count) {
            return Ok(Some(count));
        }
        last = Some(count);
        tokio::time::sleep(BETWEEN_COUNTS).await;
    }
    Ok(last)
}

async fn count(all: &Surroundings, sale: &SaleId) -> Result<Option<Count>, Failure> {
    let SaleLookup::Trusted(ledger) = all.ledger.sale(sale).await? else { return Ok(None) };
    let mut live: HashMap<OrderId, Units> = HashMap::new();
    let visit = all.ledger.visit_orders(sale, |found| {
        if found.state == RecordState::Live {
            live.insert(found.order.id, found.order.quantity.units());
        }
    });
    match visit.await {
        Err(LedgerError::Corrupt(why)) => {
            tracing::warn!(%sale, why, "an order in the ledger cannot be read");
            return Ok(None);
        }
        visited => visited?,
    }
    let outbox: HashSet<OrderId> = all.ledger.outbox_ids(sale, Duration::ZERO).await?.into_iter().collect();
    let logged = placed_and_undone(all, sale).await?;
    let on_the_way: Vec<OrderId> =
        outbox.union(&logged).filter(|id| live.contains_key(*id)).copied().collect();
    let written = all.store.order_statuses(&on_the_way).await?;
    let stored = all.store.sale(sale).await?.ok_or_else(|| Failure::no_such_sale(sale))?;

    let mut count = Count {
        sale: sale.clone(),
        stock: stored.sale.stock,
        remaining: ledger.remaining,
        held: live.values().sum(),
        outbox: 0,
        in_log: 0,
        sold: stored.sold,
        drift: 0,
    };
    for id in on_the_way.iter().filter(|id| !written.contains_key(*id)) {
        let part = if logged.contains(id) { &mut count.in_log } else { &mut count.outbox };
        *part += live[id];
    }
    count.drift = drift(&count);
    Ok(Some(count))
}

/// The orders of `sale` that the log holds and the consumers have not written yet.
pub async fn placed_and_undone(all: &Surroundings, sale: &SaleId) -> Result<HashSet<OrderId>, Failure> {
    let undone = all.observer()?.undone().await?;
    let events =
        undone.iter().filter_map(|raw| OrderEvent::decode(raw.key.as_deref(), raw.value.as_deref()).ok());
    Ok(events
        .filter(|event| event.kind == OrderEventKind::Placed && event.order.sale == *sale)
        .map(|event| event.order.id)
        .collect())
}

/// What is left over by the first law, or else by the second.
fn drift(count: &Count) -> i64 {
    let signed = |units: Units| i64::try_from(units).unwrap_or(i64::MAX);
    let first = signed(count.stock) - signed(count.remaining) - signed(count.held);
    let second = signed(count.held) - signed(count.sold) - signed(count.outbox) - signed(count.in_log);
    if first == 0 { second } else { first }
}
