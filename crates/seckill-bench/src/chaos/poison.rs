//! Bad messages on the order log. Each must become a dead letter, with its reason, and the partition go on.

use std::time::Duration;

use anyhow::{Context, ensure};
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};
use seckill_core::order::OrderId;

use crate::witness::LogWitness;

/// How long Kafka may take to have all of them.
const SENT_WITHIN: Duration = Duration::from_secs(10);

/// What a message is, and what the reason of its dead letter must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poison {
    /// Its key.
    pub key: String,
    /// Its value; none: a tombstone.
    pub value: Option<Vec<u8>>,
    /// What the reason says.
    pub reason: &'static str,
}

/// One of each kind, made of an event that was in the log before.
pub fn brew(event: &serde_json::Value) -> anyhow::Result<Vec<Poison>> {
    let known = event["order"]["id"].as_str().context("an event without an order")?.to_owned();
    let fresh = OrderId::fresh().to_string();
    let changed = |key: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let mut event: serde_json::Value =
            serde_json::from_str(&event.to_string().replace(&known, key)).expect("it was JSON before");
        change(&mut event);
        Some(event.to_string().into_bytes())
    };
    let unknown_sale = changed(&fresh, &|event| {
        event["sale"] = "no-such-sale".into();
        event["order"]["sale"] = "no-such-sale".into();
    });
    Ok(vec![
        Poison { key: fresh.clone(), value: None, reason: "no value" },
        Poison {
            key: fresh.clone(),
            value: Some(b"\xff\x00{garbage".to_vec()),
            reason: "not an order event",
        },
        Poison {
            key: fresh.clone(),
            value: changed(&fresh, &|event| event["v"] = 99.into()),
            reason: "version 99",
        },
        Poison {
            key: fresh.clone(),
            value: changed(&fresh, &|event| event["order"]["goods"] = "g".repeat(100_000).into()),
            reason: "not an order event",
        },
        Poison {
            key: known.clone(),
            value: changed(&known, &|event| event["order"]["goods"] = "another".into()),
            reason: "conflicting payload",
        },
        Poison { key: fresh, value: unknown_sale, reason: "unknown sale" },
    ])
}

/// Puts one of each kind on the log, made of an order of `sale`.
pub async fn spread(log: &LogWitness, sale: &str) -> anyhow::Result<()> {
    let event =
        log.an_event_of(sale).await?.with_context(|| format!("no event of sale {sale} in the log yet"))?;
    let poison = brew(&event)?;
    let (brokers, topic) = (log.brokers.clone(), log.orders.clone());
    tokio::task::spawn_blocking(move || send(&brokers, &topic, &poison)).await?
}

fn send(brokers: &str, topic: &str, poison: &[Poison]) -> anyhow::Result<()> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        // The same partition as the order's own event: what it conflicts with is known by then.
        .set("partitioner", "murmur2_random")
        .create()?;
    for Poison { key, value, .. } in poison {
        let mut record = BaseRecord::to(topic).key(key);
        if let Some(value) = value {
            record = record.payload(value);
        }
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(SENT_WITHIN)?;
    ensure!(producer.in_flight_count() == 0, "Kafka did not take the poison");
    Ok(())
}

/// Which kinds of poison are missing among the reasons of the dead letters, if each was given `times` times.
pub fn missing(reasons: &[String], times: usize) -> Vec<&'static str> {
    // Two kinds are "not an order event".
    let expected = [
        ("no value", 1),
        ("not an order event", 2),
        ("version 99", 1),
        ("conflicting payload", 1),
        ("unknown sale", 1),
    ];
    let found = |reason: &str| reasons.iter().filter(|text| text.contains(reason)).count();
    expected
        .into_iter()
        .filter(|&(reason, each)| found(reason) < each * times)
        .map(|(reason, _)| reason)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn poison_is_of_six_kinds_and_keeps_the_rest_of_the_event() {
        let id = OrderId::fresh().to_string();
        let event = json!({"v": 1, "sale": "s", "order": {"id": id, "openid": format!("{id}-7"), "sale": "s", "goods": "g"}});
        let poison = brew(&event).unwrap();
        assert_eq!(poison.len(), 6);
        let conflict = &poison[4];
        assert_eq!(conflict.key, id);
        let unknown: serde_json::Value = serde_json::from_slice(poison[5].value.as_ref().unwrap()).unwrap();
        assert_eq!(unknown["order"]["openid"], format!("{}-7", poison[5].key));
        assert!(brew(&json!({})).is_err());
    }

    #[test]
    fn a_reason_that_is_missing_is_found() {
        let mut reasons: Vec<String> =
            ["the message has no value", "not an order event: x", "not an order event: y", "version 99 of"]
                .map(Into::into)
                .to_vec();
        assert_eq!(missing(&reasons, 1), ["conflicting payload", "unknown sale"]);
        reasons.extend(["conflicting payload", "unknown sale"].map(Into::into));
        assert!(missing(&reasons, 1).is_empty());
        assert_eq!(missing(&reasons, 2).len(), 5);
    }
}
