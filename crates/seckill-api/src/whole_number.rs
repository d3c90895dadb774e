//! A whole number as JSON has it: `2`, `2.0` and `2e0` are the same, and it may be larger than any integer of ours.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

/// A whole JSON number, of any size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WholeNumber {
    /// Less than none.
    Negative,
    /// This many.
    Of(u64),
    /// More than a `u64` can hold, or than a floating-point number holds exactly.
    Huge,
}

impl<'de> Deserialize<'de> for WholeNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeNumberVisitor)
    }
}

struct WholeNumberVisitor;

impl Visitor<'_> for WholeNumberVisitor {
    type Value = WholeNumber;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<WholeNumber, E> {
        Ok(WholeNumber::Of(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<WholeNumber, E> {
        Ok(u64::try_from(number).map_or(WholeNumber::Negative, WholeNumber::Of))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<WholeNumber, E> {
        if number.fract() != 0.0 {
            return Err(E::invalid_type(de::Unexpected::Float(number), &self));
        }
        // JSON has one kind of number: 2.0 is 2. What is exact is the same in print.
        let exact = number.abs() < 9_007_199_254_740_992.0;
        Ok(match number {
            _ if number < 0.0 => WholeNumber::Negative,
            _ if exact => format!("{}", number.abs()).parse().map_or(WholeNumber::Huge, WholeNumber::Of),
            _ => WholeNumber::Huge,
        })
    }
}
