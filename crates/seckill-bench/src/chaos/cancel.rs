//! Buyers who cancel, and ask again with the key of the cancelled order: it must not be sold a second time.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::Context;
use seckill_core::sale::SaleId;

use super::world::World;
use crate::{
    history::{Answer, Call, History},
    http::Connection,
};

/// How many cancel after each round.
const BUYERS: usize = 20;
/// How long one of them may be told to come back later.
const CANCELLED_WITHIN: Duration = Duration::from_secs(30);

/// Cancels some of the orders that were promised to buyers with a key, and asks for each once more with that key.
/// The check of the sale finds what that has sold, if anything.
pub async fn cancel_some(world: &World, sale: &SaleId, told: &History) -> anyhow::Result<()> {
    let mut promised = HashMap::new();
    for (attempt, answer) in told.answers() {
        if let (Call::Order, Some(key), Some(order), true) =
            (attempt.call, &attempt.key, answer.order, answer.is_promise())
        {
            promised.insert(order.id, (attempt.user.clone(), key.clone()));
        }
    }
    for (id, (user, key)) in promised.into_iter().take(BUYERS) {
        cancel(world, &format!("/v1/sales/{sale}/orders/{id}/cancel")).await?;
        let body = format!(r#"{{"user":"{user}","goods":"flash","quantity":1}}"#);
        let key = format!("Idempotency-Key: {key}\r\nContent-Type: application/json\r\n");
        // Until its units have gone back, the ledger answers with the order as it was; then with its tombstone.
        for _ in 0..2 {
            post(world, &format!("/v1/sales/{sale}/orders"), &key, &body).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// Asks as often as whoever cancels is told to ask again: twice is one cancel.
async fn cancel(world: &World, path: &str) -> anyhow::Result<()> {
    let ends = Instant::now() + CANCELLED_WITHIN;
    loop {
        let answer = post(world, path, "", "").await?;
        if answer.status == 202 {
            return Ok(());
        }
        let later = answer.retry_after.filter(|_| answer.status == 503 && Instant::now() < ends);
        let later = later.with_context(|| format!("POST {path} was answered {}", answer.status))?;
        tokio::time::sleep(Duration::from_secs(later.into())).await;
    }
}

async fn post(world: &World, path: &str, headers: &str, body: &str) -> anyhow::Result<Answer> {
    let api = world.processes.api_addresses()[0];
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {api}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut connection = Connection::open(api).await?;
    let response = connection.send(request.as_bytes()).await?;
    Ok(Answer::read(response.status, response.retry_after, response.replayed, response.body))
}
