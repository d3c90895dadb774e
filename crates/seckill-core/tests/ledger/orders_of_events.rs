//! The queue in front of the ledger, told the same things in every order: two orders, an acknowledgement, and that
//! nothing more comes of either. What it is told in between another two may find it waiting, or at work.

use std::time::Duration;

use seckill_core::{
    ledger::{DecidedOrder, Reservation, ReservationQueue, ReserveOutcome, SaleLookup, Settled, StockLedger},
    order::OrderId,
    sale::{Sale, SaleId},
};
use tokio::{sync::mpsc, task::yield_now, time::timeout};

use super::support::{drop_sale, ledger, open, reservation, terms};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Order(u8),
    Acknowledged,
    NoMoreOrders,
    NoMoreAcknowledgements,
}

/// What happens before the next thing is told.
#[derive(Clone, Copy, Debug)]
enum Meanwhile {
    Nothing,
    /// The queue's task begins to work on it.
    AStep,
    /// It ends.
    AllOfIt,
}

const MEANWHILE: [Meanwhile; 3] = [Meanwhile::Nothing, Meanwhile::AStep, Meanwhile::AllOfIt];

/// Every order in which the five can be told: nothing comes after it was said that nothing will.
fn orders() -> Vec<Vec<Told>> {
    let all = [
        Told::Order(0),
        Told::Order(1),
        Told::Acknowledged,
        Told::NoMoreOrders,
        Told::NoMoreAcknowledgements,
    ];
    let mut begun = vec![Vec::new()];
    for _ in all {
        let longer = |told: Vec<Told>| {
            let next = all.into_iter().filter(|next| !told.contains(next) && may_follow(*next, &told));
            next.map(|next| [told.clone(), vec![next]].concat()).collect::<Vec<_>>()
        };
        begun = begun.into_iter().flat_map(longer).collect();
    }
    begun
}

fn may_follow(next: Told, told: &[Told]) -> bool {
    match next {
        Told::Order(_) | Told::Acknowledged => true,
        Told::NoMoreOrders => told.contains(&Told::Order(0)) && told.contains(&Told::Order(1)),
        Told::NoMoreAcknowledgements => told.contains(&Told::Acknowledged),
    }
}

type Answers = mpsc::UnboundedReceiver<(u8, ReserveOutcome)>;

struct Run {
    queue: Option<ReservationQueue<u8>>,
    settled: Option<mpsc::UnboundedSender<Settled>>,
    answers: Answers,
    asked: usize,
    answered: Vec<u8>,
}

impl Run {
    fn tell(&mut self, told: Told, sale: &SaleId, acknowledged: OrderId) {
        match told {
            Told::Order(ticket) => {
                let id = OrderId::fresh();
                let order: Reservation = reservation(sale, id, &id.to_string(), 1);
                self.queue.as_ref().unwrap().submit(order, ticket).unwrap();
                self.asked += 1;
            }
            Told::Acknowledged => {
                let ack = Settled { sale: sale.clone(), epoch: 1, ids: vec![acknowledged] };
                self.settled.as_ref().unwrap().send(ack).unwrap();
            }
            Told::NoMoreOrders => self.queue = None,
            Told::NoMoreAcknowledgements => self.settled = None,
        }
    }

    /// Waits until every order so far has its answer.
    async fn answered(&mut self) {
        while self.answered.len() < self.asked {
            let answer = timeout(Duration::from_secs(20), self.answers.recv()).await;
            let (ticket, outcome) =
                answer.expect("an order is never answered").expect("the queue has ended early");
            assert!(matches!(outcome, ReserveOutcome::Reserved(_)), "{outcome:?}");
            self.answered.push(ticket);
        }
    }
}

async fn outbox(ledger: &StockLedger, sale: &SaleId) -> u64 {
    let SaleLookup::Trusted(found) = ledger.sale(sale).await.unwrap() else { panic!("not trusted") };
    found.outbox
}

async fn play(ledger: &StockLedger, sale: &Sale, order: &[Told], pauses: usize) {
    let acknowledged = OrderId::fresh();
    let asked = reservation(&sale.id, acknowledged, &acknowledged.to_string(), 1);
    ledger.reserve(&sale.id, &[asked]).await.unwrap();
    let before = outbox(ledger, &sale.id).await;

    let (settled, settled_receiver) = mpsc::unbounded_channel();
    let (answers, answers_receiver) = mpsc::unbounded_channel();
    let (queue, mut task) =
        ReservationQueue::start(ledger.clone(), 10, settled_receiver, Some, move |orders, _| {
            for DecidedOrder { ticket, outcome, .. } in orders {
                answers.send((ticket, outcome.unwrap())).unwrap();
            }
        });
    let mut run = Run {
        queue: Some(queue),
        settled: Some(settled),
        answers: answers_receiver,
        asked: 0,
        answered: Vec::new(),
    };
    let mut pauses = pauses;
    for told in order {
        assert!(!task.is_finished(), "it ends before it was told everything");
        run.tell(*told, &sale.id, acknowledged);
        match MEANWHILE[pauses % MEANWHILE.len()] {
            Meanwhile::Nothing => {}
            Meanwhile::AStep => yield_now().await,
            Meanwhile::AllOfIt => run.answered().await,
        }
        pauses /= MEANWHILE.len();
    }
    run.answered().await;
    timeout(Duration::from_secs(20), &mut task).await.expect("it does not end").unwrap();
    run.answered.sort_unstable();
    assert_eq!(run.answered, [0, 1], "each is answered once");
    assert!(run.answers.recv().await.is_none(), "an answer too many");
    // Two came, one was acknowledged.
    assert_eq!(outbox(ledger, &sale.id).await, before + 1);
}

#[tokio::test]
async fn p5_in_whatever_order_things_come_each_order_is_answered_once_and_the_queue_ends() {
    let (ledger, sale) = (ledger(), terms(1_000_000));
    open(&ledger, &sale).await;
    let orders = orders();
    assert_eq!(orders.len(), 20);
    for order in &orders {
        for pauses in 0..MEANWHILE.len().pow(4) {
            play(&ledger, &sale, order, pauses).await;
        }
    }
    drop_sale(&sale.id).await;
}
