//! The JSON of an operator's requests, parsed into types that cannot hold a bad value.

use std::collections::HashSet;

use actix_web::web::Bytes;
use seckill_core::{
    order::{BuyerId, Goods, Openid, OrderId, OutOfRange, Remark, Units},
    sale::MAX_STOCK,
    store::{HandMadeOrder, OrderEdit, RemarkEdit},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny},
};

use crate::{
    problem::{FieldError, Problem},
    whole_number::WholeNumber,
};

/// How many units shall be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Less than none: the original has an answer of its own to that.
    Negative,
    /// So many.
    Units(Units),
}

/// Reads `{"count":N}`.
pub fn count(body: &Bytes) -> Result<Count, Problem> {
    let fields: CountFields = object(body)?;
    match fields.count {
        None => Err(Problem::validation(vec![FieldError::missing("count")])),
        Some(WholeNumber::Negative) => Ok(Count::Negative),
        Some(WholeNumber::Of(units)) if units <= MAX_STOCK => Ok(Count::Units(units)),
        Some(WholeNumber::Of(_) | WholeNumber::Huge) => {
            Err(Problem::validation(vec![above_maximum("count")]))
        }
    }
}

/// Reads the order that an operator makes by hand.
pub fn hand_made(body: &Bytes) -> Result<HandMadeOrder, Problem> {
    let fields: HandMadeFields = object(body)?;
    let mut errors = Vec::new();
    let buyer = required("user", fields.user, BuyerId::parse, &mut errors);
    let goods = required("goods", fields.goods, Goods::parse, &mut errors);
    let remark = optional("remark", fields.remark, Remark::parse, &mut errors);
    let openid = optional("openid", fields.openid, Openid::parse, &mut errors);
    let remain_count = match fields.remain_count {
        None => None,
        Some(WholeNumber::Of(units)) if units <= MAX_STOCK => Some(units),
        Some(_) => {
            errors.push(above_maximum("remainCount"));
            None
        }
    };
    match (buyer, goods) {
        (Some(buyer), Some(goods)) if errors.is_empty() => {
            Ok(HandMadeOrder { buyer, goods, remark, openid, remain_count })
        }
        _ => Err(Problem::validation(errors)),
    }
}

/// Reads which order an operator edits, and how. Other fields of an order may be there, as it was shown.
pub fn edit(body: &Bytes) -> Result<(OrderId, OrderEdit), Problem> {
    let fields: EditFields = object(body)?;
    let mut errors = Vec::new();
    let buyer = optional("user", fields.user, BuyerId::parse, &mut errors);
    let goods = optional("goods", fields.goods, Goods::parse, &mut errors);
    let remark = match fields.remark {
        Nullable::Absent => RemarkEdit::Keep,
        Nullable::Null => RemarkEdit::Clear,
        Nullable::Text(text) => {
            let remark = optional("remark", Some(text), Remark::parse, &mut errors);
            remark.map_or(RemarkEdit::Keep, RemarkEdit::Set)
        }
    };
    let id = fields.id.as_deref().and_then(OrderId::parse);
    if id.is_none() {
        errors.push(if fields.id.is_none() { FieldError::missing("id") } else { not_an_id() });
    }
    match id {
        Some(id) if errors.is_empty() => Ok((id, OrderEdit { buyer, goods, remark })),
        _ => Err(Problem::validation(errors)),
    }
}

