//! Redis, and the scripts of `crates/seckill-core/src/ledger/*.lua`, each a function of the same name.

use super::{
    bounds::{Bounds, ORDERS, Sabotage},
    state::{Epoch, Order, Orders, has},
    store::{Row, Store},
};

/// A Redis server.
///
/// Of fences (`run_id` and `master_replid`) all that matters is whether one that was written down is that of the server
/// that runs now, in the history that it goes on with: a restarted server, another one after a failover, and one that was
/// demoted and is promoted again never has an old one. So here it is a yes or no.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// Its keys.
    pub holds: Contents,
}

/// The keys of the sale; none: the key is not there. Buyers, orders and outbox are there even when they are
/// empty, because of their sentinel `""`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Contents {
    /// `…:sale`.
    pub sale: Option<Sale>,
    /// `…:buyers`: units held by the one buyer, kept where the sale has a limit.
    pub buyers: Option<u8>,
    /// `…:orders`.
    pub orders: Option<[Record; ORDERS]>,
    /// `…:outbox`.
    pub outbox: Option<Orders>,
    /// `…:rebuild`: the rebuild under way.
    pub rebuild: Option<Rebuild>,
}

impl Contents {
    /// What they say of servers is of another one.
    pub fn disown(&mut self) {
        if let Some(sale) = &mut self.sale {
            sale.fence = false;
        }
        if let Some(rebuild) = &mut self.rebuild {
            rebuild.here = false;
        }
    }
}

/// The hash of the sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sale {
    /// Whether `fence` names this server.
    pub fence: bool,
    pub epoch: Epoch,
    pub stock: u8,
    pub remaining: u8,
    pub adjustment: u8,
    /// Records of imported orders, all live. In `…:orders`, of which the model knows the buyers' one by one.
    pub imported: u8,
}

/// The hash of the rebuild under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rebuild {
    pub epoch: Epoch,
    /// Whether `runId` names this server.
    pub here: bool,
}

/// An order's record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Record {
    #[default]
    None,
    /// It holds its unit since this epoch.
    Live(Epoch),
    /// Tombstones.
    Cancelled,
    Rejected,
}

/// What `reserve.lua` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Absent,
    Untrusted,
    SoldOut,
    LimitReached,
    /// A unit was taken, in this epoch.
    Reserved(Epoch),
    /// It was there before; whether its event is still in the outbox.
    Replayed(Record, bool),
}

/// What `adjust.lua` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjusted {
    /// Absent, untrusted or stale: nothing was done.
    No,
    /// Live orders hold more than the stock would be.
    Short,
    Applied,
}

/// A sale as it was read from the store, to be swapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Picture {
    pub orders: [Row; ORDERS],
    pub imported: u8,
    pub stock: u8,
    pub adjustment: u8,
}

impl Ledger {
    /// A server with the sale in epoch 1, as a first load leaves it.
    pub fn loaded(store: &Store) -> Self {
        let mut ledger = Self::default();
        ledger.holds.rebuild = Some(Rebuild { epoch: store.epoch, here: true });
        ledger.swap(store.epoch, store.picture(), &Bounds::CALM);
        ledger
    }

    /// What every script that decides anything asks first: the fence, and the three sentinels.
    pub fn is_trusted(&self) -> bool {
        let Contents { sale, buyers, orders, outbox, .. } = &self.holds;
        sale.is_some_and(|sale| sale.fence) && buyers.is_some() && orders.is_some() && outbox.is_some()
    }

    /// A server that has just been started, or goes on with another history, holds `contents`.
    pub fn restart_with(&mut self, contents: Contents) {
        self.holds = contents;
        self.holds.disown();
    }

    /// `reserve.lua`.
    pub fn reserve(&mut self, order: Order, bounds: &Bounds) -> Decision {
        let no_fence = bounds.lacks(Sabotage::NoFence);
        let trusted = self.is_trusted();
        let holds = &mut self.holds;
        let Some(sale) = &mut holds.sale else { return Decision::Absent };
        let (Some(buyers), Some(orders), Some(outbox)) =
            (&mut holds.buyers, &mut holds.orders, &mut holds.outbox)
        else {
            return Decision::Untrusted;
        };
        if !trusted && !no_fence {
            return Decision::Untrusted;
        }
        if orders[order] != Record::None && !bounds.lacks(Sabotage::RecordIgnored) {
            return Decision::Replayed(orders[order], has(*outbox, order));
        }
        if bounds.limit.is_some_and(|limit| *buyers >= limit) && !bounds.lacks(Sabotage::NoLimit) {
            return Decision::LimitReached;
        }
        if sale.remaining == 0 {
            return Decision::SoldOut;
        }
        sale.remaining -= 1;
        *buyers += u8::from(bounds.limit.is_some());
        orders[order] = Record::Live(sale.epoch);
        *outbox |= 1 << order;
        Decision::Reserved(sale.epoch)
    }

