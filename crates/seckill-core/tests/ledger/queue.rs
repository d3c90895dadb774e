//! The queue in front of the ledger: every order is answered once, also when Redis is gone.

use std::{collections::HashSet, time::Duration};

use seckill_core::{
    ledger::{LedgerError, Reservation, ReservationQueue, ReserveOutcome, SaleLookup, Settled, StockLedger},
    order::OrderId,
};
use tokio::sync::mpsc;

use super::support::{drop_sale, ledger, open, reservation, terms};

type Answer = (Reservation, usize, Result<ReserveOutcome, LedgerError>);

fn start(
    ledger: StockLedger,
) -> (ReservationQueue<usize>, mpsc::UnboundedSender<Settled>, mpsc::UnboundedReceiver<Answer>) {
    let (settled, settled_receiver) = mpsc::unbounded_channel();
    let (answers, answers_receiver) = mpsc::unbounded_channel();
    let (queue, _task) = ReservationQueue::start(
        ledger,
        10_000,
        settled_receiver,
        Some,
        move |order, ticket, outcome, _call| {
            answers.send((order, ticket, outcome)).unwrap();
        },
    );
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
                settled.send(Settled { sale: order.sale, id: order.id, epoch: found.epoch }).unwrap();
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
        move |_, ticket, outcome, _call| answers.send((ticket, outcome.is_ok())).unwrap(),
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
async fn p5_a_ledger_that_is_not_there_is_unavailable_not_unknown() {
    let (queue, _settled, mut answers) =
        start(StockLedger::new(&"redis://127.0.0.1:1/".to_owned().into(), 1).unwrap());
    queue.submit(reservation(&terms(1).id, OrderId::fresh(), "buyer", 1), 0).unwrap();
    let (_, _, outcome) =
        tokio::time::timeout(Duration::from_secs(3), answers.recv()).await.unwrap().unwrap();
    assert!(matches!(outcome, Err(LedgerError::Unavailable(_))), "{outcome:?}");
}

#[tokio::test]
async fn p5_a_lost_answer_is_unknown() {
    // A server that takes every command and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/", silent.local_addr().unwrap());
    let (queue, _settled, mut answers) = start(StockLedger::new(&url.into(), 1).unwrap());
    queue.submit(reservation(&terms(1).id, OrderId::fresh(), "buyer", 1), 0).unwrap();
    let (_, _, outcome) =
        tokio::time::timeout(Duration::from_secs(6), answers.recv()).await.unwrap().unwrap();
    assert!(outcome.is_err(), "{outcome:?}");
}
