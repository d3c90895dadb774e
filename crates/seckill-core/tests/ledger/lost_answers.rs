//! The ledger's answer is lost on the way: what was done is done, and nobody is told that it was not.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use deadpool_redis::redis::{Cmd, cmd};
use seckill_core::{
    ledger::{DecidedOrder, LedgerError, Reservation, ReservationQueue, ReserveOutcome, StockLedger},
    order::OrderId,
    sale::SaleId,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::support::{drop_sale, key_of, ledger, open, raw, redis_url, reservation, terms};

type Outcome = Result<ReserveOutcome, LedgerError>;

/// Stands between the queue and Redis. Once `swallow` is set, the next answer is lost.
struct Proxy {
    url: String,
    swallow: Arc<AtomicBool>,
}

/// How an answer is lost.
#[derive(Clone)]
enum Loss {
    /// With its connection.
    Cut,
    /// The same, and before that this is done to the ledger.
    CutAfter(Cmd),
    /// The connection stays, and nothing comes on it any more.
    Silence,
}

impl Proxy {
    async fn start(loss: Loss) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (server, database) =
            redis_url().trim_start_matches("redis://").rsplit_once('/').map(own).expect("host:port/database");
        let url = format!("redis://{}/{database}", listener.local_addr().unwrap());
        let swallow = Arc::new(AtomicBool::new(false));
        let shared = swallow.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(pass_on(client, server, shared.clone(), loss.clone()));
            }
        });
        Self { url, swallow }
    }
}

fn own((server, database): (&str, &str)) -> (String, String) {
    (server.to_owned(), database.to_owned())
}

async fn pass_on(mut client: TcpStream, mut server: TcpStream, swallow: Arc<AtomicBool>, loss: Loss) {
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => match read {
                Ok(0) | Err(_) => return,
                Ok(bytes) => server.write_all(&asked[..bytes]).await.unwrap(),
            },
            read = server.read(&mut answered) => match read {
                Ok(0) | Err(_) => return,
                // What Redis has answered it has done.
                Ok(_) if swallow.swap(false, Ordering::SeqCst) => {
                    match loss {
                        Loss::Cut => {}
                        Loss::CutAfter(command) => command.query_async(&mut raw().await).await.unwrap(),
                        Loss::Silence => std::future::pending().await,
                    }
                    return;
                }
                Ok(bytes) => client.write_all(&answered[..bytes]).await.unwrap(),
            },
        }
    }
}

/// A queue behind `proxy` that has decided one order already, so that it has a connection and the script.
async fn queue(
    proxy: &Proxy,
    sale: &SaleId,
) -> (ReservationQueue<()>, mpsc::UnboundedReceiver<(Reservation, Outcome)>) {
    let (_settled, settled) = mpsc::unbounded_channel();
    let (answers, mut receiver) = mpsc::unbounded_channel();
    let ledger = StockLedger::new(&proxy.url.clone().into(), 4).unwrap();
    let (queue, _task) = ReservationQueue::start(ledger, 100, settled, Some, move |orders, _call| {
        for DecidedOrder { reservation, outcome, .. } in orders {
            let _ = answers.send((reservation, outcome));
        }
    });
    assert!(matches!(
        ask(&queue, &mut receiver, sale, OrderId::fresh()).await,
        Ok(ReserveOutcome::Reserved(_))
    ));
    (queue, receiver)
}

async fn ask(
    queue: &ReservationQueue<()>,
    answers: &mut mpsc::UnboundedReceiver<(Reservation, Outcome)>,
    sale: &SaleId,
    id: OrderId,
) -> Outcome {
    queue.submit(reservation(sale, id, &id.to_string(), 1), ()).unwrap();
    answers.recv().await.unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_an_order_whose_answer_was_lost_is_replayed() {
    let sale = terms(2);
    open(&ledger(), &sale).await;
    let proxy = Proxy::start(Loss::Cut).await;
    let (queue, mut answers) = queue(&proxy, &sale.id).await;

    proxy.swallow.store(true, Ordering::SeqCst);
    let id = OrderId::fresh();
    let outcome = ask(&queue, &mut answers, &sale.id, id).await;
    assert!(matches!(&outcome, Ok(ReserveOutcome::Replayed(found)) if found.order.id == id), "{outcome:?}");

    // The lost connection is not used again: the next refusal is one.
    let outcome = ask(&queue, &mut answers, &sale.id, OrderId::fresh()).await;
    assert!(matches!(outcome, Ok(ReserveOutcome::SoldOut { remaining: 0 })), "{outcome:?}");
    drop_sale(&sale.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_an_order_whose_answer_never_comes_is_not_said_to_be_refused() {
    let sale = terms(2);
    open(&ledger(), &sale).await;
    let proxy = Proxy::start(Loss::Silence).await;
    let (queue, mut answers) = queue(&proxy, &sale.id).await;

    proxy.swallow.store(true, Ordering::SeqCst);
    let id = OrderId::fresh();
    let outcome = ask(&queue, &mut answers, &sale.id, id).await;
    assert!(matches!(&outcome, Ok(ReserveOutcome::Replayed(found)) if found.order.id == id), "{outcome:?}");
    drop_sale(&sale.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_a_refusal_after_a_lost_answer_is_not_passed_on() {
    let sale = terms(2);
    open(&ledger(), &sale).await;
    // The order is taken, its answer is lost, and then the ledger is not to be trusted any more. A rebuild
    // publishes what is in the outbox: the order may stand, and to say "not now" would be a lie.
    let proxy = Proxy::start(Loss::CutAfter(cmd("DEL").arg(key_of(&sale.id, "buyers")).take())).await;
    let (queue, mut answers) = queue(&proxy, &sale.id).await;

    proxy.swallow.store(true, Ordering::SeqCst);
    let id = OrderId::fresh();
    let outcome = ask(&queue, &mut answers, &sale.id, id).await;
    assert!(matches!(outcome, Err(LedgerError::Unknown(_))), "{outcome:?}");
    let survivors = ledger().outbox(&sale.id, std::time::Duration::ZERO, 10).await.unwrap();
    assert!(survivors.iter().any(|survivor| survivor.order.id == id), "it was taken");

    let outcome = ask(&queue, &mut answers, &sale.id, OrderId::fresh()).await;
    assert!(matches!(outcome, Ok(ReserveOutcome::Untrusted)), "{outcome:?}");
    drop_sale(&sale.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_a_failure_after_a_lost_answer_is_not_passed_on() {
    let sale = terms(2);
    open(&ledger(), &sale).await;
    // The order is taken, its answer is lost, and from then on the sale's keys are no good.
    let proxy =
        Proxy::start(Loss::CutAfter(cmd("SET").arg(key_of(&sale.id, "orders")).arg("x").take())).await;
    let (queue, mut answers) = queue(&proxy, &sale.id).await;

    proxy.swallow.store(true, Ordering::SeqCst);
    let outcome = ask(&queue, &mut answers, &sale.id, OrderId::fresh()).await;
    assert!(matches!(outcome, Err(LedgerError::Unknown(_))), "{outcome:?}");

    let outcome = ask(&queue, &mut answers, &sale.id, OrderId::fresh()).await;
    assert!(matches!(outcome, Err(LedgerError::Unavailable(_))), "{outcome:?}");
    drop_sale(&sale.id).await;
}
