//! A world with an operator: a server that knows the operator's token, and a consumer on demand.

use std::{sync::Arc, time::Duration};

use order_consumer::{consume::Consumer, returns};
use reqwest::Method;
use seckill_core::{
    order::{Order, OrderId, Units},
    order_log::OrderSubscriber,
    sale::Sale,
    settings::GroupSettings,
    shutdown,
};
use serde_json::Value;
use tokio::sync::Notify;

use crate::{
    answer::Answer,
    world::{RunningApi, World, terms},
};

/// The operator's token in these tests.
pub const TOKEN: &str = "the operator's token";

pub struct Office {
    pub world: World,
    pub api: RunningApi,
}

impl Office {
    /// An office whose only sale has `stock` units.
    pub async fn open(stock: Units) -> Self {
        Self::of(terms(stock)).await
    }

    /// An office whose only sale is `sale`.
    pub async fn of(sale: Sale) -> Self {
        let world = World::of(sale).await;
        let mut parts = world.parts().await;
        parts.admin_token = Some(TOKEN.into());
        let api = RunningApi::start(parts, &[]);
        Self { world, api }
    }

    /// Asks as the operator.
    pub async fn ask(&self, method: Method, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        let headers = [("authorization", &*bearer), ("content-type", "application/json")];
        self.api.send(method, path, &headers, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, "").await
    }

    /// `PUT /seckill/reset`.
    pub async fn reset(&self, count: &str) -> Answer {
        self.ask(Method::PUT, "/seckill/reset", &format!("{{\"count\":{count}}}")).await
    }

    /// `DELETE /order`; gives `affected`.
    pub async fn delete(&self, ids: &[&str]) -> Value {
        let answer = self.ask(Method::DELETE, "/order", &serde_json::to_string(ids).unwrap()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let affected = answer.json()["affected"].clone();
        assert_eq!(answer.body, format!("{{\"raw\":[],\"affected\":{affected}}}"));
        affected
    }

    /// Makes an order by hand, and gives it.
    pub async fn make(&self, body: &str) -> Value {
        let made = self.ask(Method::POST, "/order", body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.json()
    }

    /// Takes an order of a sale and writes it to the store.
    pub async fn buy(&self, user: &str, quantity: Units) -> Value {
        let order = self.world.buy(user, quantity).await;
        self.consume(1).await;
        order
    }

    /// Lets a consumer write `events` events to the store, and gives back what is owed.
    pub async fn consume(&self, events: usize) {
        let (_stop, stopping) = shutdown::channel();
        let group = GroupSettings { consumer_group: self.world.sale.to_string() };
        let mut consumer = Consumer::new(
            OrderSubscriber::new(&self.world.kafka, &group).unwrap(),
            self.world.database.store(),
            self.world.parts().await.publisher,
            Arc::new(Notify::new()),
            stopping,
        )
        .unwrap();
        let work = tokio::task::spawn_blocking(move || {
            let started = std::time::Instant::now();
            let mut seen = 0;
            while seen < events {
                assert!(started.elapsed() < Duration::from_secs(30), "only {seen} of {events} events came");
                seen += consumer.step().unwrap();
            }
            consumer.subscriber.close().unwrap();
            seen
        });
        assert_eq!(work.await.unwrap(), events);
        returns::sweep(&self.world.store, &self.world.ledger).await.unwrap();
    }

    /// An order of the sale as the store has it.
    pub async fn stored(&self, order: &Value) -> Order {
        self.world.store.order(&self.world.sale, id(order)).await.unwrap().expect("it is in the store")
    }

    pub async fn end(self) {
        self.api.stop().await;
        self.world.end().await;
    }
}

/// The id of an order in JSON.
pub fn id(order: &Value) -> OrderId {
    OrderId::parse(text(order, "id")).unwrap()
}

/// A text in an order.
pub fn text<'a>(order: &'a Value, field: &str) -> &'a str {
    order[field].as_str().unwrap_or_else(|| panic!("no {field} in {order}"))
}
