//! `docs/asyncapi.yaml` describes the order log as the code has it: its examples are decoded, and the limits
//! of its schema are those at which the decoder refuses.

use seckill_core::{
    event::{OrderEvent, OrderEventKind, VERSION},
    order::OrderStatus,
};
use serde_json::{Value, json};

fn description() -> Value {
    serde_yaml_ng::from_str(include_str!("../../../docs/asyncapi.yaml")).expect("the description is YAML")
}

fn example(message: &str) -> Value {
    description()["components"]["messages"][message]["examples"][0]["payload"].take()
}

fn decode(event: &Value) -> Result<OrderEvent, String> {
    let (key, value) = (event["order"]["id"].as_str().expect("a text"), event.to_string());
    OrderEvent::decode(Some(key.as_bytes()), Some(value.as_bytes())).map_err(|error| error.to_string())
}

#[test]
fn its_examples_are_events_and_are_encoded_as_they_stand_there() {
    for (message, kind, status) in [
        ("placed", OrderEventKind::Placed, OrderStatus::Accepted),
        ("cancelled", OrderEventKind::Cancelled, OrderStatus::Cancelled),
    ] {
        let example = example(message);
        let event = decode(&example).expect(message);
        assert_eq!((event.kind, event.order.status), (kind, status));
        let encoded: Value = serde_json::from_slice(&event.encode()).unwrap();
        assert_eq!(encoded, example, "{message}");
    }
}

#[test]
fn its_schema_names_every_field_and_the_version() {
    let (description, example) = (description(), example("placed"));
    let schemas = &description["components"]["schemas"];
    assert_eq!(schemas["event"]["properties"]["v"]["const"], json!(VERSION));
    for (schema, value) in [("event", &example), ("order", &example["order"])] {
        let (mut described, mut present) = (names(&schemas[schema]["properties"]), names(value));
        described.sort_unstable();
        present.sort_unstable();
        assert_eq!(described, present, "{schema}");
        assert_eq!(schemas[schema]["required"].as_array().unwrap().len(), present.len(), "{schema}");
    }
}

#[test]
fn every_status_and_kind_is_listed() {
    let description = description();
    let schemas = &description["components"]["schemas"];
    for status in schemas["order"]["properties"]["status"]["enum"].as_array().unwrap() {
        assert!(OrderStatus::parse(status.as_str().unwrap()).is_some(), "{status}");
    }
    let listed = schemas["order"]["properties"]["status"]["enum"].as_array().unwrap().len();
    assert_eq!(listed, 5, "as many as OrderStatus has");
    assert_eq!(schemas["event"]["properties"]["type"]["enum"], json!(["placed", "cancelled"]));
}

#[test]
fn its_limits_are_those_of_the_decoder() {
    let description = description();
    let order = &description["components"]["schemas"]["order"]["properties"];
    for field in ["user", "goods", "remark"] {
        let (least, most) = (limit(&order[field], "minLength"), limit(&order[field], "maxLength"));
        let of_length = |length: u64| json!("买".repeat(usize::try_from(length).unwrap()));
        accepts(field, &of_length(least));
        accepts(field, &of_length(most));
        refuses(field, &of_length(most + 1));
        if let Some(fewer) = least.checked_sub(1) {
            refuses(field, &of_length(fewer));
        }
        for control in ["\0", "\n", "\u{1f}", "\u{7f}", "\u{9f}"] {
            refuses(field, &json!(control));
        }
        accepts(field, &json!("\u{a0}"));
    }
    let (least, most) = (limit(&order["quantity"], "minimum"), limit(&order["quantity"], "maximum"));
    accepts("quantity", &json!(least));
    accepts("quantity", &json!(most));
    refuses("quantity", &json!(least - 1));
    refuses("quantity", &json!(most + 1));
    refuses("remainCount", &json!(-1));
    accepts("remainCount", &Value::Null);
    accepts("remark", &Value::Null);
}

fn names(object: &Value) -> Vec<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn limit(schema: &Value, name: &str) -> u64 {
    schema[name].as_u64().unwrap_or_else(|| panic!("{name} in {schema}"))
}

fn with(field: &str, value: &Value) -> Value {
    let mut event = example("placed");
    event["order"][field] = value.clone();
    event
}

fn accepts(field: &str, value: &Value) {
    decode(&with(field, value)).unwrap_or_else(|error| panic!("{field} {value}: {error}"));
}

fn refuses(field: &str, value: &Value) {
    assert!(decode(&with(field, value)).is_err(), "{field} {value} should be refused");
}
