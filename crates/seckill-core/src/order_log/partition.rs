//! Which partition of the order log a message goes to.
//!
//! Events of orders that were taken in the same millisecond, as those of one call of the ledger are, go to the same
//! partition, and those of the next to the next: what a call decides is one request with one batch. By the hash of their
//! keys, or of their sales, they would be spread over all partitions, in as many requests of a message or two each, and a
//! request is what costs: the broker handles and logs each on its own.
//!
//! No longer than that: to one partition an idempotent client has one request on its way, and while another is due it asks
//! without a pause whether that has been answered.
//!
//! Everybody who publishes of an order (again) knows when it was taken, so that all of it is in one partition, in
//! order. Nothing depends on that: an order is one by its id, wherever its events are
//! (`docs/adr/0011-partition-by-moment.md`).

use std::cell::Cell;

use rdkafka::producer::Partitioner;

use crate::order::Order;

/// What is in one partition together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u32);

impl Slot {
    /// The slot of an order's events.
    pub(super) fn of(order: &Order) -> Self {
        let turn = order.created_date.as_millisecond();
        Self(u32::try_from(turn.rem_euclid(i64::from(u32::MAX))).unwrap_or_default())
    }
}

thread_local! {
    /// The slot of what this thread is sending: a message itself has only its key to tell.
    static SENDING: Cell<Option<Slot>> = const { Cell::new(None) };
}

/// Does `work`, which sends one message, in `slot`.
pub(super) fn in_slot<T>(slot: Option<Slot>, work: impl FnOnce() -> T) -> T {
    SENDING.set(slot);
    let done = work();
    SENDING.set(None);
    done
}

/// Chooses by the slot. Where there is none (a message that is copied as it was, or one that was sent before the
/// client knew the topic), by the key, as Java's producers do.
#[derive(Clone, Copy, Debug)]
pub(super) struct BySlot;

impl Partitioner for BySlot {
    fn partition(
        &self,
        _topic: &str,
        key: Option<&[u8]>,
        partitions: i32,
        _is_available: impl Fn(i32) -> bool,
    ) -> i32 {
        let number = match SENDING.get() {
            Some(Slot(number)) => number,
            // Java makes its hash positive by dropping the sign.
            None => murmur2(key.unwrap_or_default()) & 0x7fff_ffff,
        };
        let count = u32::try_from(partitions).unwrap_or(1).max(1);
        i32::try_from(number % count).unwrap_or(0)
    }
}

/// The hash of Kafka's own clients (`org.apache.kafka.common.utils.Utils.murmur2`).
fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(bytes.len()).expect("keys are short");
    let mut hash = SEED ^ length;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !rest.is_empty() {
        for (place, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        order::{BuyerId, Goods, OrderId, OrderRequest, OrderStatus, Quantity},
        sale::SaleId,
    };

    fn order(sale: &str, at_ms: i64) -> Order {
        let request = OrderRequest {
            buyer: BuyerId::parse("b").unwrap(),
            goods: Goods::parse("g").unwrap(),
            quantity: Quantity::ONE,
            remark: None,
        };
        let at = Timestamp::from_millisecond(at_ms).unwrap();
        Order::new(
            OrderId::fresh(),
            SaleId::parse(sale).unwrap(),
            request,
            Some(1),
            at,
            OrderStatus::Accepted,
        )
    }

    fn partition(slot: Option<Slot>, key: &[u8]) -> i32 {
        in_slot(slot, || BySlot.partition("orders", Some(key), 12, |_| true))
    }

    #[test]
    fn the_hash_is_kafkas() {
        // From Kafka's own test of it.
        for (text, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), hash, "{text}");
        }
    }

    #[test]
    fn p3_all_of_an_order_has_one_slot_and_others_of_its_moment_the_same() {
        let first = Slot::of(&order("s", 1_763_942_701_120));
        assert_eq!(first, Slot::of(&order("another", 1_763_942_701_120)));
        assert_eq!(partition(Some(first), b"a"), partition(Some(first), b"b"));
    }

    #[test]
    fn partitions_take_turns_evenly() {
        let mut counts = [0; 12];
        for moment in 0..1_200 {
            let slot = Slot::of(&order("s", 1_763_942_701_120 + moment));
            counts[usize::try_from(partition(Some(slot), b"")).unwrap()] += 1;
        }
        assert_eq!(counts, [100; 12]);
    }

    #[test]
    fn without_a_slot_the_key_decides_as_in_java() {
        // -790_332_482 without its sign bit.
        assert_eq!(partition(None, b"foobar"), 1_357_151_166 % 12);
    }
}
