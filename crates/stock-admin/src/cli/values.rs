//! What the values of the command line may be.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

use jiff::Timestamp;
use seckill_core::{
    order::{Goods, Units},
    order_log::Position,
    sale::{MAX_STOCK, MAX_TITLE},
};

pub(super) fn units(text: &str) -> Result<Units, String> {
    whole_number(text, 0..=MAX_STOCK)
}

pub(super) fn limit(text: &str) -> Result<Units, String> {
    whole_number(text, 1..=MAX_STOCK)
}

pub(super) fn more_or_fewer(text: &str) -> Result<i64, String> {
    let most = MAX_STOCK.cast_signed();
    whole_number(text, -most..=most)
}

fn whole_number<N: FromStr + PartialOrd + Display>(
    text: &str,
    range: RangeInclusive<N>,
) -> Result<N, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
}

pub(super) fn title(text: &str) -> Result<String, String> {
    short_text(text, MAX_TITLE)
}

pub(super) fn reason(text: &str) -> Result<String, String> {
    short_text(text, 500)
}

/// A reset adds to it what each of its steps does.
pub(super) fn reset_reason(text: &str) -> Result<String, String> {
    short_text(text, 400)
}

fn short_text(text: &str, most: usize) -> Result<String, String> {
    let fits = (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("must have 1 to {most} characters, none of them control characters"))
    }
}

pub(super) fn goods(text: &str) -> Result<Goods, String> {
    Goods::parse(text).map_err(|error| error.to_string())
}

/// How far a time zone is from UTC, in the only spelling that every server knows.
pub(super) fn offset(text: &str) -> Result<String, String> {
    let parsed = text.strip_prefix(['+', '-']).and_then(|rest| rest.split_once(':'));
    let in_range = parsed.is_some_and(|(hours, minutes)| {
        // Digits only: `parse` would take a second sign.
        let two_digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = |text: &str| two_digits(text).then(|| text.parse::<u8>().ok()).flatten();
        matches!((number(hours), number(minutes)), (Some(0..=12), Some(0..=59)) | (Some(13), Some(0)))
    });
    in_range
        .then(|| text.to_owned())
        .ok_or_else(|| "must be an offset from UTC, for example +08:00".to_owned())
}

/// A time as the store keeps it: to the millisecond.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let time: Timestamp =
        text.parse().map_err(|_| "must be RFC 3339, for example 2026-11-27T20:00:00Z".to_owned())?;
    Timestamp::from_millisecond(time.as_millisecond()).map_err(|error| error.to_string())
}

/// A whole number of seconds, not for ever.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    whole_number(text, 1..=86_400_u64).map(Duration::from_secs)
}

/// How many lines are shown.
pub(super) fn lines(text: &str) -> Result<usize, String> {
    whole_number(text, 1..=1_000_000)
}

/// A place in a topic: `PARTITION:OFFSET`.
pub(super) fn position(text: &str) -> Result<Position, String> {
    let parsed = text.split_once(':').and_then(|(partition, offset)| {
        let (partition, offset) = (partition.parse().ok()?, offset.parse().ok()?);
        (partition >= 0 && offset >= 0).then_some(Position { partition, offset })
    });
    parsed.ok_or_else(|| "must be PARTITION:OFFSET, for example 0:17".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_has_a_sign_two_digits_and_two_digits() {
        for text in ["+00:00", "+08:00", "-03:30", "+13:00"] {
            assert_eq!(offset(text).as_deref(), Ok(text));
        }
        for text in ["", "08:00", "+8:00", "+08", "+08:60", "+14:00", "+13:30", "UTC", "+08:00'", "++1:00"] {
            assert!(offset(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_position_is_two_numbers_and_nothing_else() {
        assert_eq!(position("0:17"), Ok(Position { partition: 0, offset: 17 }));
        for text in ["", ":", "0", "0:", ":17", "-1:0", "0:-1", "0:1:2", "0:99999999999999999999", "a:b"] {
            assert!(position(text).is_err(), "{text}");
        }
    }
}
