//! MySQL: the transactions of `crates/seckill-core/src/store/`, each one step.

use super::{
    bounds::{Bounds, ORDERS, Sabotage},
    ledger::Picture,
    log::Event,
    state::{Epoch, Order, Orders},
};

/// The tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    pub stock: u8,
    pub sold: u8,
    pub orders: [Row; ORDERS],
    /// Orders that were imported: confirmed, and of one unit each.
    pub imported: u8,
    /// `sales.rebuild_epoch`: the last that was taken.
    pub rebuild_epoch: Epoch,
    /// `sales.epoch`: the last that was admitted.
    pub epoch: Epoch,
    /// `stock_returns`.
    pub returns: Orders,
    /// `sales.adjustment`.
    pub adjustment: u8,
    /// The last number given to a change, committed or not.
    pub last_number: u8,
}

/// An order's row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Row {
    #[default]
    None,
    Confirmed,
    Cancelled,
    Rejected,
}

impl Store {
    pub fn new(stock: u8, loaded: bool) -> Self {
        let epoch = Epoch::from(loaded);
        Self {
            stock,
            sold: 0,
            orders: [Row::None; ORDERS],
            imported: 0,
            rebuild_epoch: epoch,
            epoch,
            returns: 0,
            adjustment: 1,
            last_number: 1,
        }
    }

    /// `store/decide.rs`, `store/write.rs`: one event, in one transaction. Several in one are the same as
    /// one after the other, for each sees what those before it did.
    pub fn write(&mut self, order: Order, event: Event, bounds: &Bounds) {
        let row = self.orders[order];
        match (event, row) {
            (Event::Cancelled, Row::Confirmed) => {
                self.orders[order] = Row::Cancelled;
                self.sold -= 1;
                self.returns |= 1 << order;
            }
            (Event::Cancelled, Row::None) => {
                self.orders[order] = Row::Cancelled;
                self.returns |= 1 << order;
            }
            (Event::Placed(epoch), Row::None) => self.place(order, epoch, bounds),
            // Duplicates, and what is final.
            (Event::Placed(_) | Event::Cancelled | Event::None, _) => {}
        }
    }

    fn place(&mut self, order: Order, epoch: Epoch, bounds: &Bounds) {
        if epoch < self.epoch && !bounds.lacks(Sabotage::SupersededWritten) {
            return; // dead letter: superseded epoch
        }
        if self.sold < self.stock || bounds.lacks(Sabotage::NoStockGuard) {
            self.orders[order] = Row::Confirmed;
            self.sold += 1;
        } else {
            self.orders[order] = Row::Rejected;
            self.returns |= 1 << order;
        }
    }

    /// `take_rebuild_epoch`: the next epoch, and the one that was admitted until now.
    pub fn take_rebuild_epoch(&mut self) -> (Epoch, Epoch) {
        self.rebuild_epoch += 1;
        (self.rebuild_epoch, self.epoch)
    }

    /// `admit_epoch`. False: a later one has been taken.
    pub fn admit_epoch(&mut self, epoch: Epoch) -> bool {
        let latest = self.rebuild_epoch == epoch;
        if latest {
            self.epoch = epoch;
        }
        latest
    }

    /// `snapshot`.
    pub fn picture(&self) -> Picture {
        let Self { orders, imported, stock, adjustment, .. } = *self;
        Picture { orders, imported, stock, adjustment }
    }

    /// A number for a change: new, and above `above`.
    pub fn next_number(&mut self, above: u8) -> u8 {
        self.last_number = self.last_number.max(above) + 1;
        self.last_number
    }

    /// How many of the buyers' orders are confirmed: their units in live orders.
    pub fn live(&self) -> u8 {
        let confirmed = self.orders.iter().filter(|row| **row == Row::Confirmed);
        u8::try_from(confirmed.count()).expect("few orders")
    }
}
