//! `stock add`, `stock set` and `reset`.

use std::io::{BufRead, IsTerminal, Write};

use seckill_core::{
    ledger::AdjustOutcome,
    order::Units,
    sale::{MAX_STOCK, SaleId, SaleSwitch},
    store::{AdjustmentRequest, StockChange},
};
use serde_json::json;

use crate::{
    change::{self, Applied, Changed},
    failure::Failure,
    output::Report,
    surroundings::Surroundings,
};

/// How often a reset begins anew because units came back meanwhile.
const RESET_ATTEMPTS: usize = 20;

/// Adds `units` to a stock, or takes some away.
pub async fn add(all: &Surroundings, sale: &SaleId, units: i64, reason: String) -> Result<Report, Failure> {
    Ok(changed(sale, change::change(all, sale, request(StockChange::By(units), reason)).await?))
}

/// Makes a stock, in all, exactly `units`.
pub async fn set(all: &Surroundings, sale: &SaleId, units: Units, reason: String) -> Result<Report, Failure> {
    Ok(changed(sale, change::change(all, sale, request(StockChange::To(units), reason)).await?))
}

/// Makes the units that are left exactly `to`.
///
/// The ledger is paused under a number that the store never commits: if this process dies, the keeper sees a
/// number too many and brings the ledger back into line, which resumes the sale.
pub async fn reset(
    all: &Surroundings,
    sale: &SaleId,
    to: Units,
    reason: String,
    yes: bool,
) -> Result<Report, Failure> {
    confirm(&format!("Reset sale {sale}, so that {to} units are left?"), yes)?;
    let (mut lock, mut ledger) = change::lock(all, sale).await?;
    // What is refused must be so before the pause: nothing takes that back but a keeper.
    let Some(held) = ledger.sale.stock.checked_sub(ledger.remaining) else {
        return Err(Failure::Refused(format!(
            "the ledger of sale {sale} does not add up (see reconcile); nothing was changed"
        )));
    };
    if held + to > MAX_STOCK {
        return Err(change::above_maximum());
    }
    let pause = request(StockChange::Keep, format!("{reason}: paused"));
    let pending =
        change::begun(lock.begin(&AdjustmentRequest { above: ledger.adjustment, ..pause }).await?, sale)?;
    let number = pending.number();
    let paused = all.ledger.adjust(sale, number, ledger.sale.stock, SaleSwitch::Paused, None).await;
    pending.rollback().await?;
    let AdjustOutcome::Applied { remaining } = paused? else {
        return Err(Failure::Refused(format!(
            "the ledger of sale {sale} changed meanwhile; nothing was changed"
        )));
    };
    ledger.adjustment = number;

    let mut held = ledger.sale.stock.saturating_sub(remaining);
    for _ in 0..RESET_ATTEMPTS {
        let request = AdjustmentRequest {
            above: ledger.adjustment,
            ..request(StockChange::To(held + to), format!("{reason}: {to} left"))
        };
        match change::apply(all, &mut lock, &request, &ledger, Some(held)).await? {
            Applied::Yes(done) => {
                lock.release().await;
                return Ok(changed(sale, done));
            }
            Applied::Moved(now) => held = now,
        }
        if let seckill_core::ledger::SaleLookup::Trusted(now) = all.ledger.sale(sale).await? {
            ledger = now;
        }
    }
    Err(Failure::Refused(format!(
        "units of sale {sale} kept coming back; its terms are as before within a second, try again"
    )))
}

/// Asks the operator, unless `yes`. Without a terminal to ask on: no.
pub fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::Refused(
            "this needs --yes where there is no terminal to ask on; nothing was changed".into(),
        ));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    let read = std::io::stderr().flush().and_then(|()| stdin.lock().read_line(&mut answer));
    match read {
        Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => Err(Failure::Refused("not confirmed; nothing was changed".into())),
    }
}

/// A request of this operator, for [`change::change`] to number.
pub fn request(stock: StockChange, reason: String) -> AdjustmentRequest {
    AdjustmentRequest { stock, switch: None, reason, actor: Surroundings::actor(), above: 0 }
}

fn changed(sale: &SaleId, Changed { stored, remaining }: Changed) -> Report {
    let stock = stored.sale.stock;
    let text = format!("sale {sale}: stock {stock}, {remaining} left");
    let json =
        json!({ "sale": sale, "stock": stock, "remaining": remaining, "adjustment": stored.adjustment });
    Report::new(text, &json)
}
