//! What strikes when: drawn from a seed alone, so that the same seed is the same run.
//!
//! Each fault draws from a generator of its own, made of the seed and its name: `--only` shows a fault exactly
//! as it was in the whole run.

use std::time::Duration;

use fastrand::Rng;

use super::fault::{Fault, Pace};

/// Units of the scarce sale: it sells out while the faults go on.
const SCARCE: std::ops::RangeInclusive<u64> = 200..=900;

/// Pause before a strike, in milliseconds: the sale is in full swing, and no two strikes fall alike.
const PAUSE_MS: std::ops::RangeInclusive<u64> = 700..=2_500;

/// One pair of sales, and what strikes while they are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// What it is called: the fault, or both of a pair.
    pub name: String,
    /// Units of the sale that sells out.
    pub scarce: u64,
    /// One after the other, each after the system has recovered from the one before.
    pub strikes: Vec<Strike>,
}

/// What strikes at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strike {
    /// Time from the last recovery until the first blow.
    pub pause: Duration,
    /// Its faults, one behind the other.
    pub blows: Vec<Blow>,
    /// How long all of them last together.
    pub lasts: Duration,
}

/// One fault of a strike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blow {
    /// Which.
    pub fault: Fault,
    /// Time since the blow before it.
    pub after: Duration,
    /// Where there are several to hit: which of them.
    pub pick: usize,
}

impl Round {
    /// The faults that strike in it, each once.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults: Vec<Fault> =
            self.strikes.iter().flat_map(|strike| &strike.blows).map(|blow| blow.fault).collect();
        faults.sort_unstable();
        faults.dedup();
        faults
    }
}

/// The round of one fault, striking as often as it does at this pace, at least once.
pub fn round_of(fault: Fault, seed: u64, pace: Pace) -> Round {
    let mut rng = Rng::with_seed(seed ^ hash(fault.name()));
    let times = fault.times(pace).max(1);
    Round {
        name: fault.name().to_owned(),
        scarce: rng.u64(SCARCE),
        strikes: (0..times).map(|_| strike(&[fault], &mut rng, pace)).collect(),
    }
}

/// The `index`-th round of two faults at once, drawn from `faults`, of which there must be two at least.
pub fn pair(faults: &[Fault], seed: u64, index: u64) -> Round {
    let mut rng = Rng::with_seed(seed ^ hash("pair") ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let first = faults[rng.usize(..faults.len())];
    // Drawn again where it is the first once more: one that struck twice is no pair.
    let second = loop {
        let second = faults[rng.usize(..faults.len())];
        if second != first {
            break second;
        }
    };
    Round {
        name: format!("{first}+{second}"),
        scarce: rng.u64(SCARCE),
        strikes: vec![strike(&[first, second], &mut rng, Pace::Quick)],
    }
}

fn strike(faults: &[Fault], rng: &mut Rng, pace: Pace) -> Strike {
    let pause = millis(rng, PAUSE_MS);
    let mut blows = Vec::new();
    let mut lasts = Duration::ZERO;
    for (index, &fault) in faults.iter().enumerate() {
        let after = if index == 0 { Duration::ZERO } else { millis(rng, 0..=1_500) };
        blows.push(Blow { fault, after, pick: rng.usize(..1_000) });
        lasts = lasts.max(millis(rng, fault.lasts(pace)));
    }
    Strike { pause, blows, lasts }
}

fn millis(rng: &mut Rng, range: std::ops::RangeInclusive<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

/// FNV-1a: the same on every machine and for ever, which the standard library's hash does not promise.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_schedule_and_another_seed_another() {
        for fault in Fault::ALL {
            for pace in [Pace::Quick, Pace::Full] {
                assert_eq!(round_of(fault, 7, pace), round_of(fault, 7, pace));
                assert_ne!(round_of(fault, 7, pace), round_of(fault, 8, pace));
            }
        }
        let pairs = |seed| (0..20).map(|index| pair(&Fault::ALL, seed, index)).collect::<Vec<_>>();
        assert_eq!(pairs(7), pairs(7));
        assert_ne!(pairs(7), pairs(8));
    }

    #[test]
    fn a_schedule_does_not_change_from_one_version_to_the_next() {
        // Whoever reports a seed must be able to repeat it.
        let round = round_of(Fault::RedisKill, 1, Pace::Quick);
        let strike = &round.strikes[0];
        let drawn = (round.scarce, strike.pause.as_millis(), strike.lasts.as_millis());
        assert_eq!(drawn, (645, 1_914, 368));
    }

    #[test]
    fn strikes_keep_to_the_ranges_of_their_fault() {
        for fault in Fault::ALL {
            let round = round_of(fault, 3, Pace::Full);
            assert_eq!((round.strikes.len(), round.faults()), (fault.times(Pace::Full), vec![fault]));
            for strike in &round.strikes {
                let lasts = u64::try_from(strike.lasts.as_millis()).unwrap();
                assert!(fault.lasts(Pace::Full).contains(&lasts), "{fault}");
                assert_eq!(strike.blows.len(), 1);
            }
        }
    }

    #[test]
    fn pairs_differ_and_have_two_blows() {
        let pairs: Vec<_> = (0..50).map(|index| pair(&Fault::ALL, 1, index)).collect();
        // Two faults, not one twice, from however few.
        let of_two = pair(&[Fault::KillApi, Fault::MysqlLock], 1, 1);
        assert!(pairs.iter().chain([&of_two]).all(|round| round.faults().len() == 2));
        let names: std::collections::HashSet<_> = pairs.iter().map(|round| &round.name).collect();
        assert!(names.len() > 25);
    }
}
