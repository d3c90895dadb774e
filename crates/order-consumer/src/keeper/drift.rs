//! Measures whether the law of conservation holds: what live orders hold in the ledger is what is sold in the
//! store. The two can be compared only while nothing is on its way between them.

use std::{collections::HashMap, time::Duration};

use metrics::gauge;
use seckill_core::sale::SaleId;

use super::{Keeper, KeeperError};

const EVERY: Duration = Duration::from_secs(5);

/// Measures for as long as this process is the keeper.
pub async fn watch(keeper: &Keeper) {
    let mut last = HashMap::new();
    loop {
        match measure(keeper).await {
            Ok(now) => {
                report(&last, &now);
                last = now;
            }
            Err(error) => tracing::debug!(%error, "drift could not be measured"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Units that the ledger holds for live orders beyond those sold in the store, of each sale at rest.
pub async fn measure(keeper: &Keeper) -> Result<HashMap<SaleId, i64>, KeeperError> {
    let lag = keeper.observer.lag().await?;
    gauge!("seckill_consumer_lag").set(lag as f64);
    let mut drift = HashMap::new();
    let sales = keeper.store.readable_sales().await?.sales;
    for (stored, ledger) in keeper.trusted(sales).await? {
        let sale = stored.sale.id.to_string();
        gauge!("seckill_outbox_orders", "sale" => sale.clone()).set(ledger.outbox as f64);
        gauge!("seckill_outbox_age_seconds", "sale" => sale.clone()).set(ledger.outbox_age.as_secs_f64());
        gauge!("seckill_sale_remaining", "sale" => sale).set(ledger.remaining as f64);
        if lag == 0 && ledger.outbox == 0 {
            drift.insert(stored.sale.id.clone(), ledger.held_beyond(stored.sold));
        }
    }
    Ok(drift)
}

/// A difference counts when it is seen twice: once may be an order that was between the two just then.
fn report(last: &HashMap<SaleId, i64>, now: &HashMap<SaleId, i64>) {
    for (sale, units) in now {
        let stands = last.get(sale) == Some(units);
        gauge!("seckill_drift_units", "sale" => sale.to_string()).set(if stands {
            *units as f64
        } else {
            0.0
        });
        if stands && *units != 0 {
            tracing::error!(%sale, units, "ledger and store differ: see stock-admin reconcile");
        }
    }
}
