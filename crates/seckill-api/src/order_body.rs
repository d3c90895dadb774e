//! The JSON of an order request, parsed into types that cannot hold a bad value.
//!
//! What is not of its form (unknown or doubled field, wrong type) is told from what is out of its range:
//! the first is a malformed request, of the second every field is named.

use std::{borrow::Cow, fmt};

use actix_web::web::Bytes;
use seckill_core::order::{BuyerId, Goods, OrderRequest, OutOfRange, Quantity, Remark};
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, Visitor},
};

use crate::{
    problem::{Code, FieldError, Problem},
    whole_number::WholeNumber,
};

/// Which fields an order request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `user`, `goods`, `quantity`, `remark`.
    V1,
    /// The original's: `user`, `goods`, `remark`; `openid` and `kafkaRawMessage` are taken and ignored.
    Legacy,
}

/// Reads an order request from the JSON text `body`.
pub fn parse(body: &Bytes, dialect: Dialect) -> Result<OrderRequest, Problem> {
    parse_for(body, dialect, None)
}

/// The same, asked for by `buyer` where it is known who asks: the body need not say it, and may not say
/// otherwise.
pub fn parse_for(body: &Bytes, dialect: Dialect, buyer: Option<&BuyerId>) -> Result<OrderRequest, Problem> {
    let text = std::str::from_utf8(body).map_err(|_| Problem::malformed("the body is not UTF-8"))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut fields = deserializer
        .deserialize_map(FieldsVisitor { dialect })
        .and_then(|fields| deserializer.end().map(|()| fields))
        .map_err(|error| Problem::malformed(error.to_string()))?;
    if let Some(buyer) = buyer {
        let named = fields.user.get_or_insert(Cow::Borrowed(buyer.as_str()));
        if *named != buyer.as_str() {
            return Err(Problem::new(
                Code::Forbidden,
                "the order is in the name of another buyer than the token's",
            ));
        }
    }
    fields.into_request()
}

/// The fields as they came, each of its type.
#[derive(Default)]
struct Fields<'a> {
    user: Option<Cow<'a, str>>,
    goods: Option<Cow<'a, str>>,
    quantity: Option<WholeNumber>,
    remark: Option<Text<'a>>,
}

impl Fields<'_> {
    fn into_request(self) -> Result<OrderRequest, Problem> {
        let mut errors = Vec::new();
        let buyer = required("user", self.user, BuyerId::parse, &mut errors);
        let goods = required("goods", self.goods, Goods::parse, &mut errors);
        let quantity = match self.quantity {
            None => Ok(Quantity::ONE),
            Some(WholeNumber::Of(units)) => Quantity::new(units),
            // As far out of range as none at all.
            Some(WholeNumber::Negative | WholeNumber::Huge) => Quantity::new(0),
        };
        let quantity = checked("quantity", quantity, &mut errors);
        let remark = self.remark.map(|text| Remark::parse(text.0));
        let remark = checked("remark", remark.transpose(), &mut errors);
        match (buyer, goods, quantity, remark) {
            (Some(buyer), Some(goods), Some(quantity), Some(remark)) => {
                Ok(OrderRequest { buyer, goods, quantity, remark })
            }
            _ => Err(Problem::validation(errors)),
        }
    }
}

fn required<'a, T>(
    field: &'static str,
    text: Option<Cow<'a, str>>,
    parse: impl FnOnce(Cow<'a, str>) -> Result<T, OutOfRange>,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    let Some(text) = text else {
        errors.push(FieldError::missing(field));
        return None;
    };
    checked(field, parse(text), errors)
}

fn checked<T>(field: &'static str, value: Result<T, OutOfRange>, errors: &mut Vec<FieldError>) -> Option<T> {
    value.map_err(|out_of_range| errors.push(FieldError::new(field, &out_of_range))).ok()
}

