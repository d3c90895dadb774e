//! `outbox list|publish`: orders whose events are not known to be in the order log.

use std::time::Duration;

use jiff::Timestamp;
use seckill_core::{
    ledger::{LedgerError, LedgerOrder, SaleLookup},
    sale::SaleId,
    upkeep::relay,
};
use serde_json::json;

use crate::{
    failure::Failure,
    output::{Report, counted, harmless, table_or},
    progress,
    surroundings::Surroundings,
};

/// Shows the entries, oldest first, at most `limit` of each sale.
pub async fn list(all: &Surroundings, only: Option<&SaleId>, limit: usize) -> Result<Report, Failure> {
    let (mut entries, mut in_all) = (Vec::new(), 0);
    for stored in all.sales(only).await? {
        let sale = &stored.sale.id;
        let found = match all.ledger.outbox(sale, Duration::ZERO, limit).await {
            Err(LedgerError::Corrupt(why)) => {
                tracing::warn!(%sale, why, "an outbox cannot be read");
                Vec::new()
            }
            found => found?,
        };
        // What survives in a ledger that is not trusted is shown, but nothing vouches for its number.
        in_all += match all.ledger.sale(sale).await? {
            SaleLookup::Trusted(ledger) => ledger.outbox,
            SaleLookup::Untrusted | SaleLookup::Absent => found.len() as u64,
        };
        entries.extend(found);
    }
    let now = all.ledger.now().await?;
    let rows = entries.iter().map(|it| {
        vec![
            it.order.sale.to_string(),
            it.order.id.to_string(),
            format!("{:.1} s", age(it, now).as_secs_f64()),
            it.order.quantity.units().to_string(),
            harmless(it.order.buyer.as_str()),
            it.epoch.to_string(),
        ]
    });
    let header = ["sale", "order", "age", "units", "user", "epoch"];
    let mut text = table_or("nothing is in an outbox", &header, rows.collect());
    let more = in_all.saturating_sub(entries.len() as u64);
    if more > 0 {
        text.extend(["\nand ", &more.to_string(), " more (see --limit)"]);
    }
    let entries: Vec<_> = entries.iter().map(|it| as_json(it, now)).collect();
    Ok(Report::new(text, &json!({ "entries": entries, "more": more })))
}

/// Publishes the stale entries again and takes them out.
pub async fn publish(all: &Surroundings, only: Option<&SaleId>) -> Result<Report, Failure> {
    let sales = all.sales(only).await?;
    let (publisher, bar) = (all.publisher()?, progress::bar("publishing", sales.len()));
    let (mut orders, mut json) = (0, Vec::new());
    for stored in bar.wrap_iter(sales.into_iter()) {
        let (sale, mut of_sale) = (stored.sale.id, 0);
        let outcome = relay::publish_stale(&all.ledger, &publisher, &sale, &mut of_sale).await;
        orders += of_sale;
        outcome.map_err(|error| so_far(error.into(), orders))?;
        json.push(json!({ "sale": sale, "published": of_sale }));
    }
    let text = format!(
        "published {} that had been in an outbox for more than 3 s",
        counted(orders, "order", "orders")
    );
    Ok(Report::new(text, &json!({ "published": orders, "sales": json })))
}

fn so_far(failure: Failure, published: usize) -> Failure {
    failure.but(&format!(
        "{} published; the rest is in the outbox as before",
        counted(published, "order was", "orders were")
    ))
}

fn age(entry: &LedgerOrder, now: Timestamp) -> Duration {
    now.duration_since(entry.order.created_date).try_into().unwrap_or(Duration::ZERO)
}

fn as_json(entry: &LedgerOrder, now: Timestamp) -> serde_json::Value {
    let order = &entry.order;
    json!({ "sale": order.sale, "order": order.id, "ageMs": age(entry, now).as_millis(), "user": order.buyer,
        "units": order.quantity, "takenAt": order.created_date, "epoch": entry.epoch })
}
