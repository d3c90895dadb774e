//! `stock add`, `stock set` and `reset`.

use std::io::{BufRead, IsTerminal, Write};

use seckill_core::{
    change::{Changed, Reset},
    order::Units,
    sale::SaleId,
    store::{AdjustmentRequest, StockChange},
};
use serde_json::json;

use crate::{change, failure::Failure, output::Report, surroundings::Surroundings};

/// Adds `units` to a stock, or takes some away.
pub async fn add(all: &Surroundings, sale: &SaleId, units: i64, reason: String) -> Result<Report, Failure> {
    Ok(changed(sale, change::change(all, sale, request(StockChange::By(units), reason)).await?))
}

/// Makes a stock, in all, exactly `units`.
pub async fn set(all: &Surroundings, sale: &SaleId, units: Units, reason: String) -> Result<Report, Failure> {
    Ok(changed(sale, change::change(all, sale, request(StockChange::To(units), reason)).await?))
}

/// Makes the units that are left exactly `to`.
pub async fn reset(
    all: &Surroundings,
    sale: &SaleId,
    to: Units,
    reason: String,
    yes: bool,
) -> Result<Report, Failure> {
    confirm(&format!("Reset sale {sale}, so that {to} units are left?"), yes)?;
    let reset = Reset { to, reason, actor: Surroundings::actor() };
    Ok(changed(sale, change::reset(all, sale, &reset).await?))
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
