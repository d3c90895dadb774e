//! What changes the ledger after the decision: settling, releasing, adjusting.

use std::sync::LazyLock;

use deadpool_redis::redis::{Script, aio::MultiplexedConnection};

use super::{Keys, LedgerError, RecordState, Reply, StockLedger, fenced, record, unexpected};
use crate::{
    order::{Order, OrderId, Units},
    sale::{SaleId, SaleSwitch},
};

static SETTLE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("settle.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| fenced(include_str!("release.lua")));
static ADJUST: LazyLock<Script> = LazyLock::new(|| fenced(include_str!("adjust.lua")));

/// Most orders in one call of a script that takes several arguments an order (Lua's stack is bounded).
const MAX_RELEASE: usize = 500;

/// What became of orders whose units were to go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// The ledger has a tombstone for each.
    Released {
        /// How many of them held units until now.
        returned: u64,
    },
    /// The ledger does not know the sale: it must be loaded first.
    Absent,
    /// The ledger must be rebuilt first.
    Untrusted,
}

/// What became of a numbered change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdjustOutcome {
    /// It is in force.
    Applied {
        /// Units left for sale.
        remaining: Units,
    },
    /// The ledger has applied this number or a later one.
    Stale {
        /// The last it has applied.
        number: u64,
    },
    /// The stock would be less than what live orders hold.
    Short {
        /// What they hold.
        held: Units,
    },
    /// Live orders do not hold as much as was expected.
    Moved {
        /// What they hold.
        held: Units,
    },
    /// The ledger does not know the sale: it must be loaded first.
    Absent,
    /// The ledger must be rebuilt first.
    Untrusted,
}

impl StockLedger {
    /// Takes the orders `ids`, reserved in `epoch`, out of the outbox. Says how many were in it.
    pub async fn settle(&self, sale: &SaleId, epoch: u64, ids: &[OrderId]) -> Result<u64, LedgerError> {
        settle_on(&mut *self.connection().await?, [(sale, epoch, ids)]).await
    }

    /// Gives back the units of `orders`, all of `sale`, and leaves tombstones. The second time does nothing.
    ///
    /// An order's status says which tombstone: `rejected`, or else `cancelled`.
    pub async fn release(&self, sale: &SaleId, orders: &[Order]) -> Result<ReleaseOutcome, LedgerError> {
        let mut returned = 0;
        for chunk in orders.chunks(MAX_RELEASE) {
            let mut arguments: Vec<Vec<u8>> = Vec::with_capacity(chunk.len() * 3);
            for order in chunk {
                let tombstone = match RecordState::of(order.status) {
                    RecordState::Rejected => RecordState::Rejected,
                    RecordState::Live | RecordState::Cancelled => RecordState::Cancelled,
                };
                arguments.push(order.id.as_bytes().to_vec());
                arguments.push(vec![tombstone.letter() as u8]);
                arguments.push(record::encode(order, 0, RecordState::Live).into_bytes());
            }
            let mut reply = Reply::new(self.run(&RELEASE, sale, &arguments).await?);
            match reply.text()?.as_str() {
                "released" => returned += reply.number()?,
                "absent" => return Ok(ReleaseOutcome::Absent),
                "untrusted" => return Ok(ReleaseOutcome::Untrusted),
                other => return Err(unexpected(other)),
            }
        }
        Ok(ReleaseOutcome::Released { returned })
    }

    /// Makes `stock` the sale's stock in all and `switch` its switch, as change number `number`.
    ///
    /// With `expected_held`, only if live orders hold just that many units at that moment.
    pub async fn adjust(
        &self,
        sale: &SaleId,
        number: u64,
        stock: Units,
        switch: SaleSwitch,
        expected_held: Option<Units>,
    ) -> Result<AdjustOutcome, LedgerError> {
        let arguments = [
            number.to_string(),
            stock.to_string(),
            switch.as_str().to_owned(),
            expected_held.map_or_else(String::new, |held| held.to_string()),
        ];
        let mut reply = Reply::new(self.run(&ADJUST, sale, &arguments).await?);
        Ok(match reply.text()?.as_str() {
            "applied" => AdjustOutcome::Applied { remaining: reply.number()? },
            "stale" => AdjustOutcome::Stale { number: reply.number()? },
            "short" => AdjustOutcome::Short { held: reply.number()? },
            "moved" => AdjustOutcome::Moved { held: reply.number()? },
            "absent" => AdjustOutcome::Absent,
            "untrusted" => AdjustOutcome::Untrusted,
            other => return Err(unexpected(other)),
        })
    }
}

/// [`StockLedger::settle`] of several sales in one call, on a connection that the caller keeps.
pub(super) async fn settle_on<'a>(
    connection: &mut MultiplexedConnection,
    settled: impl IntoIterator<Item = (&'a SaleId, u64, &'a [OrderId])>,
) -> Result<u64, LedgerError> {
    let mut invocation = SETTLE.prepare_invoke();
    for (sale, epoch, ids) in settled {
        let keys = Keys::of(sale);
        invocation.key(keys.sale).key(keys.outbox).arg(epoch).arg(ids.len());
        for id in ids {
            invocation.arg(id.as_bytes());
        }
    }
    Ok(invocation.invoke_async(connection).await?)
}
