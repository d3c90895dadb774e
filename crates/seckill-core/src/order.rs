//! An order: what a buyer asks, what the system answers, and how an order gets its id.

use std::{
    fmt::{self, Write as _},
    num::NonZeroU8,
    sync::Arc,
};

use hmac::{Hmac, Mac};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;
use uuid::{Uuid, fmt::Hyphenated};

use crate::{parsed, sale::SaleId};

/// A count of units of stock.
pub type Units = u64;

/// Why a text or number is outside the range of its field. Its message says what is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OutOfRange(String);

/// Declares a text type whose values all have `$min..=$max` characters and no control characters.
macro_rules! bounded_text {
    ($(#[$doc:meta])* $name:ident, $min:literal..=$max:literal) => {
        $(#[$doc])*
        ///
        /// Copies share one text: an order on its way is copied several times.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes `text` if its length (in characters) and its characters are allowed.
            pub fn parse(text: impl AsRef<str> + Into<Arc<str>>) -> Result<Self, OutOfRange> {
                let characters = text.as_ref().chars().take($max + 1).count();
                if !($min..=$max).contains(&characters) {
                    return Err(OutOfRange(format!("must have {} to {} characters", $min, $max)));
                }
                if text.as_ref().chars().any(char::is_control) {
                    return Err(OutOfRange("must not contain control characters".into()));
                }
                Ok(Self(text.into()))
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&$name> for Arc<str> {
            fn from(text: &$name) -> Self {
                Self::clone(&text.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parsed::deserialize(deserializer, |text| Self::parse(text))
            }
        }
    };
}

bounded_text! {
    /// Who buys. Compared by bytes: no two different texts are ever the same buyer.
    BuyerId, 1..=64
}
bounded_text! {
    /// What is bought.
    Goods, 1..=128
}
bounded_text! {
    /// The buyer's note.
    Remark, 0..=500
}
bounded_text! {
    /// The original's name of an order, where an operator chooses it; see [`OrderId::openid`].
    Openid, 1..=128
}

/// How many units one order asks for: 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Quantity(NonZeroU8);

impl Quantity {
    /// What an order asks for that does not say.
    pub const ONE: Self = Self(NonZeroU8::MIN);
    /// The most that one order may ask for.
    pub const MAX: Units = 100;

    /// Takes `units` if one order may ask for as many.
    pub fn new(units: u64) -> Result<Self, OutOfRange> {
        u8::try_from(units)
            .ok()
            .and_then(NonZeroU8::new)
            .filter(|_| units <= Self::MAX)
            .map(Self)
            .ok_or_else(|| OutOfRange(format!("must be 1 to {}", Self::MAX)))
    }

    /// The number of units.
    pub fn units(self) -> Units {
        Units::from(self.0.get())
    }
}

impl TryFrom<u64> for Quantity {
    type Error = OutOfRange;

    fn try_from(units: u64) -> Result<Self, OutOfRange> {
        Self::new(units)
    }
}

impl From<Quantity> for u64 {
    fn from(quantity: Quantity) -> Self {
        quantity.units()
    }
}

/// A buyer's name for one attempt: 1–255 visible ASCII characters (the header `Idempotency-Key`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Takes the bytes of a header's value.
    pub fn parse(bytes: &[u8]) -> Result<Self, OutOfRange> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| {
            (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        });
        text.map(|text| Self(text.to_owned()))
            .ok_or_else(|| OutOfRange("must be 1 to 255 visible ASCII characters".into()))
    }
}

/// What a buyer asks for, every field within its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRequest {
    /// Who buys.
    pub buyer: BuyerId,
    /// What is bought.
    pub goods: Goods,
    /// How many units.
    pub quantity: Quantity,
    /// The buyer's note.
    pub remark: Option<Remark>,
}

/// The identity of an order, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderId(Uuid);

impl OrderId {
    /// A new id that no other order has (`UUIDv7`).
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }

    /// Takes a UUID in its hyphenated form, and in no other.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() == 36 { Uuid::try_parse(text).ok().map(Self) } else { None }
    }

    /// The id as 16 bytes, as the store and the ledger keep it.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id that [`Self::as_bytes`] gave.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        Uuid::from_slice(bytes).ok().map(Self)
    }

    /// The id as a UUID.
    pub fn uuid(self) -> Uuid {
        self.0
    }

    /// The id in its hyphenated form, written into `room`.
    pub fn text(self, room: &mut [u8; Hyphenated::LENGTH]) -> &str {
        self.0.hyphenated().encode_lower(room)
    }

    /// The `openid` of the order of this id that was taken at `created`: `{id}-{ms since epoch}`.
    pub fn openid(self, created: Timestamp) -> String {
        let mut openid = String::with_capacity(Hyphenated::LENGTH + "-1763942701123".len());
        write!(openid, "{}-{}", self.0, created.as_millisecond()).expect("a string takes it");
        openid
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Uuid> for OrderId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

/// The secret that turns a buyer's idempotency key into an order id that nobody else can compute.
#[derive(Clone)]
pub struct OrderIdSecret(Hmac<Sha256>);

impl OrderIdSecret {
    /// Takes the secret's bytes.
    pub fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes a key of any length"))
    }

    /// The one order of (`sale`, `buyer`, `key`): `UUIDv8` of `HMAC-SHA256(secret, sale ‖ buyer ‖ key)`,
    /// each part behind its length, so that no two triples are the same bytes.
    pub fn order_id(&self, sale: &SaleId, buyer: &BuyerId, key: &IdempotencyKey) -> OrderId {
        let mut mac = self.0.clone();
        for part in [sale.as_str(), buyer.as_str(), &key.0] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        let digest = mac.finalize().into_bytes();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        OrderId(Uuid::new_v8(bytes))
    }
}

