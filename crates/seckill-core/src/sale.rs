//! A sale: its identity, its terms, and the state a buyer sees.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{order::Units, parsed};

/// Most units a sale may have. Far above any real sale, and exact in Lua's floating-point numbers.
pub const MAX_STOCK: Units = 1_000_000_000;

/// Most characters of a sale's title.
pub const MAX_TITLE: usize = 200;

/// The name of a sale: 1–64 characters of `A–Z a–z 0–9 . _ -`, the first a letter or digit.
///
/// The alphabet keeps it safe as a Redis Cluster hash tag, a URL path segment and a metric label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SaleId(Arc<str>);

/// Why a text is no [`SaleId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sale id is 1 to 64 of A-Z a-z 0-9 . _ - and begins with a letter or digit")]
pub struct InvalidSaleId;

impl SaleId {
    /// Takes `text` as a sale's name.
    pub fn parse(text: &str) -> Result<Self, InvalidSaleId> {
        let first_is_plain = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let all_allowed =
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        if first_is_plain && all_allowed && text.len() <= 64 {
            Ok(Self(text.into()))
        } else {
            Err(InvalidSaleId)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&SaleId> for Arc<str> {
    fn from(sale: &SaleId) -> Self {
        Self::clone(&sale.0)
    }
}

impl fmt::Display for SaleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for SaleId {
    type Err = InvalidSaleId;

    fn from_str(text: &str) -> Result<Self, InvalidSaleId> {
        Self::parse(text)
    }
}

impl Serialize for SaleId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SaleId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed::deserialize(deserializer, Self::parse)
    }
}

/// What the operator wants of a sale. With the clock and the stock it makes the [`SaleState`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SaleSwitch {
    /// Sells whenever its window is open.
    Open,
    /// Sells nothing for the moment.
    Paused,
    /// Has ended, whatever its window says.
    Closed,
}

impl SaleSwitch {
    /// The word that stands for it in the store and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Closed => "closed",
        }
    }

    /// The switch that `word` stands for.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Open, Self::Paused, Self::Closed].into_iter().find(|switch| switch.as_str() == word)
    }
}

/// The state of a sale as buyers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SaleState {
    /// Its window has not opened yet.
    Scheduled,
    /// It sells.
    Open,
    /// The operator has paused it.
    Paused,
    /// Every unit is held by a live order.
    SoldOut,
    /// Its window has passed, or the operator closed it.
    Ended,
}

/// The terms of a sale, as they stand in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sale {
    /// Its name.
    pub id: SaleId,
    /// For people; at most [`MAX_TITLE`] characters.
    pub title: String,
    /// All units, sold or not.
    pub stock: Units,
    /// Most units that one buyer may hold; none: no limit.
    pub per_buyer_limit: Option<Units>,
    /// Start of the window; none: since ever.
    pub opens_at: Option<Timestamp>,
    /// End of the window (exclusive); none: for ever.
    pub closes_at: Option<Timestamp>,
    /// What the operator wants of it.
    pub switch: SaleSwitch,
}

impl Sale {
    /// The state that buyers see at `now` while `remaining` units are left.
    pub fn state(&self, now: Timestamp, remaining: Units) -> SaleState {
        if self.switch == SaleSwitch::Closed || self.closes_at.is_some_and(|end| now >= end) {
            SaleState::Ended
        } else if self.switch == SaleSwitch::Paused {
            SaleState::Paused
        } else if self.opens_at.is_some_and(|start| now < start) {
            SaleState::Scheduled
        } else if remaining == 0 {
            SaleState::SoldOut
        } else {
            SaleState::Open
        }
    }

    /// The sale as clients see it at `now` while `remaining` units are left.
    pub fn view(&self, now: Timestamp, remaining: Units) -> SaleView {
        SaleView {
            id: self.id.clone(),
            title: self.title.clone(),
            state: self.state(now, remaining),
            stock: self.stock,
            remaining,
            per_buyer_limit: self.per_buyer_limit,
            opens_at: self.opens_at,
            closes_at: self.closes_at,
            server_time: now,
        }
    }
}

/// The JSON shape `Sale` of the HTTP interface and of `stock-admin --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of Sale")]
pub struct SaleView {
    pub id: SaleId,
    pub title: String,
    pub state: SaleState,
    pub stock: Units,
    /// Units that no live order holds.
    pub remaining: Units,
    pub per_buyer_limit: Option<Units>,
    pub opens_at: Option<Timestamp>,
    pub closes_at: Option<Timestamp>,
    /// The ledger's clock when this was read: the clock that opens and ends sales.
    pub server_time: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sale() -> Sale {
        Sale {
            id: SaleId::parse("spring").unwrap(),
            title: "Spring".into(),
            stock: 10,
            per_buyer_limit: None,
            opens_at: Some(Timestamp::from_second(100).unwrap()),
            closes_at: Some(Timestamp::from_second(200).unwrap()),
            switch: SaleSwitch::Open,
        }
    }

    #[test]
    fn sale_ids_are_safe_as_hash_tags() {
        for good in ["default", "a", "2026.11-black_friday", &"x".repeat(64)] {
            assert_eq!(SaleId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "{a}", "a}", "a b", ".hidden", "-x", "ä", "a/b", "a\n", &"x".repeat(65)] {
            assert_eq!(SaleId::parse(bad), Err(InvalidSaleId), "{bad:?}");
        }
    }

    #[test]
    fn the_window_includes_its_start_and_excludes_its_end() {
        let at = |second| sale().state(Timestamp::from_second(second).unwrap(), 1);
        assert_eq!(at(99), SaleState::Scheduled);
        assert_eq!(at(100), SaleState::Open);
        assert_eq!(at(199), SaleState::Open);
        assert_eq!(at(200), SaleState::Ended);
    }

    #[test]
    fn the_operators_word_and_the_stock_decide_within_the_window() {
        let now = Timestamp::from_second(150).unwrap();
        assert_eq!(sale().state(now, 0), SaleState::SoldOut);
        let paused = Sale { switch: SaleSwitch::Paused, ..sale() };
        assert_eq!(paused.state(now, 0), SaleState::Paused);
        let closed = Sale { switch: SaleSwitch::Closed, ..sale() };
        assert_eq!(closed.state(now, 5), SaleState::Ended);
    }
}
