//! Which order in MySQL is whose, as far as anybody was told.

use std::collections::HashMap;

use seckill_core::order::OrderId;

use crate::{
    history::{Attempt, History, RequestName},
    witness::{StoreState, StoredOrder},
};

/// The orders in MySQL by their buyers and requests.
#[derive(Debug)]
pub struct Owned<'a> {
    by_user: HashMap<&'a str, Vec<(OrderId, &'a StoredOrder)>>,
    answered_to: HashMap<OrderId, RequestName<'a>>,
}

impl<'a> Owned<'a> {
    /// Those of `store`, answered as `history` tells.
    pub fn new(history: &'a History, store: &'a StoreState) -> Self {
        let mut by_user: HashMap<_, Vec<_>> = HashMap::new();
        for (id, order) in &store.orders {
            by_user.entry(order.user.as_str()).or_default().push((*id, order));
        }
        let named =
            |attempt: &'a Attempt| Some((attempt.order()?, (attempt.user.as_str(), attempt.key.as_deref())));
        Self { by_user, answered_to: history.attempts.iter().filter_map(named).collect() }
    }

    /// All buyers with orders, and these.
    pub fn buyers(&self) -> impl Iterator<Item = (&'a str, Vec<&'a StoredOrder>)> {
        self.by_user.iter().map(|(user, orders)| (*user, orders.iter().map(|(_, order)| *order).collect()))
    }

    /// The orders of one buyer.
    pub fn of_buyer(&self, user: &str) -> Vec<&'a StoredOrder> {
        self.by_user.get(user).into_iter().flatten().map(|(_, order)| *order).collect()
    }

    /// The orders that one request may have made: its buyer's, but those that were answered to another of its requests.
    pub fn of_request(&self, request: RequestName<'_>) -> Vec<&'a StoredOrder> {
        let may_be = |id: &OrderId| self.answered_to.get(id).is_none_or(|owner| *owner == request);
        let orders = self.by_user.get(request.0).into_iter().flatten();
        orders.filter(|(id, _)| may_be(id)).map(|(_, order)| *order).collect()
    }
}
