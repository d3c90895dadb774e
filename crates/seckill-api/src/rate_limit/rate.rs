//! How often somebody may ask.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

use governor::Quota;

/// So many requests in a second, a minute or an hour: all at once, or spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    requests: NonZeroU32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

/// Why a text is no [`Rate`].
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("must be a number of requests and a unit, as 20/s, 100/m or 1000/h; at most 1000000")]
pub struct InvalidRate;

impl Rate {
    /// Most requests of a rate.
    const MAX: u32 = 1_000_000;

    /// How many requests.
    pub fn requests(self) -> u32 {
        self.requests.get()
    }

    /// Within which time.
    pub fn window(self) -> Duration {
        Duration::from_secs(match self.unit {
            Unit::Second => 1,
            Unit::Minute => 60,
            Unit::Hour => 3600,
        })
    }

    /// The time after which one more request may come.
    pub fn interval(self) -> Duration {
        self.window() / self.requests.get()
    }

    pub(super) fn quota(self) -> Quota {
        let quota =
            Quota::with_period(self.interval()).expect("a second has far more nanoseconds than requests");
        quota.allow_burst(self.requests)
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let (requests, unit) = text.split_once('/').ok_or(InvalidRate)?;
        let unit = match unit {
            "s" => Unit::Second,
            "m" => Unit::Minute,
            "h" => Unit::Hour,
            _ => return Err(InvalidRate),
        };
        let requests = requests.parse::<NonZeroU32>().map_err(|_| InvalidRate)?;
        if requests.get() > Self::MAX { Err(InvalidRate) } else { Ok(Self { requests, unit }) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Second => "s",
            Unit::Minute => "m",
            Unit::Hour => "h",
        };
        write!(f, "{}/{unit}", self.requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_unit() {
        for text in ["20/s", "1/m", "1000000/h"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        for bad in ["", "20", "0/s", "-1/s", "1.5/s", "20/d", "20/s ", "/s", "1000001/s", "99999999999/s"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }
}
