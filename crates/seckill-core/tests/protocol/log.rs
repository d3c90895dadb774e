//! Kafka: an append-only log, and how far the consumer group has come.

use super::{bounds::ORDERS, state::Epoch};

/// Most different events of one order.
const EVENTS: usize = 5;

/// What is said of an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Event {
    #[default]
    None,
    /// A unit was taken for it, in this epoch.
    Placed(Epoch),
    /// Its unit shall go back.
    Cancelled,
}

/// The events of one order, in their order.
///
/// The same event twice is stored once here. What the consumer does with a repetition is what it does
/// with an event that it reads again, and that may happen at any time ([`super::consumer::Step::Rewrite`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Partition {
    events: [Event; EVENTS],
    length: u8,
    /// How many of them have been written into the store, or were dead letters.
    pub written: u8,
    /// The group's offset. It moves with `written`: that it moves later is the same to everybody who
    /// waits for it as a consumer that is slower.
    pub committed: u8,
}

impl Partition {
    /// Appends `event`, unless it is there.
    pub fn append(&mut self, event: Event) {
        if !self.contains(event) {
            self.events[usize::from(self.length)] = event;
            self.length += 1;
        }
    }

    /// Where it ends.
    pub fn end(&self) -> u8 {
        self.length
    }

    /// The event at `place`, if the log goes that far.
    pub fn at(&self, place: u8) -> Option<Event> {
        (place < self.length).then(|| self.events[usize::from(place)])
    }

    /// Whether it has `event`.
    pub fn contains(&self, event: Event) -> bool {
        self.events[..usize::from(self.length)].contains(&event)
    }

    /// Whether all of it has been consumed.
    pub fn is_drained(&self) -> bool {
        self.written == self.length && self.committed == self.length
    }
}

/// Where the log ends now.
pub fn ends(log: &[Partition; ORDERS]) -> [u8; ORDERS] {
    log.map(|partition| partition.end())
}

/// Whether the group has committed everything before `ends`.
pub fn has_reached(log: &[Partition; ORDERS], ends: [u8; ORDERS]) -> bool {
    log.iter().zip(ends).all(|(partition, end)| partition.committed >= end)
}
