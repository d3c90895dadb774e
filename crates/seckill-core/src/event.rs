//! What is said on the order log, and its encoding (described for others in `docs/asyncapi.yaml`).

use std::ops::Range;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{order::Order, sale::SaleId};

/// The version of the encoding that this code writes, and the only one it reads.
pub const VERSION: u32 = 1;

/// Room for an event without a long remark.
const USUAL_BYTES: usize = 640;

/// What happened to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderEventKind {
    /// The ledger has taken units for it.
    Placed,
    /// It shall not be, and its units shall go back.
    Cancelled,
}

/// One message of the order log. Its key is the order's id; its partition is that of the order's moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderEvent {
    /// What happened.
    pub kind: OrderEventKind,
    /// The ledger's epoch in which the units were taken: the store refuses what comes from before
    /// the last rebuild and was not in the log by then.
    pub epoch: u64,
    /// The order, whole: the event alone is enough to store it.
    pub order: Order,
    /// When it happened.
    pub at: Timestamp,
}

/// What of an event comes before the order.
#[derive(Serialize)]
struct EncodedHead<'a> {
    v: u32,
    r#type: OrderEventKind,
    sale: &'a SaleId,
    epoch: u64,
}

#[derive(Deserialize)]
struct DecodedEvent {
    v: u32,
    r#type: OrderEventKind,
    sale: SaleId,
    #[serde(default = "no_epoch")]
    epoch: u64,
    order: Order,
    at: Timestamp,
}

/// The epoch of an event that says none, later than any. Ours all say it, so this one is somebody else's: no
/// rebuild can have missed its units, and the store decides it by the stock alone.
fn no_epoch() -> u64 {
    u64::MAX
}

#[derive(Deserialize)]
struct DecodedVersion {
    v: u32,
}

/// Why a message of the order log is not an [`OrderEvent`].
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It has no value (a tombstone).
    #[error("the message has no value")]
    Empty,
    /// It is of a version that this code does not know.
    #[error("version {0} of the event is unknown, {VERSION} is expected")]
    Version(u32),
    /// It is not the JSON that is expected.
    #[error("not an order event: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Its parts contradict each other.
    #[error("the event contradicts itself: {0}")]
    Contradiction(&'static str),
}

impl OrderEvent {
    /// The message's key.
    pub fn key(&self) -> String {
        self.order.id.to_string()
    }

    /// The message's value: JSON.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_around_order().0
    }

    /// The message's value, and where in it the JSON of the order is.
    pub fn encode_around_order(&self) -> (Vec<u8>, Range<usize>) {
        let head = EncodedHead { v: VERSION, r#type: self.kind, sale: &self.order.sale, epoch: self.epoch };
        let mut value = Vec::with_capacity(USUAL_BYTES);
        write(&mut value, &head);
        value.pop();
        value.extend_from_slice(b",\"order\":");
        let begins = value.len();
        write(&mut value, &self.order);
        let order = begins..value.len();
        value.extend_from_slice(b",\"at\":");
        write(&mut value, &self.at);
        value.push(b'}');
        (value, order)
    }

    /// Reads a message's key and value.
    pub fn decode(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Self, DecodeError> {
        let value = value.filter(|value| !value.is_empty()).ok_or(DecodeError::Empty)?;
        let decoded: DecodedEvent = serde_json::from_slice(value).map_err(|malformed| {
            // Another version may well have another shape: its number is then the better reason.
            match serde_json::from_slice(value) {
                Ok(DecodedVersion { v }) if v != VERSION => DecodeError::Version(v),
                _ => DecodeError::Malformed(malformed),
            }
        })?;
        if decoded.v != VERSION {
            return Err(DecodeError::Version(decoded.v));
        }
        if decoded.sale != decoded.order.sale {
            return Err(DecodeError::Contradiction("sale and order.sale differ"));
        }
        if key != Some(decoded.order.id.text(&mut [0; 36]).as_bytes()) {
            return Err(DecodeError::Contradiction("the key is not the order's id"));
        }
        if decoded.order.openid != decoded.order.id.openid(decoded.order.created_date) {
            return Err(DecodeError::Contradiction("openid does not belong to the order"));
        }
        Ok(Self { kind: decoded.r#type, epoch: decoded.epoch, order: decoded.order, at: decoded.at })
    }
}

fn write(json: &mut Vec<u8>, part: &impl Serialize) {
    serde_json::to_writer(json, part).expect("every part of an event is JSON");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{BuyerId, Goods, OrderId, OrderRequest, OrderStatus, Quantity, Remark};

    fn event() -> OrderEvent {
        let request = OrderRequest {
            buyer: BuyerId::parse("买家").unwrap(),
            goods: Goods::parse("phone").unwrap(),
            quantity: Quantity::new(2).unwrap(),
            remark: Some(Remark::parse("\"quoted\"").unwrap()),
        };
        let at = Timestamp::from_millisecond(1_763_942_701_123).unwrap();
        let sale = SaleId::parse("default").unwrap();
        let order = Order::new(OrderId::fresh(), sale, request, Some(98), at, OrderStatus::Accepted);
        OrderEvent { kind: OrderEventKind::Placed, epoch: 3, order, at }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let event = event();
        let decoded = OrderEvent::decode(Some(event.key().as_bytes()), Some(&event.encode())).unwrap();
        assert_eq!(decoded, event);
    }

    #[test]
    fn the_order_in_an_event_is_as_by_itself() {
        let event = event();
        let (value, order) = event.encode_around_order();
        assert_eq!(value[order], serde_json::to_vec(&event.order).unwrap());
    }

    #[test]
    fn an_event_of_somebody_else_need_not_know_of_epochs() {
        let event = event();
        let text = String::from_utf8(event.encode()).unwrap().replace("\"epoch\":3,", "");
        let decoded = OrderEvent::decode(Some(event.key().as_bytes()), Some(text.as_bytes())).unwrap();
        assert_eq!(decoded, OrderEvent { epoch: u64::MAX, ..event });
    }

    #[test]
    fn every_kind_of_poison_has_its_reason() {
        let event = event();
        let (key, value) = (event.key(), event.encode());
        let text = String::from_utf8(value.clone()).unwrap();
        let decode =
            |text: String| OrderEvent::decode(Some(key.as_bytes()), Some(text.as_bytes())).unwrap_err();

        assert!(matches!(OrderEvent::decode(Some(key.as_bytes()), None), Err(DecodeError::Empty)));
        assert!(matches!(decode(String::new()), DecodeError::Empty));
        assert!(matches!(decode("garbage".into()), DecodeError::Malformed(_)));
        assert!(matches!(decode("{\"v\":2,\"shape\":\"new\"}".into()), DecodeError::Version(2)));
        assert!(matches!(decode(text.replace("\"v\":1", "\"v\":9")), DecodeError::Version(9)));
        let long = text.replace("\"phone\"", &format!("\"{}\"", "x".repeat(129)));
        assert!(matches!(decode(long), DecodeError::Malformed(_)));
        let elsewhere = text.replacen("\"default\"", "\"other\"", 1);
        assert!(matches!(decode(elsewhere), DecodeError::Contradiction(_)));
        let wrong_key = OrderEvent::decode(Some(b"somebody else"), Some(&value));
        assert!(matches!(wrong_key, Err(DecodeError::Contradiction(_))));
    }
}
