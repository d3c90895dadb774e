//! `import`: the orders of the original system become orders of a sale.
//!
//! The original's table is read twice, in pages: once to tell what is to come, and once to bring it. The rest is
//! [`seckill_core::change::Import`]'s; the keeper then loads the sale, as after any other rebuild.

mod row;

use std::{collections::BTreeMap, time::Duration};

use seckill_core::{
    change::{ChangeError, ChangeRefusal, ImportPlan},
    ledger::SaleLookup,
    order::{OrderId, Units},
    sale::SaleId,
    store::{ImportedOrder, OriginalOrder, OriginalOrders, StoreError},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::json;

use self::row::{Assumed, order_of};
use crate::{
    change,
    cli::Import,
    failure::Failure,
    output::{Report, counted, harmless, table},
    progress, rebuild, stock,
    surroundings::Surroundings,
};

/// Most bad rows that machines are told of, and people.
const LISTED: usize = 1_000;
const SHOWN: usize = 20;

/// A row that cannot be an order.
#[derive(Serialize)]
struct BadRow {
    id: String,
    reason: String,
}

/// What the original's table has for us.
#[derive(Default)]
struct Survey {
    found: usize,
    new: usize,
    units: Units,
    there: usize,
    bad: usize,
    listed: Vec<BadRow>,
}

/// What of a page of rows is still to be brought.
#[derive(Default)]
struct Sorted {
    new: Vec<ImportedOrder>,
    there: usize,
    bad: Vec<BadRow>,
}

/// Imports, or tells what an import would do.
pub async fn import(all: &Surroundings, import: Import, yes: bool) -> Result<Report, Failure> {
    let url = import.original.url()?;
    let sale = &import.sale;
    all.sales(Some(sale)).await?;
    let assumed = Assumed { sale: sale.clone(), goods: import.goods };
    let mut original = open(&url, &import.time_zone).await?;
    let survey = survey(all, &mut original, &assumed).await?;
    if import.dry_run || survey.new == 0 {
        return told(all, sale, &survey, (!import.dry_run).then_some(0)).await;
    }
    fits(all, sale, &survey).await?;
    let orders = counted(survey.new, "order", "orders");
    stock::confirm(&format!("Import {orders} into sale {sale}? It sells nothing for some seconds."), yes)?;
    // A sale that is halted where nobody can load it would stay so.
    all.observer()?.ping().await?;
    if !rebuild::has_keeper(all).await? {
        return Err(Failure::Refused(format!("{}; nothing was changed", rebuild::NO_KEEPER)));
    }
    let plan = ImportPlan {
        orders: survey.new,
        units: survey.units,
        source: source_of(&url),
        actor: Surroundings::actor(),
    };
    let imported = bring(all, &mut original, &assumed, plan, import.patience.within).await?;
    told(all, sale, &survey, Some(imported)).await
}

async fn open(url: &SecretString, time_zone: &str) -> Result<OriginalOrders, Failure> {
    let opened = OriginalOrders::open(url, time_zone).await.map_err(original_failed)?;
    opened.ok_or_else(|| {
        let what = "that database has no table `order` with columns id, user and openid";
        Failure::Refused(format!("{what}; nothing was changed"))
    })
}

/// A failure of the original's database, which is not ours.
fn original_failed(error: StoreError) -> Failure {
    match error {
        StoreError::Unavailable(why) => Failure::Unreachable("the original's MySQL (--from)", why),
        StoreError::Url(why) => Failure::Usage(format!("--from (SECKILL_IMPORT_URL): {why}")),
        other => Failure::Failed("the original's MySQL", other.to_string()),
    }
}

/// Host and database, for the audit: what stands behind the password.
fn source_of(url: &SecretString) -> String {
    let url = url.expose_secret();
    let behind = url.rsplit_once('@').or_else(|| url.split_once("://")).map_or("", |(_, behind)| behind);
    let place = behind.split('?').next().unwrap_or_default();
    let place: String = harmless(place).chars().take(200).collect();
    if place.is_empty() { "the original".to_owned() } else { place }
}

/// Reads the whole table and tells what is in it.
async fn survey(
    all: &Surroundings,
    original: &mut OriginalOrders,
    assumed: &Assumed,
) -> Result<Survey, Failure> {
    let bar = progress::bar("reading", original.count().await.map_err(original_failed)?);
    let mut survey = Survey::default();
    loop {
        let rows = original.next_page().await.map_err(original_failed)?;
        if rows.is_empty() {
            bar.finish_and_clear();
            return Ok(survey);
        }
        let sorted = sort(all, &rows, assumed).await?;
        survey.found += rows.len();
        survey.new += sorted.new.len();
        survey.units += sorted.new.iter().map(|it| it.order.quantity.units()).sum::<Units>();
        survey.there += sorted.there;
        survey.bad += sorted.bad.len();
        let room = LISTED.saturating_sub(survey.listed.len());
        survey.listed.extend(sorted.bad.into_iter().take(room));
        bar.inc(rows.len() as u64);
    }
}

/// Tells apart what is to be brought, what is there, and what cannot be brought.
async fn sort(all: &Surroundings, rows: &[OriginalOrder], assumed: &Assumed) -> Result<Sorted, Failure> {
    let (mut sorted, mut orders) = (Sorted::default(), Vec::with_capacity(rows.len()));
    for row in rows {
        match order_of(row, assumed) {
            Ok(order) => orders.push(order),
            Err(reason) => sorted.bad.push(BadRow { id: row.id.clone(), reason }),
        }
    }
    let ids: Vec<OrderId> = orders.iter().map(|it| it.order.id).collect();
    let openids: Vec<&str> = orders.iter().map(|it| it.order.openid.as_str()).collect();
    let known = all.store.known_orders(&ids, &openids).await?;
    for order in orders {
        let id = order.order.id;
        let openid = order.order.openid.trim_end_matches(' ');
        let reason = match (known.ids.get(&id), known.openids.get(openid)) {
            (Some(Some(of)), _) if of.as_str() == assumed.sale.as_str() => {
                sorted.there += 1;
                continue;
            }
            (Some(Some(of)), _) => format!("sale {of} has an order of this id"),
            (Some(None), _) => "a hand-made order has this id".to_owned(),
            (None, Some(other)) => format!("order {other} has this openid"),
            (None, None) => {
                sorted.new.push(order);
                continue;
            }
        };
        sorted.bad.push(BadRow { id: id.to_string(), reason });
    }
    Ok(sorted)
}

/// Refuses what has no room, as far as can be told beforehand. The ledger's own word is asked for later.
async fn fits(all: &Surroundings, sale: &SaleId, survey: &Survey) -> Result<(), Failure> {
    match all.ledger.sale(sale).await? {
        SaleLookup::Trusted(ledger) if ledger.remaining < survey.units => {
            Err(Failure::Refused(short(sale, survey.units, ledger.remaining)))
        }
        SaleLookup::Trusted(_) | SaleLookup::Absent | SaleLookup::Untrusted => Ok(()),
    }
}

fn short(sale: &SaleId, units: Units, left: Units) -> String {
    format!(
        "the orders hold {units} units, and sale {sale} has {left} left: add {} first (stock add); nothing was \
         changed",
        units - left
    )
}

/// Brings all that is new, says how many orders that were, and waits until the ledger has them.
async fn bring(
    all: &Surroundings,
    original: &mut OriginalOrders,
    assumed: &Assumed,
    plan: ImportPlan,
    within: Duration,
) -> Result<usize, Failure> {
    let (sale, bar) = (&assumed.sale, progress::bar("importing", plan.orders));
    let failed = |error| change::failure(sale, error);
    let mut import = change::sides(all).begin_import(sale, plan).await.map_err(failed)?;
    let brought = loop {
        let rows = match original.next_page().await {
            Ok(rows) => rows,
            Err(error) => break Err(original_failed(error)),
        };
        if rows.is_empty() {
            break Ok(());
        }
        let new = match sort(all, &rows, assumed).await {
            Ok(sorted) => sorted.new,
            Err(failure) => break Err(failure),
        };
        if new.is_empty() {
            continue;
        }
        match import.add(&new).await {
            Ok(()) => bar.inc(new.len() as u64),
            Err(error) => break Err(batch_failed(sale, error)),
        }
    };
    bar.finish_and_clear();
    let done = import.orders_done();
    let epoch = import.end().await;
    let so_far = |failure: Failure| match done {
        0 => failure,
        _ => failure.but(&format!(
            "{} imported; run it again for the rest",
            counted(done, "order was", "orders were")
        )),
    };
    brought.map_err(so_far)?;
    if let Some(epoch) = epoch {
        rebuild::wait(all, BTreeMap::from([(sale.clone(), epoch)]), within).await?;
    }
    Ok(done)
}

fn batch_failed(sale: &SaleId, error: ChangeError) -> Failure {
    match error {
        ChangeError::Refused(ChangeRefusal::Short { held }) => {
            Failure::Refused(format!("live orders of sale {sale} hold {held} units, and leave no room"))
        }
        error => change::failure(sale, error),
    }
}

/// What was done; none imported: what would be.
async fn told(
    all: &Surroundings,
    sale: &SaleId,
    survey: &Survey,
    imported: Option<usize>,
) -> Result<Report, Failure> {
    let stored = all.store.sale(sale).await?.ok_or_else(|| Failure::no_such_sale(sale))?;
    let remaining = match all.ledger.sale(sale).await? {
        SaleLookup::Trusted(ledger) => ledger.remaining,
        SaleLookup::Absent | SaleLookup::Untrusted => stored.sale.stock.saturating_sub(stored.sold),
    };
    let dry_run = imported.is_none();
    let no_room = dry_run && remaining < survey.units;
    let mut text = format!(
        "sale {sale}: {} {}, {} there already, {} bad; stock {}, {remaining} left",
        counted(imported.unwrap_or(survey.new), "order", "orders"),
        if dry_run { "would be imported" } else { "imported" },
        survey.there,
        counted(survey.bad, "row is", "rows are"),
        stored.sale.stock,
    );
    if no_room {
        text.extend(["\n", &short(sale, survey.units, remaining)]);
    }
    if !survey.listed.is_empty() {
        let shown = survey.listed.iter().take(SHOWN);
        let rows = shown.map(|row| vec![harmless(&row.id), harmless(&row.reason)]);
        text.extend(["\n", &table(&["row", "why it is no order"], rows)]);
    }
    if survey.bad > SHOWN {
        let more = survey.bad - SHOWN;
        text.extend(["\nand ", &more.to_string(), " more (--json lists ", &LISTED.to_string(), " of them)"]);
    }
    let json = json!({ "sale": sale, "dryRun": dry_run, "found": survey.found, "new": survey.new,
        "units": survey.units, "imported": imported.unwrap_or(0), "alreadyThere": survey.there, "bad": survey.bad,
        "badRows": survey.listed, "stock": stored.sale.stock, "remaining": remaining });
    Ok(Report::new(text, &json).faulty_if(survey.bad > 0 || no_room))
}
