//! `GET /v1/sales/{sale}/events`.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use seckill_api::{feed::SaleFeed, reading::Readings};

use crate::{
    listening::Listening,
    world::{RunningApi, World},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_is_told_at_once_and_when_it_changes() {
    let world = World::open(10).await;
    let path = world.path("/events");
    let mut listeners = Vec::new();
    for _ in 0..3 {
        listeners.push(Listening::to(&world.api, &path, None).await.ok().unwrap());
    }
    let shown = world.api.get(&world.path("")).await.json();
    for listening in &mut listeners {
        let event = listening.next().await.unwrap();
        assert_eq!(event.name, "sale");
        let mut data = event.data;
        data["serverTime"] = shown["serverTime"].clone();
        assert_eq!(data, shown);
    }
    world.buy("ada", 3).await;
    for listening in &mut listeners {
        assert_eq!(listening.next().await.unwrap().data["remaining"], 7);
    }
    world.buy("bob", 7).await;
    for listening in &mut listeners {
        let data = listening.next().await.unwrap().data;
        assert_eq!((&data["remaining"], &data["state"]), (&0.into(), &"soldOut".into()));
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_later_is_told_how_the_sale_stands_then() {
    let world = World::open(10).await;
    let path = world.path("/events");
    let mut early = Listening::to(&world.api, &path, None).await.ok().unwrap();
    let opened = early.next().await.unwrap().data["serverTime"].clone();
    tokio::time::sleep(Duration::from_millis(300)).await;
    for units in 1..=3 {
        world.buy("ada", 1).await;
        let mut late = Listening::to(&world.api, &path, None).await.ok().unwrap();
        let first = late.next().await.unwrap().data;
        assert_eq!(first["remaining"], 10 - units);
        assert!(
            first["serverTime"].as_str() > opened.as_str(),
            "a countdown would begin with the first listener's clock"
        );
    }
    while early.next().await.unwrap().data["remaining"] != 7 {}
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_is_told_at_most_five_times_a_second() {
    let world = World::open(1000).await;
    let mut listening = Listening::to(&world.api, &world.path("/events"), None).await.ok().unwrap();
    let selling = async {
        for number in 0..300 {
            world.buy(&format!("buyer-{number}"), 1).await;
        }
        world.remaining().await
    };
    let hearing = async {
        let mut heard = Vec::new();
        loop {
            let event = listening.next().await.unwrap();
            // By the server's clock: the client may be late, and then hears several at once.
            heard.push(event.data["serverTime"].as_str().unwrap().parse::<Timestamp>().unwrap());
            if event.data["remaining"] == 700 {
                return heard;
            }
        }
    };
    let (remaining, heard) = futures_util::join!(selling, hearing);
    assert_eq!(remaining, 700);
    assert!(heard.len() >= 3, "{} events", heard.len());
    // Six in a row take a second at least.
    for window in heard.windows(6) {
        let took = window[5].duration_since(window[0]);
        assert!(took >= SignedDuration::from_secs(1), "six events within {took:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_ticker_serves_all_listeners_and_stops_with_the_last() {
    let world = World::open(10).await;
    let feed = SaleFeed::new(Readings::new(world.ledger.clone(), world.store.clone()));
    let mut listeners = Vec::new();
    for _ in 0..100 {
        listeners.push(feed.watch(&world.sale).await.unwrap());
    }
    assert_eq!(feed.tickers(), 1);
    listeners.truncate(1);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(feed.tickers(), 1);
    drop(listeners);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(feed.tickers(), 0);
    // The next one starts it anew.
    let (_, mut listener) = feed.watch(&world.sale).await.unwrap();
    world.buy("ada", 1).await;
    tokio::time::timeout(Duration::from_secs(5), listener.changed()).await.unwrap().unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_only_sales_that_are_there_can_be_listened_to() {
    let world = World::open(10).await;
    world.api.get("/v1/sales/no-such-sale/events").await.problem(404, "sale-not-found");
    world.api.get("/v1/sales/%7B%7D/events").await.problem(400, "malformed-request");
    let post = world.api.post(&world.path("/events"), &[], "").await;
    post.problem(405, "method-not-allowed");
    assert_eq!(post.header("allow"), Some("GET, HEAD"));
    let head = world.api.send(Method::HEAD, &world.path("/events"), &[], "").await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    world.lose_the_ledger().await;
    // Nothing of what was read before, nor a ticker, is left.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let refused = Listening::to(&world.api, &world.path("/events"), None).await.err().unwrap();
    refused.problem(503, "ledger-recovering");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_streams_are_bounded_and_a_place_is_free_again_when_its_listener_has_gone() {
    let world = World::open(1000).await;
    let api = RunningApi::start(world.parts().await, &["--max-event-streams", "2"]);
    let path = world.path("/events");
    let first = Listening::to(&api, &path, None).await.ok().unwrap();
    let _second = Listening::to(&api, &path, None).await.ok().unwrap();
    let refused = Listening::to(&api, &path, None).await.err().unwrap();
    refused.problem(503, "overloaded");
    // Orders are none the worse for it.
    assert_eq!(api.post(&world.path("/orders"), &[], crate::world::PHONE).await.status, 202);
    drop(first);
    let started = Instant::now();
    while let Err(refused) = Listening::to(&api, &path, None).await {
        refused.problem(503, "overloaded");
        assert!(started.elapsed() < Duration::from_secs(12), "the place is not free");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    api.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_streams_at_once() {
    let world = World::open(10).await;
    let api = RunningApi::start(world.parts().await, &[]);
    let order = world.buy("ada", 1).await["id"].as_str().unwrap().to_owned();
    let mut sale = Listening::to(&api, &world.path("/events"), None).await.ok().unwrap();
    let order = world.path(&format!("/orders/{order}/events"));
    let mut order = Listening::to(&api, &order, None).await.ok().unwrap();
    assert!(sale.next().await.is_some() && order.next().await.is_some());
    let started = Instant::now();
    api.request_stop();
    assert!(sale.next().await.is_none() && order.next().await.is_none());
    api.stop().await;
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    world.end().await;
}
