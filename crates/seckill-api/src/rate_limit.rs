//! How often one buyer and one client address may ask. Off unless it is set.
//!
//! Counted by the generic cell rate algorithm (`governor`): the allowance grows back evenly. Each instance of
//! the API counts for itself.

mod bounded;
mod rate;

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use actix_web::{
    HttpMessage,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue},
};
use governor::{
    RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
};
use seckill_core::order::BuyerId;

use self::bounded::BoundedStates;
pub use self::rate::Rate;
use crate::{
    client_address::{TrustedProxy, client_address},
    problem::Problem,
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Most buyers, and most addresses, that are told apart at once: some 10 MB each.
const CAPACITY: usize = 100_000;

/// How often those are forgotten who have their whole allowance again.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// How often one may ask.
#[derive(clap::Args, Clone, Debug)]
pub struct RateSettings {
    /// Most orders of one buyer, as 20/s, 100/m or 1000/h [default: no limit]
    #[arg(long, env = "SECKILL_RATE_LIMIT_BUYER", value_name = "N/UNIT")]
    rate_limit_buyer: Option<Rate>,
    /// Most requests of one client address (of a /64 for IPv6), in the same form [default: no limit]
    #[arg(long, env = "SECKILL_RATE_LIMIT_ADDRESS", value_name = "N/UNIT")]
    rate_limit_address: Option<Rate>,
    /// Networks of proxies whose X-Forwarded-For is believed, separated by commas [default: none]
    #[arg(long, env = "SECKILL_TRUSTED_PROXIES", value_delimiter = ',', value_name = "CIDR")]
    trusted_proxies: Vec<TrustedProxy>,
}

impl RateSettings {
    /// What is to be counted; none: nothing.
    pub fn limits(&self) -> Option<RateLimits> {
        if self.rate_limit_buyer.is_none() && self.rate_limit_address.is_none() {
            return None;
        }
        Some(RateLimits {
            buyers: self.rate_limit_buyer.map(|rate| Limit::new("buyer", rate)),
            addresses: self.rate_limit_address.map(|rate| Limit::new("address", rate)),
            trusted_proxies: self.trusted_proxies.clone(),
        })
    }
}

/// Counts what buyers and addresses ask.
pub struct RateLimits {
    buyers: Option<Limit>,
    addresses: Option<Limit>,
    trusted_proxies: Vec<TrustedProxy>,
}

impl RateLimits {
    /// Counts a request of its client's address.
    pub fn check_address(&self, request: &ServiceRequest) -> Result<(), Problem> {
        let (Some(limit), Some(peer)) = (&self.addresses, request.peer_addr()) else { return Ok(()) };
        let client = client_address(peer.ip(), request.headers(), &self.trusted_proxies);
        limit.check(&subscriber(client), request, "this client address sends too many requests")
    }

    /// Counts an order of `buyer`, which `request` asks for.
    pub fn check_buyer(&self, buyer: &BuyerId, request: &impl HttpMessage) -> Result<(), Problem> {
        let Some(limit) = &self.buyers else { return Ok(()) };
        limit.check(&buyer.as_str(), request, "this buyer sends too many orders")
    }
}

/// Whose an address is: an IPv6 subscriber has a whole /64.
fn subscriber(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

/// One limit and all who have it.
struct Limit {
    name: &'static str,
    rate: Rate,
    limiter: RateLimiter<u64, BoundedStates, DefaultClock, StateInformationMiddleware>,
    /// Keys are hashed: all are equally long, and nobody can choose two that are one.
    hasher: RandomState,
    started: Instant,
    /// Seconds since then when it was last swept.
    swept: AtomicU64,
}

impl Limit {
    fn new(name: &'static str, rate: Rate) -> Self {
        Self::with_capacity(name, rate, CAPACITY)
    }

    fn with_capacity(name: &'static str, rate: Rate, capacity: usize) -> Self {
        Self {
            name,
            rate,
            limiter: RateLimiter::new(rate.quota(), BoundedStates::new(capacity), DefaultClock::default()),
            hasher: RandomState::new(),
            started: Instant::now(),
            swept: AtomicU64::new(0),
        }
    }

    fn check(
        &self,
        who: &impl std::hash::Hash,
        request: &impl HttpMessage,
        detail: &'static str,
    ) -> Result<(), Problem> {
        self.sweep();
        let (standing, refused) = self.count(self.hasher.hash_one(who));
        let mut extensions = request.extensions_mut();
        if !extensions.contains::<Standings>() {
            extensions.insert(Standings::default());
        }
        if let Some(standings) = extensions.get_mut::<Standings>() {
            standings.0.push(standing);
        }
        refused.map_or(Ok(()), |seconds| Err(Problem::rate_limited(detail, seconds)))
    }

    /// Counts one request; tells where its sender stands, and if it is refused, for how many seconds.
    fn count(&self, key: u64) -> (Standing, Option<u64>) {
        let standing = |remaining, seconds| Standing { name: self.name, rate: self.rate, remaining, seconds };
        match self.limiter.check_key(&key) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let missing = self.rate.requests().saturating_sub(remaining);
                (standing(remaining, whole_seconds(self.rate.interval() * missing)), None)
            }
            Err(until) => {
                let wait = until.wait_time_from(self.limiter.clock().now());
                let seconds = whole_seconds(wait).max(1);
                (standing(0, seconds), Some(seconds))
            }
        }
    }

    /// Forgets those who have their whole allowance again, from time to time.
    fn sweep(&self) {
        let (now, last) = (self.started.elapsed().as_secs(), self.swept.load(Ordering::Relaxed));
        let due = now >= last + SWEEP_EVERY.as_secs();
        if due && self.swept.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
    }
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Where the sender of a request stands with one limit.
struct Standing {
    name: &'static str,
    rate: Rate,
    remaining: u32,
    /// Until the whole allowance is there again, or, where nothing is left, until one request may come.
    seconds: u64,
}

/// Where the sender of a request stands, kept with the request until it is answered.
#[derive(Default)]
struct Standings(Vec<Standing>);

/// Says on an answer where its receiver stands (draft-ietf-httpapi-ratelimit-headers).
pub fn mark<B>(response: &mut ServiceResponse<B>) {
    let Some(Standings(standings)) = response.request().extensions_mut().remove::<Standings>() else {
        return;
    };
    let (mut policies, mut limits) = (Vec::new(), Vec::new());
    for Standing { name, rate, remaining, seconds } in standings {
        policies.push(format!("\"{name}\";q={};w={}", rate.requests(), rate.window().as_secs()));
        limits.push(format!("\"{name}\";r={remaining};t={seconds}"));
    }
    for (header, values) in [(RATE_LIMIT_POLICY, policies), (RATE_LIMIT, limits)] {
        let value = HeaderValue::try_from(values.join(", ")).expect("names and numbers are visible ASCII");
        response.headers_mut().insert(header, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(rate: &str, capacity: usize) -> Limit {
        Limit::with_capacity("test", rate.parse().unwrap(), capacity)
    }

    #[test]
    fn p6_the_allowance_is_what_was_set_and_the_wait_is_exact() {
        let limit = limit("3/h", 10);
        for left in [2, 1, 0] {
            let (standing, refused) = limit.count(1);
            assert_eq!((standing.remaining, refused), (left, None));
            assert_eq!(standing.seconds, 1200 * u64::from(3 - left));
        }
        let (standing, refused) = limit.count(1);
        assert_eq!((standing.remaining, standing.seconds, refused), (0, 1200, Some(1200)));
        assert_eq!(limit.count(2).1, None, "another has an allowance of their own");
    }

    #[test]
    fn the_allowance_grows_back() {
        let limit = limit("2/s", 10);
        assert_eq!((0..3).filter(|_| limit.count(1).1.is_some()).count(), 1);
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(limit.count(1).1, None);
    }

    #[test]
    fn the_memory_is_bounded_and_newcomers_share() {
        let limit = limit("2/h", 4);
        for key in 0..4 {
            assert_eq!(limit.count(key).1, None);
        }
        let served = (4..1000).filter(|key| limit.count(*key).1.is_none()).count();
        assert_eq!((served, limit.limiter.len()), (2, 4));
        assert_eq!(limit.count(0).1, None, "who was there first still has what is left of theirs");
    }

    #[test]
    fn those_with_a_whole_allowance_are_forgotten() {
        let limit = limit("1000/s", 10);
        limit.count(1);
        std::thread::sleep(Duration::from_millis(20));
        limit.limiter.retain_recent();
        assert_eq!(limit.limiter.len(), 0);
    }

    #[test]
    fn an_ipv6_subscriber_is_one_client() {
        let of = |text: &str| subscriber(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
