//! The queue in front of the ledger: every order is answered once, also when Redis is gone.

use std::{collections::HashSet, time::Duration};

use deadpool_redis::redis::cmd;
use seckill_core::{
    ledger::{
        CALL_EVERY, DecidedOrder, LedgerError, Reservation, ReservationQueue, ReserveOutcome, SaleLookup,
        Settled, StockLedger,
    },
    order::OrderId,
};
use tokio::sync::mpsc;

use super::support::{buy_one, drop_sale, key_of, ledger, open, raw, reservation, terms};

type Answer = (Reservation, usize, Result<ReserveOutcome, LedgerError>);

fn start(
    ledger: StockLedger,
) -> (ReservationQueue<usize>, mpsc::UnboundedSender<Settled>, mpsc::UnboundedReceiver<Answer>) {
    let (settled, settled_receiver) = mpsc::unbounded_channel();
    let (answers, answers_receiver) = mpsc::unbounded_channel();
    let (queue, _task) =
        ReservationQueue::start(ledger, 10_000, settled_receiver, Some, move |orders, _call| {
            for DecidedOrder { reservation, ticket, outcome } in orders {
                answers.send((reservation, ticket, outcome)).unwrap();
            }
        });
    (queue, settled, answers_receiver)
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_a_crowd_gets_every_unit_of_each_sale_and_no_more() {
    let ledger = ledger();
    let sales = [terms(300), terms(7)];
    for sale in &sales {
        open(&ledger, sale).await;
    }
    let (queue, settled, mut answers) = start(ledger.clone());
    for ticket in 0..2000 {
        let sale = &sales[ticket % 2].id;
        queue.submit(reservation(sale, OrderId::fresh(), &ticket.to_string(), 1), ticket).unwrap();
    }
    drop(queue);

    let mut tickets = HashSet::new();
    let mut sold = [0, 0];
    while tickets.len() < 2000 {
        let (order, ticket, outcome) = answers.recv().await.unwrap();
        assert!(tickets.insert(ticket), "answered twice");
        match outcome.unwrap() {
            ReserveOutcome::Reserved(found) => {
                assert_eq!(found.order.id, order.id);
                sold[ticket % 2] += 1;
                settled.send(Settled { sale: order.sale, epoch: found.epoch, ids: vec![order.id] }).unwrap();
            }
            ReserveOutcome::SoldOut { remaining: 0 } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sold, [300, 7]);
    // The queue ends by itself once it is closed, and has then settled everything.
    drop(settled);
    assert!(answers.recv().await.is_none());
    for sale in &sales {
        let SaleLookup::Trusted(found) = ledger.sale(&sale.id).await.unwrap() else { panic!("not trusted") };
        assert_eq!((found.remaining, found.outbox), (0, 0));
        drop_sale(&sale.id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_do_not_follow_each_other_faster_than_their_pace() {
    // Of a sale that is not there: such calls write nothing, and take a fraction of the pace.
    let (ledger, sale) = (ledger(), terms(0));
    let (settled, settled_receiver) = mpsc::unbounded_channel();
    let (calls, mut called) = mpsc::unbounded_channel();
    let (queue, _task) =
        ReservationQueue::start(ledger, 1_000, settled_receiver, Some, move |orders, call| {
            calls.send((call.sent, orders.len())).unwrap();
        });
    for _ in 0..400 {
        queue.submit(reservation(&sale.id, OrderId::fresh(), "ada", 1), ()).unwrap();
        std::thread::sleep(Duration::from_micros(50));
    }
    drop((queue, settled));
    let (mut moments, mut decided) = (Vec::new(), 0);
    while let Some((sent, orders)) = called.recv().await {
        moments.push(sent);
        decided += orders;
    }
    assert_eq!(decided, 400);
    let took = moments[moments.len() - 1].duration_since(moments[0]).unwrap();
    // All but the first, and one behind a first that was held up.
    let calls = u32::try_from(moments.len()).unwrap();
    assert!(took >= CALL_EVERY * calls.saturating_sub(2), "{calls} calls in {took:?}");
}

#[tokio::test]
async fn p5_an_order_that_is_not_admitted_any_more_is_never_sent() {
    let (ledger, sale) = (ledger(), terms(10));
    open(&ledger, &sale).await;
    let (settled, settled_receiver) = mpsc::unbounded_channel();
    let (answers, mut answered) = mpsc::unbounded_channel();
    let (queue, task) = ReservationQueue::start(
        ledger.clone(),
        100,
        settled_receiver,
        |ticket: usize| Some(ticket).filter(|ticket| ticket % 2 == 0),
        move |orders, _call| {
            for DecidedOrder { ticket, outcome, .. } in orders {
                answers.send((ticket, outcome.is_ok())).unwrap();
            }
        },
    );
    for ticket in 0..6 {
        queue.submit(reservation(&sale.id, OrderId::fresh(), &ticket.to_string(), 1), ticket).unwrap();
    }
    drop((queue, settled));
    task.await.unwrap();
    let mut decided = Vec::new();
    while let Some(answer) = answered.recv().await {
        decided.push(answer);
    }
    assert_eq!(decided, [(0, true), (2, true), (4, true)]);
    let SaleLookup::Trusted(found) = ledger.sale(&sale.id).await.unwrap() else { panic!("not trusted") };
    assert_eq!(found.remaining, 7);
    drop_sale(&sale.id).await;
}

#[tokio::test]
async fn p5_what_is_wrong_with_one_sale_is_not_the_other_sales_trouble() {
    let ledger = ledger();
    let (broken, untrusted, sound) = (terms(50), terms(50), terms(50));
    for sale in [&broken, &untrusted, &sound] {
        open(&ledger, sale).await;
    }
    let mut raw = raw().await;
    cmd("SET").arg(key_of(&broken.id, "orders")).arg("x").query_async::<()>(&mut raw).await.unwrap();
    cmd("DEL").arg(key_of(&untrusted.id, "buyers")).query_async::<()>(&mut raw).await.unwrap();

    // Not before we wait does the queue run on our thread: they travel together.
    let (queue, settled, mut answers) = start(ledger.clone());
    for ticket in 0..60 {
        let sale = [&broken, &untrusted, &sound][ticket % 3];
        queue.submit(reservation(&sale.id, OrderId::fresh(), &ticket.to_string(), 1), ticket).unwrap();
    }
    drop((queue, settled));
    let mut answered = 0;
    while let Some((_, ticket, outcome)) = answers.recv().await {
        answered += 1;
        match ticket % 3 {
            0 => assert!(matches!(outcome, Err(LedgerError::Unavailable(_))), "{outcome:?}"),
            1 => assert!(matches!(outcome, Ok(ReserveOutcome::Untrusted)), "{outcome:?}"),
            _ => assert!(matches!(outcome, Ok(ReserveOutcome::Reserved(_))), "{outcome:?}"),
        }
    }
    assert_eq!(answered, 60);
    for sale in [&broken, &untrusted, &sound] {
        drop_sale(&sale.id).await;
    }
}

#[tokio::test]
async fn what_cannot_be_settled_of_one_sale_does_not_keep_the_other_sales_orders_in_their_outboxes() {
    let ledger = ledger();
    let (broken, sound) = (terms(1), terms(20));
    open(&ledger, &broken).await;
    open(&ledger, &sound).await;
    let broken_outbox = key_of(&broken.id, "outbox");
    cmd("SET").arg(broken_outbox).arg("x").query_async::<()>(&mut raw().await).await.unwrap();
    let (_queue, settled, _answers) = start(ledger.clone());
    // In which order the two are settled is by chance.
    for _ in 0..20 {
        let ReserveOutcome::Reserved(taken) = buy_one(&ledger, &sound.id).await else { panic!("not taken") };
        settled.send(Settled { sale: broken.id.clone(), epoch: 1, ids: vec![OrderId::fresh()] }).unwrap();
        settled
            .send(Settled { sale: sound.id.clone(), epoch: taken.epoch, ids: vec![taken.order.id] })
            .unwrap();
        let is_settled = async {
            while !matches!(ledger.sale(&sound.id).await.unwrap(), SaleLookup::Trusted(found) if found.outbox == 0)
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), is_settled).await.expect("settled");
    }
    drop_sale(&broken.id).await;
    drop_sale(&sound.id).await;
}

#[tokio::test]
async fn p5_a_ledger_that_is_not_there_is_unavailable_not_unknown() {
    let (queue, _settled, mut answers) =
        start(StockLedger::new(&"redis://127.0.0.1:1/".to_owned().into(), 1).unwrap());
    queue.submit(reservation(&terms(1).id, OrderId::fresh(), "buyer", 1), 0).unwrap();
    let (_, _, outcome) =
        tokio::time::timeout(Duration::from_secs(3), answers.recv()).await.unwrap().unwrap();
    assert!(matches!(outcome, Err(LedgerError::Unavailable(_))), "{outcome:?}");
}

#[tokio::test]
async fn p6_a_ledger_that_never_answers_is_unavailable_in_time() {
    // It accepts connections, and does not even greet.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/", silent.local_addr().unwrap());
    let (queue, _settled, mut answers) = start(StockLedger::new(&url.into(), 1).unwrap());
    queue.submit(reservation(&terms(1).id, OrderId::fresh(), "buyer", 1), 0).unwrap();
    let (_, _, outcome) =
        tokio::time::timeout(Duration::from_secs(6), answers.recv()).await.unwrap().unwrap();
    assert!(matches!(outcome, Err(LedgerError::Unavailable(_))), "{outcome:?}");
}
