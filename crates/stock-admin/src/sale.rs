//! `sale create|list|show|history|open|pause|close` and `stock show`.

use std::time::Duration;

use jiff::Timestamp;
use seckill_core::{
    ledger::SaleLookup,
    sale::{Sale, SaleId, SaleState, SaleSwitch, SaleView},
    store::{AdjustmentRequest, CreateOutcome, StockChange, StoredSale},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    change,
    cli::NewSale,
    failure::Failure,
    output::{Report, table},
    stock,
    surroundings::Surroundings,
};

/// How long a new sale is waited for to come into the ledger: a keeper needs well under a second.
const LOADED_WITHIN: Duration = Duration::from_secs(5);

/// Makes a sale and waits until it sells.
pub async fn create(all: &Surroundings, new: NewSale) -> Result<Report, Failure> {
    if let (Some(opens), Some(closes)) = (new.opens_at, new.closes_at)
        && opens >= closes
    {
        return Err(Failure::Usage("--closes-at: must be after --opens-at".into()));
    }
    let sale = Sale {
        title: new.title.unwrap_or_else(|| new.sale.to_string()),
        id: new.sale,
        stock: new.stock,
        per_buyer_limit: new.per_buyer_limit,
        opens_at: new.opens_at,
        closes_at: new.closes_at,
        switch: SaleSwitch::Open,
    };
    // A sale that no ledger can load would be made and not sold.
    all.ledger.ping().await?;
    match all.store.create_sale(&sale, &Surroundings::actor()).await? {
        CreateOutcome::AlreadyExists => {
            Err(Failure::Refused(format!("there is a sale {} already; nothing was changed", sale.id)))
        }
        CreateOutcome::Created(stored) => {
            let loaded = wait_until_loaded(all, &sale.id).await;
            let (view, _) = view(all, &stored).await.map_err(|failure| failure.but("the sale is made"))?;
            let note =
                if loaded { "" } else { "\nIt sells as soon as an order-consumer runs and has loaded it." };
            let text = format!("created sale {}: {} units{note}", sale.id, sale.stock);
            Ok(Report::new(text, &merged(&view, json!({ "loaded": loaded }))))
        }
    }
}

async fn wait_until_loaded(all: &Surroundings, sale: &SaleId) -> bool {
    let started = Instant::now();
    loop {
        match all.ledger.sale(sale).await {
            Ok(SaleLookup::Trusted(_)) => return true,
            Ok(SaleLookup::Absent | SaleLookup::Untrusted) if started.elapsed() < LOADED_WITHIN => {}
            Ok(_) | Err(_) => return false,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// All sales.
pub async fn list(all: &Surroundings) -> Result<Report, Failure> {
    let mut views = Vec::new();
    for stored in all.store.sales().await? {
        views.push(view(all, &stored).await?.0);
    }
    let rows = views.iter().map(|sale| {
        vec![
            sale.id.to_string(),
            word(sale.state),
            sale.stock.to_string(),
            sale.remaining.to_string(),
            optional(sale.per_buyer_limit),
            optional(sale.opens_at),
            optional(sale.closes_at),
            sale.title.clone(),
        ]
    });
    let header = ["sale", "state", "stock", "remaining", "limit", "opens", "closes", "title"];
    Ok(Report::new(table(&header, rows), &json!({ "sales": views })))
}

/// One sale, as store and ledger have it.
pub async fn show(all: &Surroundings, sale: &SaleId) -> Result<Report, Failure> {
    let stored = all.store.sale(sale).await?.ok_or_else(|| Failure::no_such_sale(sale))?;
    let (view, ledger) = view(all, &stored).await?;
    // A damaged ledger may say that more are left than there were: showing it must not fail.
    let held = view.stock.saturating_sub(view.remaining);
    let rows = [
        ("sale", view.id.to_string()),
        ("title", view.title.clone()),
        ("state", word(view.state)),
        ("stock", view.stock.to_string()),
        ("remaining", view.remaining.to_string()),
        ("held", held.to_string()),
        ("sold", stored.sold.to_string()),
        ("limit", optional(view.per_buyer_limit)),
        ("opens", optional(view.opens_at)),
        ("closes", optional(view.closes_at)),
        ("ledger", ledger.to_owned()),
    ];
    let text = table(&["", ""], rows.map(|(name, value)| vec![name.to_owned(), value]));
    let more = json!({ "sold": stored.sold, "held": held, "ledger": ledger,
        "adjustment": stored.adjustment, "epoch": stored.epoch });
    Ok(Report::new(text, &merged(&view, more)))
}

/// Every change that was made to a sale.
pub async fn history(all: &Surroundings, sale: &SaleId) -> Result<Report, Failure> {
    all.store.sale(sale).await?.ok_or_else(|| Failure::no_such_sale(sale))?;
    let history = all.store.history(sale).await?;
    let json: Vec<Value> = history
        .iter()
        .map(|it| json!({ "number": it.number, "at": it.at, "delta": it.delta, "actor": it.actor, "reason": it.reason }))
        .collect();
    let rows = history.iter().map(|it| {
        vec![
            it.number.to_string(),
            it.at.to_string(),
            format!("{:+}", it.delta),
            it.actor.clone(),
            it.reason.clone(),
        ]
    });
    let text = table(&["number", "at", "delta", "actor", "reason"], rows);
    Ok(Report::new(text, &json!({ "sale": sale, "adjustments": json })))
}

/// Lets a sale sell, within its window.
pub async fn open(all: &Surroundings, sale: &SaleId) -> Result<Report, Failure> {
    switch(all, sale, SaleSwitch::Open).await
}

/// Lets a sale sell nothing for the moment.
pub async fn pause(all: &Surroundings, sale: &SaleId) -> Result<Report, Failure> {
    switch(all, sale, SaleSwitch::Paused).await
}

/// Ends a sale; to open it takes that back.
pub async fn close(all: &Surroundings, sale: &SaleId) -> Result<Report, Failure> {
    switch(all, sale, SaleSwitch::Closed).await
}

async fn switch(all: &Surroundings, sale: &SaleId, to: SaleSwitch) -> Result<Report, Failure> {
    let request =
        AdjustmentRequest { switch: Some(to), ..stock::request(StockChange::Keep, to.as_str().to_owned()) };
    let changed = change::change(all, sale, request).await?;
    let view = changed.stored.sale.view(all.ledger.now().await?, changed.remaining);
    Ok(Report::new(format!("sale {sale} is {}", to.as_str()), &view))
}

/// A sale as clients see it, and how the ledger stands to it; where the ledger does not have it, what is left is
/// the stock without what is sold.
async fn view(all: &Surroundings, stored: &StoredSale) -> Result<(SaleView, &'static str), Failure> {
    let unloaded = || stored.sale.view(Timestamp::now(), stored.sale.stock.saturating_sub(stored.sold));
    Ok(match all.ledger.sale(&stored.sale.id).await? {
        SaleLookup::Trusted(ledger) => (ledger.sale.view(ledger.now, ledger.remaining), "trusted"),
        SaleLookup::Untrusted => (unloaded(), "being rebuilt"),
        SaleLookup::Absent => (unloaded(), "not loaded"),
    })
}

fn merged(view: &SaleView, more: Value) -> Value {
    let mut all = serde_json::to_value(view).expect("a sale is always JSON");
    if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
        all.extend(more);
    }
    all
}

fn word(state: SaleState) -> String {
    match state {
        SaleState::Scheduled => "scheduled",
        SaleState::Open => "open",
        SaleState::Paused => "paused",
        SaleState::SoldOut => "sold out",
        SaleState::Ended => "ended",
    }
    .to_owned()
}

fn optional(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
