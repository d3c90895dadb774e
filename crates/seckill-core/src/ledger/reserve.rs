//! Deciding orders: the Rust side of `reserve.lua`.

use std::sync::LazyLock;

use deadpool_redis::redis::{Script, ScriptInvocation, Value, aio::MultiplexedConnection};
use jiff::Timestamp;

use super::{Keys, LedgerError, LedgerOrder, Reply, Reservation, StockLedger, fenced, record, unexpected};
use crate::{order::Units, sale::SaleId};

static RESERVE: LazyLock<Script> = LazyLock::new(|| fenced(include_str!("reserve.lua")));

/// What the ledger decided of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReserveOutcome {
    /// Units were taken for it, and its event is in the outbox.
    Reserved(LedgerOrder),
    /// The ledger had decided it before; this is what it holds.
    Replayed(LedgerOrder),
    /// Fewer units are left than asked.
    SoldOut {
        /// Units left.
        remaining: Units,
    },
    /// The buyer would hold more units than the sale allows.
    LimitReached,
    /// The window has not opened.
    NotOpen {
        /// When it will.
        opens_at: Option<Timestamp>,
    },
    /// The window has passed, or the operator closed the sale.
    Ended {
        /// When it opened.
        opens_at: Option<Timestamp>,
    },
    /// The operator has paused the sale.
    Paused {
        /// When it opened, or will.
        opens_at: Option<Timestamp>,
    },
    /// The id stands for another order: the same key came with another body.
    Conflict,
    /// The ledger does not know the sale.
    Absent,
    /// The ledger may have lost something: it decides nothing until it is rebuilt.
    Untrusted,
}

impl StockLedger {
    /// Decides `batch`, all of it orders of `sale`, in one atomic call; the outcomes come in its order.
    ///
    /// After [`LedgerError::Unknown`] the same call may be repeated: an order that was taken is then replayed.
    pub async fn reserve(
        &self,
        sale: &SaleId,
        batch: &[Reservation],
    ) -> Result<Vec<ReserveOutcome>, LedgerError> {
        let mut outcomes = reserve_on(&mut *self.connection().await?, &[(sale, batch)]).await?;
        outcomes.pop().ok_or_else(|| unexpected("nothing of the sale"))?
    }
}

/// Orders of one sale, which are decided together.
pub(super) type OfSale<'a> = (&'a SaleId, &'a [Reservation]);

/// What became of the orders of one sale.
pub(super) type DecidedOfSale = Result<Vec<ReserveOutcome>, LedgerError>;

/// Decides orders of several sales in one call, each sale for itself, and says what became of each.
pub(super) async fn reserve_on(
    connection: &mut MultiplexedConnection,
    batches: &[OfSale<'_>],
) -> Result<Vec<DecidedOfSale>, LedgerError> {
    decode(batches, call(batches).invoke_async(connection).await?)
}

/// The call that decides `batches`.
pub(super) fn call(batches: &[OfSale<'_>]) -> ScriptInvocation<'static> {
    let mut invocation = RESERVE.prepare_invoke();
    for (sale, batch) in batches {
        let keys = Keys::of(sale);
        invocation.key(keys.sale).key(keys.buyers).key(keys.orders).key(keys.outbox).arg(batch.len());
        for reservation in *batch {
            invocation
                .arg(reservation.id.as_bytes())
                .arg(reservation.request.quantity.units())
                .arg(record::encode_body(&reservation.request));
        }
    }
    invocation
}

/// What the reply to that call says of each sale.
pub(super) fn decode(batches: &[OfSale<'_>], reply: Vec<Value>) -> Result<Vec<DecidedOfSale>, LedgerError> {
    if reply.len() != batches.len() {
        return Err(unexpected("not one answer for each sale"));
    }
    let of_sale = |(&(sale, batch), reply)| match reply {
        Value::Array(reply) => decode_sale(sale, batch, reply),
        other => Err(LedgerError::Corrupt(format!("no answer for a sale: {other:?}"))),
    };
    Ok(batches.iter().zip(reply).map(of_sale).collect())
}

fn decode_sale(sale: &SaleId, batch: &[Reservation], reply: Vec<Value>) -> DecidedOfSale {
    let mut reply = Reply::new(reply);
    match reply.text()?.as_str() {
        "absent" => return Ok(vec![ReserveOutcome::Absent; batch.len()]),
        "untrusted" => return Ok(vec![ReserveOutcome::Untrusted; batch.len()]),
        "failed" => return Err(LedgerError::Unavailable(reply.text()?)),
        "decided" => {}
        other => return Err(unexpected(other)),
    }
    let epoch = reply.number()?;
    let now = reply.time()?.ok_or_else(|| unexpected("no time"))?;
    let remaining = reply.number()?;
    let opens_at = reply.time()?;

    let mut outcomes = Vec::with_capacity(batch.len());
    for reservation in batch {
        outcomes.push(match reply.next()? {
            Value::Int(-1) => ReserveOutcome::SoldOut { remaining },
            Value::Int(-2) => ReserveOutcome::LimitReached,
            Value::Int(-3) => ReserveOutcome::NotOpen { opens_at },
            Value::Int(-4) => ReserveOutcome::Ended { opens_at },
            Value::Int(-5) => ReserveOutcome::Paused { opens_at },
            Value::Int(-6) => ReserveOutcome::Conflict,
            Value::Int(left) => {
                let left = u64::try_from(left).map_err(|_| unexpected("a negative decision"))?;
                ReserveOutcome::Reserved(reservation.reserved(left, now, epoch))
            }
            Value::BulkString(found) => {
                let (flag, bytes) = found.split_first().ok_or_else(|| unexpected("an empty record"))?;
                ReserveOutcome::Replayed(record::decode(sale, reservation.id, bytes, *flag == b'P')?)
            }
            other => return Err(LedgerError::Corrupt(format!("no decision: {other:?}"))),
        });
    }
    Ok(outcomes)
}