/// How far an order has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OrderStatus {
    /// Not known yet to be in the order log; resolves by itself.
    Pending,
    /// In the order log: will be confirmed.
    Accepted,
    /// In the store.
    Confirmed,
    /// Refused by the store: it did not fit.
    Rejected,
    /// Cancelled; its units went back.
    Cancelled,
}

impl OrderStatus {
    /// The word that stands for it in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status that `word` stands for.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Pending, Self::Accepted, Self::Confirmed, Self::Rejected, Self::Cancelled]
            .into_iter()
            .find(|status| status.as_str() == word)
    }

    /// Whether nothing can change it any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Rejected | Self::Cancelled)
    }

    /// Whether nothing but a cancellation can change it any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Confirmed | Self::Rejected | Self::Cancelled)
    }
}

/// An order of a sale: the JSON shape `Order` of the HTTP interface, and what the order log carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Its identity.
    pub id: OrderId,
    /// The sale it takes units of.
    pub sale: SaleId,
    /// Who buys.
    #[serde(rename = "user")]
    pub buyer: BuyerId,
    /// What is bought.
    pub goods: Goods,
    /// How many units.
    pub quantity: Quantity,
    /// The buyer's note.
    pub remark: Option<Remark>,
    /// The original's name of the order, see [`OrderId::openid`].
    pub openid: String,
    /// Units left right after this order; none while the ledger's answer is unknown.
    pub remain_count: Option<Units>,
    /// How far it has come.
    pub status: OrderStatus,
    /// When the ledger took it.
    pub created_date: Timestamp,
    /// When its status last changed.
    pub update_date: Timestamp,
}

impl Order {
    /// The order that `request` becomes when it is taken at `created`, leaving `remain_count` units.
    pub fn new(
        id: OrderId,
        sale: SaleId,
        request: OrderRequest,
        remain_count: Option<Units>,
        created: Timestamp,
        status: OrderStatus,
    ) -> Self {
        Self {
            id,
            sale,
            buyer: request.buyer,
            goods: request.goods,
            quantity: request.quantity,
            remark: request.remark,
            openid: id.openid(created),
            remain_count,
            status,
            created_date: created,
            update_date: created,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_counted_in_characters_and_refuse_control_characters() {
        assert!(BuyerId::parse("买".repeat(64)).is_ok());
        assert!(BuyerId::parse("买".repeat(65)).is_err());
        assert!(BuyerId::parse("").is_err());
        assert!(Remark::parse("").is_ok());
        for bad in ["a\0", "a\nb", "\u{7f}", "\u{85}"] {
            assert!(Goods::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(BuyerId::parse("'; DROP TABLE orders; --").unwrap().as_str(), "'; DROP TABLE orders; --");
    }

    #[test]
    fn a_quantity_is_one_to_a_hundred() {
        assert_eq!(Quantity::new(1).unwrap(), Quantity::ONE);
        assert_eq!(Quantity::new(100).unwrap().units(), 100);
        for bad in [0, 101, 256, 257, u64::MAX] {
            assert!(Quantity::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn p3_a_key_names_one_order_of_one_buyer_in_one_sale() {
        let secret = OrderIdSecret::new(b"secret");
        let id = |sale: &str, buyer: &str, key: &str| {
            let key = IdempotencyKey::parse(key.as_bytes()).unwrap();
            secret.order_id(&SaleId::parse(sale).unwrap(), &BuyerId::parse(buyer).unwrap(), &key)
        };
        assert_eq!(id("s", "u", "k"), id("s", "u", "k"));
        assert_ne!(id("s", "u", "k"), id("s", "u", "k2"));
        assert_ne!(id("s", "u1", "k"), id("s", "u", "1k"), "parts must not run into each other");
        assert_ne!(id("su", "u", "k"), id("s", "uu", "k"));
        assert_eq!(id("s", "u", "k").uuid().get_version_num(), 8);
        let other = OrderIdSecret::new(b"other");
        let (sale, buyer) = (SaleId::parse("s").unwrap(), BuyerId::parse("u").unwrap());
        assert_ne!(other.order_id(&sale, &buyer, &IdempotencyKey::parse(b"k").unwrap()), id("s", "u", "k"));
    }

    #[test]
    fn keys_are_visible_ascii() {
        assert!(IdempotencyKey::parse(&[b'k'; 255]).is_ok());
        for bad in [&[b'k'; 256][..], b"", b"a b", b"\xff", "é".as_bytes(), b"a\t"] {
            assert!(IdempotencyKey::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn order_ids_have_one_spelling() {
        let id = OrderId::fresh();
        assert_eq!(OrderId::parse(&id.to_string()), Some(id));
        assert_eq!(OrderId::parse(&id.uuid().simple().to_string()), None);
        assert_eq!(OrderId::parse("not-a-uuid"), None);
        assert_eq!(OrderId::from_slice(id.as_bytes()), Some(id));
    }
}