/// Reads a list of ids, each once.
pub fn ids(body: &Bytes) -> Result<Vec<OrderId>, Problem> {
    let texts: Vec<String> = json(body, '[', "a list of ids")?;
    let mut ids = HashSet::with_capacity(texts.len());
    for text in &texts {
        ids.insert(OrderId::parse(text).ok_or_else(|| Problem::validation(vec![not_an_id()]))?);
    }
    Ok(ids.into_iter().collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CountFields {
    #[serde(default, deserialize_with = "present")]
    count: Option<WholeNumber>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct HandMadeFields {
    #[serde(default, deserialize_with = "present")]
    user: Option<String>,
    #[serde(default, deserialize_with = "present")]
    goods: Option<String>,
    remark: Option<String>,
    openid: Option<String>,
    remain_count: Option<WholeNumber>,
    #[serde(default, rename = "kafkaRawMessage")]
    _kafka_raw_message: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct EditFields {
    #[serde(default, deserialize_with = "present")]
    id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    user: Option<String>,
    #[serde(default, deserialize_with = "present")]
    goods: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    remark: Nullable,
    #[serde(default, rename = "sale")]
    _sale: IgnoredAny,
    #[serde(default, rename = "quantity")]
    _quantity: IgnoredAny,
    #[serde(default, rename = "openid")]
    _openid: IgnoredAny,
    #[serde(default, rename = "remainCount")]
    _remain_count: IgnoredAny,
    #[serde(default, rename = "status")]
    _status: IgnoredAny,
    #[serde(default, rename = "kafkaRawMessage")]
    _kafka_raw_message: IgnoredAny,
    #[serde(default, rename = "createdDate")]
    _created_date: IgnoredAny,
    #[serde(default, rename = "updateDate")]
    _update_date: IgnoredAny,
}

/// A field that may be absent, but not `null` where its type knows none.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A text, or `null`, or nothing at all.
#[derive(Default)]
enum Nullable {
    #[default]
    Absent,
    Null,
    Text(String),
}

fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Nullable, D::Error> {
    Ok(Option::deserialize(deserializer)?.map_or(Nullable::Null, Nullable::Text))
}

fn object<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    json(body, '{', "a JSON object")
}

/// Reads JSON that begins with `first`: what is derived would also take a list for an object.
fn json<T: DeserializeOwned>(body: &Bytes, first: char, expected: &'static str) -> Result<T, Problem> {
    let text = std::str::from_utf8(body).map_err(|_| Problem::malformed("the body is not UTF-8"))?;
    let parsed = serde_json::from_str(text).map_err(|error| Problem::malformed(error.to_string()));
    if !text.trim_start().starts_with(first) {
        return Err(Problem::malformed(format!("the body is not {expected}")));
    }
    parsed
}

fn required<T>(
    field: &'static str,
    text: Option<String>,
    parse: impl FnOnce(String) -> Result<T, OutOfRange>,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    if text.is_none() {
        errors.push(FieldError::missing(field));
    }
    optional(field, text, parse, errors)
}

fn optional<T>(
    field: &'static str,
    text: Option<String>,
    parse: impl FnOnce(String) -> Result<T, OutOfRange>,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    let parsed = text.map(parse)?;
    parsed.map_err(|out_of_range| errors.push(FieldError::new(field, &out_of_range))).ok()
}

fn above_maximum(field: &'static str) -> FieldError {
    FieldError { field, message: format!("must be 0 to {MAX_STOCK}") }
}

fn not_an_id() -> FieldError {
    FieldError { field: "id", message: "must be a UUID in its hyphenated form".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    fn of(text: &str) -> Bytes {
        text.to_owned().into()
    }

    #[test]
    fn p6_a_count_is_a_whole_number() {
        for (text, expected) in [
            ("0", Count::Units(0)),
            ("-0", Count::Units(0)),
            ("7.0", Count::Units(7)),
            ("1e3", Count::Units(1000)),
            ("1000000000", Count::Units(MAX_STOCK)),
            ("-1", Count::Negative),
            ("-9223372036854775809", Count::Negative),
        ] {
            assert_eq!(count(&of(&format!("{{\"count\":{text}}}"))).unwrap(), expected, "{text}");
        }
        for text in ["1.5", "-1.5", "\"1\"", "null", "true", "[1]", "1e999", "01", "NaN", ""] {
            let problem = count(&of(&format!("{{\"count\":{text}}}"))).expect_err(text);
            assert_eq!(problem.code(), Code::MalformedRequest, "{text}");
        }
        for body in [r#"{"count":1000000001}"#, r#"{"count":1e30}"#, "{}"] {
            assert_eq!(count(&of(body)).unwrap_err().code(), Code::ValidationFailed, "{body}");
        }
        for body in ["[1]", "1", r#"{"count":1,"count":2}"#, r#"{"count":1,"x":2}"#, "{", "{\"count\":1} {}"]
        {
            assert_eq!(count(&of(body)).unwrap_err().code(), Code::MalformedRequest, "{body}");
        }
    }

    #[test]
    fn an_edit_tells_absent_from_null() {
        let id = OrderId::fresh();
        let read = |fields: &str| edit(&of(&format!("{{\"id\":\"{id}\"{fields}}}")));
        assert_eq!(read("").unwrap().1.remark, RemarkEdit::Keep);
        assert_eq!(read(",\"remark\":null").unwrap().1.remark, RemarkEdit::Clear);
        let set = RemarkEdit::Set(Remark::parse("r").unwrap());
        assert_eq!(read(",\"remark\":\"r\"").unwrap().1.remark, set);
        assert_eq!(read(",\"remark\":\"\\u0000\"").unwrap_err().code(), Code::ValidationFailed);
        assert_eq!(read(",\"user\":null").unwrap_err().code(), Code::MalformedRequest);
        assert_eq!(read(",\"id\":\"x\"").unwrap_err().code(), Code::MalformedRequest, "doubled");
        assert!(read(",\"openid\":[1],\"status\":null,\"quantity\":{}").is_ok());
        for bad in [r#"{"user":"u"}"#, r#"{"id":"no id"}"#] {
            assert_eq!(edit(&of(bad)).unwrap_err().code(), Code::ValidationFailed, "{bad}");
        }
    }

    #[test]
    fn p6_hand_made_orders_are_within_their_ranges() {
        let body =
            r#"{"user":"u","goods":"g","openid":"o","remark":null,"remainCount":5,"kafkaRawMessage":{}}"#;
        let order = hand_made(&of(body)).unwrap();
        assert_eq!((order.openid.unwrap().as_str(), order.remain_count), ("o", Some(5)));
        for bad in
            [r#"{"user":"","goods":"g"}"#, r#"{"goods":"g"}"#, r#"{"user":"u","goods":"g","remainCount":-1}"#]
        {
            assert_eq!(hand_made(&of(bad)).unwrap_err().code(), Code::ValidationFailed, "{bad}");
        }
        for bad in [r#"["u","g"]"#, r#"{"user":1,"goods":"g"}"#, r#"{"user":"u","goods":"g","x":1}"#] {
            assert_eq!(hand_made(&of(bad)).unwrap_err().code(), Code::MalformedRequest, "{bad}");
        }
    }

    #[test]
    fn each_id_counts_once() {
        let id = OrderId::fresh();
        assert_eq!(ids(&of(&format!("[\"{id}\", \"{id}\"]"))).unwrap(), [id]);
        assert_eq!(ids(&of("[]")).unwrap(), []);
        assert_eq!(ids(&of("[\"x\"]")).unwrap_err().code(), Code::ValidationFailed);
        for bad in ["{}", "[1]", "\"x\"", "[null]", "[\"x\""] {
            assert_eq!(ids(&of(bad)).unwrap_err().code(), Code::MalformedRequest, "{bad}");
        }
    }
}
