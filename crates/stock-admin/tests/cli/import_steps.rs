//! An import step by step, with what can come between its batches.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use jiff::Timestamp;
use seckill_core::{
    change::{ChangeError, ChangeRefusal, Import, ImportPlan, Sides},
    ledger::{Reservation, ReserveOutcome},
    order::{BuyerId, Goods, Order, OrderId, OrderRequest, OrderStatus, Quantity},
    sale::SaleId,
    store::ImportedOrder,
};

use crate::{
    at_work::AtWork,
    import::Original,
    support::{Site, reserve, run_beside},
};

fn imported(sale: &SaleId, orders: usize) -> Vec<ImportedOrder> {
    let request = OrderRequest {
        buyer: BuyerId::parse("old").unwrap(),
        goods: Goods::parse("phone").unwrap(),
        quantity: Quantity::ONE,
        remark: None,
    };
    let order = || {
        let now = Timestamp::now();
        Order::new(OrderId::fresh(), sale.clone(), request.clone(), None, now, OrderStatus::Confirmed)
    };
    (0..orders).map(|_| ImportedOrder { order: order(), raw: None }).collect()
}

async fn begin<'a>(site: &'a Site, sale: &SaleId, orders: usize) -> Import<'a> {
    let sides = Sides { store: &site.store, ledger: &site.ledger };
    let plan = ImportPlan { orders, units: orders as u64, source: "elsewhere".into(), actor: "olga".into() };
    sides.begin_import(sale, plan).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p2_units_sold_between_two_batches_are_not_imported_over() {
    let mut site = Site::to_work_on().await;
    let work = AtWork::all(&site);
    let sale = site.sale_by_keeper(10).await;
    let mut import = begin(&site, &sale, 8).await;
    import.add(&imported(&sale, 4)).await.unwrap();
    // The keeper is faster than the next batch: it knows nothing of units that are set aside.
    site.loaded(&sale).await;
    assert_eq!(site.in_ledger(&sale).await.remaining, 6);
    let bought = site.take(&sale, 4).await;
    let refused = import.add(&imported(&sale, 4)).await.unwrap_err();
    assert!(matches!(refused, ChangeError::Refused(ChangeRefusal::Short { held: 8 })), "{refused}");
    import.end().await;
    // The buyer's order, which nobody had published yet, stands; with room, the rest comes as if nothing had been.
    site.becomes(&bought, OrderStatus::Confirmed).await;
    let mut rest = begin(&site, &sale, 2).await;
    rest.add(&imported(&sale, 1)).await.unwrap();
    site.loaded(&sale).await;
    rest.add(&imported(&sale, 1)).await.unwrap();
    rest.end().await;
    site.loaded(&sale).await;
    let (stored, ledger) = (site.in_store(&sale).await, site.in_ledger(&sale).await);
    assert_eq!((stored.sold, stored.sale.stock, ledger.remaining), (10, 10, 0));
    work.end().await;
}

#[tokio::test]
async fn p2_the_ledger_decides_nothing_from_the_first_batch_on() {
    let mut site = Site::to_work_on().await;
    let sale = site.sale(10).await;
    let mut import = begin(&site, &sale, 5).await;
    site.hold(&sale, 1).await;
    import.add(&imported(&sale, 5)).await.unwrap();
    let decided = reserve(&site.ledger, &sale, 1).await;
    assert!(matches!(decided, ReserveOutcome::Untrusted), "{decided:?}");
    assert!(import.end().await.is_some());
}

#[tokio::test]
async fn p1_p2_orders_on_their_way_to_the_store_leave_no_room() {
    let mut site = Site::to_work_on().await;
    let sale = site.sale(10).await;
    // Held in the ledger, and nowhere else yet.
    site.hold(&sale, 6).await;
    let before = site.in_ledger(&sale).await;
    let mut import = begin(&site, &sale, 5).await;
    let refused = import.add(&imported(&sale, 5)).await.unwrap_err();
    assert!(matches!(refused, ChangeError::Refused(ChangeRefusal::Short { held: 6 })), "{refused}");
    assert_eq!(import.end().await, None);
    let after = site.in_ledger(&sale).await;
    assert_eq!((after.remaining, after.adjustment), (before.remaining, before.adjustment));
    assert_eq!(site.in_store(&sale).await.sold, 0);
    site.hold(&sale, 4).await;
}

#[tokio::test]
async fn a_batch_that_the_store_refuses_changes_neither_side() {
    let mut site = Site::to_work_on().await;
    let sale = site.sale(10).await;
    let mut import = begin(&site, &sale, 4).await;
    let mut batch = imported(&sale, 2);
    batch[1].order.openid = batch[0].order.openid.clone();
    let before = site.everything(&sale).await;
    import.add(&batch).await.unwrap_err();
    assert_eq!(site.everything(&sale).await, before);
    assert_eq!(import.end().await, None);
    site.hold(&sale, 10).await;
}

#[tokio::test]
async fn nobody_else_changes_the_sale_meanwhile() {
    let mut site = Site::to_work_on().await;
    let sale = site.sale(10).await;
    let import = begin(&site, &sale, 4).await;
    let ran = run_beside(site.command(&["stock", "set", sale.as_str(), "20"])).await.expect(1);
    assert!(ran.complaint().contains("another operator"), "{ran:?}");
    import.end().await;
    run_beside(site.command(&["stock", "set", sale.as_str(), "20"])).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p2_p4_an_import_into_a_sale_that_sells_loses_nothing_and_oversells_nothing() {
    let mut site = Site::to_work_on().await;
    let (work, original) = (AtWork::all(&site), Original::with(1_500).await);
    let sale = site.sale_by_keeper(2_000).await;
    let stop = Arc::new(AtomicBool::new(false));
    let buying = {
        let (ledger, publisher) = (site.ledger.clone(), work.publisher.clone());
        let (sale, stop) = (sale.clone(), stop.clone());
        tokio::spawn(async move {
            let mut bought = Vec::new();
            while !stop.load(Ordering::Relaxed) && bought.len() < 400 {
                let request = OrderRequest {
                    buyer: BuyerId::parse("ben").unwrap(),
                    goods: Goods::parse("phone").unwrap(),
                    quantity: Quantity::ONE,
                    remark: None,
                };
                let wanted = Reservation { sale: sale.clone(), id: OrderId::fresh(), request };
                let decided = ledger.reserve(&sale, &[wanted]).await.unwrap().remove(0);
                if let ReserveOutcome::Reserved(order) = decided {
                    publisher.publish_and_wait(&order.placed_event()).await.unwrap();
                    ledger.settle(&sale, order.epoch, &[order.order.id]).await.unwrap();
                    bought.push(order);
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            bought
        })
    };
    run_beside(original.import(&site, &sale, &["--yes"])).await.expect(0);
    stop.store(true, Ordering::Relaxed);
    let bought = buying.await.unwrap();
    assert!(!bought.is_empty(), "nothing was sold meanwhile");
    for order in &bought {
        site.becomes(order, OrderStatus::Confirmed).await;
    }
    let (stored, ledger) = (site.in_store(&sale).await, site.in_ledger(&sale).await);
    let sold = 1_500 + bought.len() as u64;
    assert_eq!((stored.sold, ledger.remaining), (sold, 2_000 - sold));
    site.run(&["reconcile", sale.as_str()]).expect(0);
    work.end().await;
}
