//! Without any one of its mechanisms the protocol breaks a promise: in a world in which, with it, all hold.

use stateright::HasDiscoveries;

use super::{
    bounds::{Bounds, Sabotage},
    promises::{P1, P2, P3_ANSWER, P3_LIMIT, P4_LEDGER, P4_REST, P5_LAST, P5_REFUSED, REJECTED},
    worlds::{
        CANCELLED, CHANGED, FIRST_LOAD, IMPORTED, IMPORTED_OR_SOLD, LEDGER_LOST, LIMITED, RAISED_AND_LOST,
        REPLY_LOST, TAMPERED, TWO_KEEPERS, explore, falls,
    },
};

fn without(mechanisms: &'static [Sabotage], bounds: Bounds) -> Bounds {
    Bounds { without: mechanisms, ..bounds }
}

/// (a) alone breaks nothing: while the ledger is right, no order gets as far as the guard (`worlds::holds`
/// asserts that). It is the second wall; it takes a wrong ledger, or (d) beside it, to fall behind it.
#[test]
fn a_p1_falls_without_the_stock_guard_behind_a_wrong_ledger() {
    falls(without(&[Sabotage::NoStockGuard], TAMPERED), P1);
    falls(without(&[Sabotage::NoStockGuard, Sabotage::NoFence], LEDGER_LOST), P1);
}

#[test]
fn b_p2_falls_with_offsets_before_the_commit() {
    falls(without(&[Sabotage::OffsetsBeforeCommit], Bounds::CALM), P2);
}

#[test]
fn c_p2_and_p4_fall_with_units_back_on_a_timeout() {
    falls(without(&[Sabotage::UnitsBackOnTimeout], Bounds::CALM), P2);
    falls(without(&[Sabotage::UnitsBackOnTimeout], Bounds::CALM), P4_REST);
}

/// And the stock guard keeps P1 even so, in every state.
#[test]
fn d_p2_falls_without_the_fence() {
    falls(without(&[Sabotage::NoFence], LEDGER_LOST), P2);
    let found =
        explore(without(&[Sabotage::NoFence], Bounds { tries: 1, ..LEDGER_LOST }), HasDiscoveries::All);
    assert!(found.trace(REJECTED).is_some(), "the guard was never needed");
    assert!(found.trace(P1).is_none());
}

#[test]
fn p2_falls_when_the_fence_is_the_server_without_its_history() {
    falls(without(&[Sabotage::NoHistory], LEDGER_LOST), P2);
}

#[test]
fn e_p3_and_p4_fall_without_the_idempotency_record() {
    falls(without(&[Sabotage::RecordIgnored], Bounds::CALM), P3_ANSWER);
    falls(without(&[Sabotage::RecordIgnored], Bounds { stock: 2, ..Bounds::CALM }), P4_LEDGER);
}

#[test]
fn f_p4_falls_without_tombstones() {
    falls(without(&[Sabotage::RecordsDeleted], CANCELLED), P4_REST);
}

#[test]
fn g_p2_falls_when_any_epoch_is_swapped_in() {
    falls(without(&[Sabotage::SwapAnyEpoch], TWO_KEEPERS), P2);
}

#[test]
fn p2_falls_when_a_rebuild_does_not_wait_for_late_acknowledgements() {
    falls(without(&[Sabotage::NoWait], LEDGER_LOST), P2);
}

#[test]
fn p2_falls_when_a_rebuild_does_not_wait_for_the_log() {
    falls(without(&[Sabotage::NoDrain], LEDGER_LOST), P2);
}

#[test]
fn p2_and_p4_fall_when_superseded_events_are_written() {
    falls(without(&[Sabotage::SupersededWritten], LEDGER_LOST), P2);
    falls(without(&[Sabotage::SupersededWritten], LEDGER_LOST), P4_REST);
}

#[test]
fn p3_falls_without_the_limit() {
    falls(without(&[Sabotage::NoLimit], LIMITED), P3_LIMIT);
}

#[test]
fn p4_falls_when_an_old_acknowledgement_settles_a_new_order() {
    falls(without(&[Sabotage::SettleAnyEpoch], LEDGER_LOST), P4_REST);
}

/// Found by this model: the keeper did so.
#[test]
fn p2_falls_when_a_first_load_is_judged_by_an_earlier_look() {
    falls(without(&[Sabotage::StaleFirstLoad], FIRST_LOAD), P2);
}

/// Found by this model: the queue in front of the ledger did so.
#[test]
fn p5_falls_when_a_refusal_after_a_lost_answer_is_passed_on() {
    falls(without(&[Sabotage::RefusalAfterLostReply], REPLY_LOST), P5_REFUSED);
    falls(without(&[Sabotage::RefusalAfterLostReply], CANCELLED), P5_LAST);
}

/// Found by this model: `stock-admin` and the keeper together did so.
#[test]
fn p2_falls_when_a_change_goes_by_the_ledgers_stock() {
    let lost = Bounds { changes: CHANGED.changes, ..RAISED_AND_LOST };
    falls(without(&[Sabotage::ChangeByLedger], lost), P2);
}

#[test]
fn p2_falls_when_an_import_sets_nothing_aside() {
    falls(without(&[Sabotage::NothingSetAside], IMPORTED_OR_SOLD), P2);
}

#[test]
fn p2_falls_when_an_import_goes_on_after_a_rebuild() {
    falls(without(&[Sabotage::StaleSetAside], IMPORTED_OR_SOLD), P2);
}

#[test]
fn p4_falls_when_an_import_leaves_the_fence_on() {
    falls(without(&[Sabotage::ImportKeepsFence], IMPORTED), P4_REST);
}