    /// `settle.lua`: takes an acknowledged order out of the outbox.
    pub fn settle(&mut self, order: Order, epoch: Epoch, bounds: &Bounds) {
        let current = self.holds.sale.map(|sale| sale.epoch);
        if (current == Some(epoch) || bounds.lacks(Sabotage::SettleAnyEpoch))
            && let Some(outbox) = &mut self.holds.outbox
        {
            *outbox &= !(1 << order);
        }
    }

    /// `release.lua`: gives the unit of an order back and leaves `tombstone`. False: untrusted or absent.
    pub fn release(&mut self, order: Order, tombstone: Record, bounds: &Bounds) -> bool {
        if !self.is_trusted() {
            return false;
        }
        let holds = &mut self.holds;
        let (Some(sale), Some(buyers), Some(orders), Some(outbox)) =
            (&mut holds.sale, &mut holds.buyers, &mut holds.orders, &mut holds.outbox)
        else {
            return false;
        };
        match orders[order] {
            Record::Cancelled | Record::Rejected => return true,
            Record::Live(_) => {
                sale.remaining += 1;
                *buyers -= u8::from(bounds.limit.is_some());
            }
            Record::None => {}
        }
        let deleted = bounds.lacks(Sabotage::RecordsDeleted);
        orders[order] = if deleted { Record::None } else { tombstone };
        *outbox &= !(1 << order);
        true
    }

    /// `adjust.lua`: makes `stock` the stock in all, as change `number`.
    pub fn adjust(&mut self, number: u8, stock: u8) -> Adjusted {
        if !self.is_trusted() {
            return Adjusted::No;
        }
        let Some(sale) = &mut self.holds.sale else { return Adjusted::No };
        let held = sale.stock.saturating_sub(sale.remaining);
        if number <= sale.adjustment {
            return Adjusted::No;
        }
        if stock < held {
            return Adjusted::Short;
        }
        *sale = Sale { stock, remaining: stock - held, adjustment: number, ..*sale };
        Adjusted::Applied
    }

    /// `begin_rebuild.lua`. False: superseded.
    pub fn begin_rebuild(&mut self, epoch: Epoch) -> bool {
        let begun = self.holds.rebuild.is_some_and(|begun| epoch <= begun.epoch);
        let current = self.holds.sale.is_some_and(|sale| epoch <= sale.epoch);
        if begun || current {
            return false;
        }
        self.holds.rebuild = Some(Rebuild { epoch, here: true });
        if let Some(sale) = &mut self.holds.sale {
            sale.fence = false;
        }
        true
    }

    /// `swap.lua`. What is loaded under temporary keys is in `picture`: whoever loses those keys here loses
    /// the rebuild key with them, or restarts.
    pub fn swap(&mut self, epoch: Epoch, picture: Picture, bounds: &Bounds) {
        let Some(begun) = self.holds.rebuild else { return };
        if !begun.here || (begun.epoch != epoch && !bounds.lacks(Sabotage::SwapAnyEpoch)) {
            return;
        }
        let mut orders = [Record::None; ORDERS];
        let mut held = 0;
        for (record, row) in orders.iter_mut().zip(picture.orders) {
            *record = match row {
                Row::None => Record::None,
                Row::Confirmed => Record::Live(epoch),
                Row::Cancelled => Record::Cancelled,
                Row::Rejected => Record::Rejected,
            };
            held += u8::from(row == Row::Confirmed);
        }
        let Picture { stock, adjustment, imported, .. } = picture;
        // Live orders beyond the stock: `Loading::swap_in` refuses, and the keeper says so.
        let Some(remaining) = stock.checked_sub(held + imported) else { return };
        self.holds = Contents {
            sale: Some(Sale { fence: true, epoch, stock, remaining, adjustment, imported }),
            buyers: Some(if bounds.limit.is_some() { held } else { 0 }),
            orders: Some(orders),
            outbox: Some(0),
            rebuild: None,
        };
    }

    /// The record of `order`, if there is any.
    pub fn record(&self, order: Order) -> Record {
        self.holds.orders.map_or(Record::None, |orders| orders[order])
    }

    /// The epoch of `order`'s record, if its event is in the outbox and it holds its unit.
    pub fn in_outbox(&self, order: Order) -> Option<Epoch> {
        match self.record(order) {
            Record::Live(epoch) if self.holds.outbox.is_some_and(|set| has(set, order)) => Some(epoch),
            _ => None,
        }
    }
}
