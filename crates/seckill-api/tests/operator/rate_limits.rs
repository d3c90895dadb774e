//! Rate limits: per buyer and per client address, off unless they are set.

use reqwest::Method;
use serde_json::Value;

use crate::{
    answer::Answer,
    world::{PHONE, RunningApi, World},
};

struct Limited {
    world: World,
    api: RunningApi,
}

impl Limited {
    async fn by(flags: &[&str]) -> Self {
        let world = World::open(100).await;
        let api = RunningApi::start(world.parts().await, flags);
        Self { world, api }
    }

    async fn order(&self, user: &str) -> Answer {
        let body = format!(r#"{{"user":"{user}","goods":"phone"}}"#);
        self.api.post(&self.world.path("/orders"), &[], &body).await
    }

    async fn get_for(&self, client: &str) -> Answer {
        self.api.send(Method::GET, "/", &[("x-forwarded-for", client)], "").await
    }

    async fn end(self) {
        self.api.stop().await;
        self.world.end().await;
    }
}

fn headers(answer: &Answer) -> (&str, &str) {
    (answer.header("ratelimit-policy").unwrap(), answer.header("ratelimit").unwrap())
}

/// What `Retry-After` says, which is `interval` without the time that this test has taken already.
fn wait(refused: &Answer, interval: u64) -> u64 {
    let seconds = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((interval - 30..=interval).contains(&seconds), "{seconds}");
    seconds
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_buyer_who_orders_too_often_is_429_with_the_exact_time_to_wait() {
    let limited = Limited::by(&["--rate-limit-buyer", "3/h"]).await;
    for (left, seconds) in [(2, 1200), (1, 2400), (0, 3600)] {
        let answer = limited.order("ada").await;
        assert_eq!(answer.status, 202);
        let expected = format!("\"buyer\";r={left};t={seconds}");
        assert_eq!(headers(&answer), ("\"buyer\";q=3;w=3600", &*expected));
    }
    let refused = limited.order("ada").await;
    refused.problem(429, "rate-limited");
    let wait = wait(&refused, 1200);
    assert_eq!(headers(&refused), ("\"buyer\";q=3;w=3600", &*format!("\"buyer\";r=0;t={wait}")));
    assert_eq!(limited.order("bob").await.status, 202, "another buyer");
    let add = limited.api.post("/seckill/add", &[], PHONE).await;
    add.problem(429, "rate-limited");
    assert_eq!(limited.world.remaining().await, 96, "what is refused takes nothing");
    assert_eq!(limited.api.get(&limited.world.path("")).await.header("ratelimit"), None, "only orders count");
    limited.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_an_address_that_asks_too_often_is_429_except_for_operation() {
    let limited = Limited::by(&["--rate-limit-address", "2/h", "--rate-limit-buyer", "10/h"]).await;
    let first = limited.order("ada").await;
    let expected =
        ("\"address\";q=2;w=3600, \"buyer\";q=10;w=3600", "\"address\";r=1;t=1800, \"buyer\";r=9;t=360");
    assert_eq!(headers(&first), expected);
    limited.api.get("/nowhere").await.problem(404, "not-found");
    for path in ["/", "/v1/sales", "/nowhere", "/order/all", "/problems/rate-limited"] {
        let refused = limited.api.get(path).await;
        refused.problem(429, "rate-limited");
        let wait = wait(&refused, 1800);
        assert_eq!(headers(&refused), ("\"address\";q=2;w=3600", &*format!("\"address\";r=0;t={wait}")));
    }
    limited.order("bob").await.problem(429, "rate-limited");
    for path in ["/livez", "/readyz", "/metrics"] {
        let answer = limited.api.get(path).await;
        assert_eq!((answer.status, answer.header("ratelimit")), (200, None), "{path}");
    }
    assert_eq!(limited.world.remaining().await, 99);
    limited.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_who_is_not_trusted_cannot_choose_an_address() {
    let limited = Limited::by(&["--rate-limit-address", "1/h"]).await;
    assert_eq!(limited.get_for("203.0.113.1").await.status, 200);
    limited.get_for("203.0.113.2").await.problem(429, "rate-limited");
    limited.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_each_client_has_its_own_allowance() {
    let flags = ["--rate-limit-address", "1/h", "--trusted-proxies", "127.0.0.0/8,10.0.0.0/8"];
    let limited = Limited::by(&flags).await;
    assert_eq!(limited.get_for("203.0.113.1").await.status, 200);
    assert_eq!(limited.get_for("203.0.113.2").await.status, 200);
    // What the client wrote itself is left of what the proxies wrote.
    limited.get_for("198.51.100.9, 203.0.113.1").await.problem(429, "rate-limited");
    limited.get_for("198.51.100.9, 203.0.113.2, 10.0.0.7").await.problem(429, "rate-limited");
    limited.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_settings_nothing_is_counted() {
    let world = World::open(100).await;
    for _ in 0..50 {
        let order: Answer = world.order(PHONE).await;
        assert_eq!((order.status, order.header("ratelimit")), (202, None));
        assert_eq!(order.json()["user"], Value::from("ada"));
    }
    world.end().await;
}