struct FieldsVisitor {
    dialect: Dialect,
}

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let known: &'static [&'static str] = match self.dialect {
            Dialect::V1 => &["user", "goods", "quantity", "remark"],
            Dialect::Legacy => &["user", "goods", "remark", "openid", "kafkaRawMessage"],
        };
        let mut seen: Vec<&'static str> = Vec::with_capacity(known.len());
        let mut fields = Fields::default();
        while let Some(Text(name)) = map.next_key()? {
            let Some(name) = known.iter().find(|field| **field == name) else {
                return Err(de::Error::unknown_field(&name, known));
            };
            if seen.contains(name) {
                return Err(de::Error::duplicate_field(name));
            }
            seen.push(name);
            match *name {
                "user" => fields.user = Some(map.next_value::<Text>()?.0),
                "goods" => fields.goods = Some(map.next_value::<Text>()?.0),
                "quantity" => fields.quantity = map.next_value()?,
                "remark" => fields.remark = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}

/// A JSON string, not copied where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &'static str) -> Code {
        parse(&Bytes::from_static(body.as_bytes()), Dialect::V1).expect_err(body).code()
    }

    fn quantity(text: &str) -> Result<OrderRequest, Problem> {
        parse(&format!("{{\"user\":\"u\",\"goods\":\"g\",\"quantity\":{text}}}").into(), Dialect::V1)
    }

    #[test]
    fn a_whole_request_is_read() {
        let body = r#" {"remark":"\"hi\"","user":"买家😀","goods":"{}","quantity":2} "#;
        let request = parse(&Bytes::from_static(body.as_bytes()), Dialect::V1).unwrap();
        assert_eq!(request.buyer.as_str(), "买家😀");
        assert_eq!(request.goods.as_str(), "{}");
        assert_eq!(request.quantity.units(), 2);
        assert_eq!(request.remark.unwrap().as_str(), "\"hi\"");
    }

    #[test]
    fn optional_fields_may_be_null_or_absent() {
        let body = r#"{"user":"u","goods":"g","quantity":null,"remark":null}"#;
        let request = parse(&Bytes::from_static(body.as_bytes()), Dialect::V1).unwrap();
        assert_eq!((request.quantity, request.remark), (Quantity::ONE, None));
    }

    #[test]
    fn p6_what_is_not_of_its_form_is_malformed() {
        for body in [
            "{",
            "[]",
            "[\"u\",\"g\"]",
            "null",
            "\"text\"",
            "{}{}",
            r#"{"user":"u","goods":"g"} x"#,
            r#"{"user":"u","user":"u","goods":"g"}"#,
            r#"{"user":"u","goods":"g","quantity":1,"quantity":null}"#,
            r#"{"user":"u","goods":"g","extra":1}"#,
            r#"{"user":"u","goods":"g","openid":"x"}"#,
            r#"{"user":1,"goods":"g"}"#,
            r#"{"user":null,"goods":"g"}"#,
            r#"{"user":"\ud800","goods":"g"}"#,
            "{\"user\":\"a\0b\",\"goods\":\"g\"}",
            "{\"user\":\"a\nb\",\"goods\":\"g\"}",
            r#"{"user":"u","goods":{"deep":[[[[]]]]}}"#,
        ] {
            assert_eq!(code(body), Code::MalformedRequest, "{body}");
        }
        for number in ["1.5", "\"1\"", "true", "[1]", "1e999", "01", "NaN"] {
            assert_eq!(quantity(number).unwrap_err().code(), Code::MalformedRequest, "{number}");
        }
        let not_utf8 = Bytes::from_static(b"{\"user\":\"\xff\",\"goods\":\"g\"}");
        assert_eq!(parse(&not_utf8, Dialect::V1).unwrap_err().code(), Code::MalformedRequest);
    }

    #[test]
    fn p6_what_is_out_of_range_is_named() {
        for number in ["0", "-1", "101", "9223372036854775808", "-0", "1e30", "-1e30", "0.0"] {
            assert_eq!(quantity(number).unwrap_err().code(), Code::ValidationFailed, "{number}");
        }
        assert_eq!(quantity("100.0").unwrap().quantity.units(), 100);
        for body in [
            "{}",
            r#"{"user":"","goods":"g"}"#,
            r#"{"user":"a\u0000b","goods":"g"}"#,
            r#"{"user":"a\r\nb","goods":"g"}"#,
        ] {
            assert_eq!(code(body), Code::ValidationFailed, "{body}");
        }
    }

    #[test]
    fn p6_a_buyer_who_is_known_orders_in_no_other_name() {
        let ada = BuyerId::parse("ada").unwrap();
        let read =
            |body: &'static str| parse_for(&Bytes::from_static(body.as_bytes()), Dialect::V1, Some(&ada));
        assert_eq!(read(r#"{"goods":"g"}"#).unwrap().buyer, ada);
        assert_eq!(read(r#"{"user":"\u0061da","goods":"g"}"#).unwrap().buyer, ada);
        for other in [r#"{"user":"ada ","goods":"g"}"#, r#"{"user":"","goods":"g"}"#, r#"{"user":"bob"}"#] {
            assert_eq!(read(other).unwrap_err().code(), Code::Forbidden, "{other}");
        }
    }

    #[test]
    fn the_originals_extra_fields_are_ignored_whatever_they_are() {
        let body = r#"{"user":"u","goods":"g","openid":[1,{"a":null}],"kafkaRawMessage":{"b":2}}"#;
        assert!(parse(&Bytes::from_static(body.as_bytes()), Dialect::Legacy).is_ok());
        let body = r#"{"user":"u","goods":"g","quantity":2}"#;
        assert!(parse(&Bytes::from_static(body.as_bytes()), Dialect::Legacy).is_err());
    }
}
