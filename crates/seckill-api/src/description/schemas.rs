//! The shapes of JSON, as components. `tests/openapi.rs` compares them with what is really written and read.

use seckill_core::{order::Quantity, sale};
use serde_json::json;
use utoipa::openapi::{
    ArrayBuilder, ComponentsBuilder, KnownFormat, Object, ObjectBuilder, Ref, RefOr, SchemaFormat, Type,
    schema::{AdditionalProperties, Schema, SchemaType},
};

use crate::problem::Code;

/// No control characters.
const PRINTABLE: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
const SALE_ID: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";
const UUID: &str = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";
const OPENID: &str = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9]+$";
const VISIBLE_ASCII: &str = r"^[\x21-\x7e]{1,255}$";

/// Every component.
pub fn all() -> ComponentsBuilder {
    ComponentsBuilder::new()
        .schema("Sale", sale())
        .schema("Sales", object(&["sales"], [("sales", list("Sale"))]))
        .schema("OrderRequest", order_request())
        .schema("OriginalOrderRequest", original_order_request())
        .schema("Order", order())
        .schema("OriginalOrder", super::operator::order())
        .schema("OriginalPlaced", original_placed())
        .schema("Timeline", super::timeline::schema())
        .schema("Problem", problem())
        .schema("Readiness", readiness())
        .schema("Flow", flow())
}

/// The name of a sale.
pub fn sale_id() -> ObjectBuilder {
    string().pattern(Some(SALE_ID))
}

/// The id of an order.
pub fn order_id() -> ObjectBuilder {
    string().format(Some(SchemaFormat::Custom("uuid".into()))).pattern(Some(UUID))
}

/// A buyer's name for one attempt.
pub fn idempotency_key() -> ObjectBuilder {
    string().pattern(Some(VISIBLE_ASCII))
}

/// A whole number of at least `least`.
pub fn whole(least: u64) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(number(least)))
}

/// A text of `least` to `most` characters, none of them a control character.
pub fn bounded(least: usize, most: usize) -> ObjectBuilder {
    string().min_length(Some(least)).max_length(Some(most)).pattern(Some(PRINTABLE))
}

/// `schema`, or null.
pub fn nullable(schema: ObjectBuilder) -> ObjectBuilder {
    let mut schema = schema.build();
    if let SchemaType::Type(kind) = schema.schema_type {
        schema.schema_type = SchemaType::from_iter([kind, Type::Null]);
    }
    schema.into()
}

/// A time.
pub fn time() -> ObjectBuilder {
    string().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

/// A text.
pub fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// An object of these properties and no others, of which `required` are always there.
pub fn object<S: Into<RefOr<Schema>>>(
    required: &[&str],
    properties: impl IntoIterator<Item = (&'static str, S)>,
) -> Object {
    let mut object = ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(false)));
    for (name, schema) in properties {
        object = object.property(name, schema);
    }
    for name in required {
        object = object.required(*name);
    }
    object.build()
}

fn list(component: &str) -> ArrayBuilder {
    ArrayBuilder::new().items(Ref::from_schema_name(component))
}

pub fn words(words: &[&str]) -> ObjectBuilder {
    string().enum_values(Some(words.iter().copied()))
}

/// A number as JSON Schema has it.
#[expect(clippy::cast_precision_loss, reason = "JSON Schema's numbers; ours are small")]
pub fn number(number: u64) -> f64 {
    number as f64
}

fn sale() -> Object {
    let properties = [
        ("id", sale_id()),
        ("title", string().max_length(Some(sale::MAX_TITLE))),
        (
            "state",
            words(&["scheduled", "open", "paused", "soldOut", "ended"])
                .description(Some("`soldOut`: every unit is held by a live order; one may come back.")),
        ),
        (
            "stock",
            whole(0).maximum(Some(number(sale::MAX_STOCK))).description(Some("All units, sold or not.")),
        ),
        ("remaining", whole(0).description(Some("Units that no live order holds."))),
        (
            "perBuyerLimit",
            nullable(whole(1)).description(Some("Most units that one buyer may hold; null: no limit.")),
        ),
        ("opensAt", nullable(time()).description(Some("Null: since ever."))),
        ("closesAt", nullable(time()).description(Some("The end, exclusive; null: none."))),
        ("serverTime", time().description(Some("The clock that opens and ends sales."))),
    ];
    let names = properties.each_ref().map(|(name, _)| *name);
    object(&names, properties)
}

fn order_request() -> Object {
    let quantity = nullable(whole(1).maximum(Some(number(Quantity::MAX)))).default(Some(json!(1)));
    object(
        &["user", "goods"],
        [
            ("user", user()),
            ("goods", bounded(1, 128)),
            ("quantity", quantity),
            ("remark", nullable(bounded(0, 500))),
        ],
    )
}

fn user() -> ObjectBuilder {
    let description = "Who buys. Compared by bytes: no two different texts are ever the same buyer.";
    bounded(1, 64).description(Some(description))
}

/// Anything at all, and ignored.
pub fn ignored() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some("Taken and ignored."))
}

fn original_order_request() -> Object {
    object(
        &["user", "goods"],
        [
            ("user", user()),
            ("goods", bounded(1, 128)),
            ("remark", nullable(bounded(0, 500))),
            ("openid", ignored()),
            ("kafkaRawMessage", ignored()),
        ],
    )
}

/// How far an order has come.
pub fn order_statuses() -> ObjectBuilder {
    words(&["pending", "accepted", "confirmed", "rejected", "cancelled"]).description(Some(
        "`pending`: not known yet, resolves by itself. `accepted`: safe in the order log. `confirmed`: stored. \
         `rejected`: did not fit. `cancelled`: its units went back.",
    ))
}

/// The fields of an order, all of which are always there.
pub fn order_fields() -> [(&'static str, ObjectBuilder); 11] {
    [
        ("id", order_id()),
        ("sale", sale_id()),
        ("user", user()),
        ("goods", bounded(1, 128)),
        ("quantity", whole(1).maximum(Some(number(Quantity::MAX)))),
        ("remark", nullable(bounded(0, 500))),
        ("openid", string().pattern(Some(OPENID)).description(Some("`{id}-{ms since the epoch}`."))),
        (
            "remainCount",
            nullable(whole(0)).description(Some("Units left right after this order; null: not known.")),
        ),
        ("status", order_statuses()),
        ("createdDate", time()),
        ("updateDate", time().description(Some("When its status last changed."))),
    ]
}

fn order() -> Object {
    let properties = order_fields();
    let names = properties.each_ref().map(|(name, _)| *name);
    object(&names, properties)
}

fn original_placed() -> Object {
    let message = string().description(Some(
        "The order, as JSON in a text: `user`, `goods`, `remark`, `openid`, `remainCount`.",
    ));
    let sent = object(
        &["topic", "partition", "messages", "attributes"],
        [
            ("topic", Schema::from(string().build())),
            ("partition", Schema::from(whole(0).build())),
            ("messages", Schema::from(ArrayBuilder::new().items(message).build())),
            ("attributes", Schema::from(whole(0).build())),
        ],
    );
    let offsets = ObjectBuilder::new()
        .additional_properties(Some(Schema::from(whole(0).build())))
        .description(Some("The offset, by partition."));
    let answered = ObjectBuilder::new()
        .additional_properties(Some(Schema::from(offsets.build())))
        .description(Some("The same, by topic."));
    object(
        &["payload", "kafkaProducerResponse"],
        [
            ("payload", Schema::from(ArrayBuilder::new().items(RefOr::T(Schema::from(sent))).build())),
            ("kafkaProducerResponse", Schema::from(answered.build())),
        ],
    )
}

fn problem() -> Object {
    let names = Code::ALL.iter().map(|code| code.name());
    let error = object(&["field", "message"], [("field", string()), ("message", string())]);
    let errors = ArrayBuilder::new()
        .items(RefOr::T(Schema::from(error)))
        .description(Some("With status 422: which fields, or which header, and what is expected of each."));
    let properties = [
        ("type", string().format(Some(SchemaFormat::Custom("uri-reference".into()))).build().into()),
        ("title", Schema::from(string().build())),
        ("status", Schema::from(ObjectBuilder::new().schema_type(Type::Integer).build())),
        ("detail", Schema::from(string().build())),
        ("code", Schema::from(string().enum_values(Some(names)).build())),
        ("errors", Schema::from(errors.build())),
        (
            "opensAt",
            Schema::from(
                time()
                    .description(Some(
                        "With `sale-not-open`, `sale-ended` and `sale-paused`, where it is known.",
                    ))
                    .build(),
            ),
        ),
    ];
    let mut problem = ObjectBuilder::from(object(&["type", "title", "status", "detail", "code"], properties));
    // `refusal_of` narrows it, and others may be added one day: RFC 9457 tells clients to ignore them.
    problem = problem.additional_properties(Some(AdditionalProperties::FreeForm(true)));
    problem.description(Some("A refusal (RFC 9457).")).build()
}

fn flow() -> Object {
    let told = |what| nullable(whole(0)).description(Some(what));
    object(
        &["unwritten", "outbox", "drift"],
        [
            ("unwritten", told("Events in the order log that the consumers have yet to write.")),
            ("outbox", told("Orders whose events are not known to be in the order log.")),
            ("drift", told("Units on which ledger and store differ; null while anything is on its way.")),
        ]
        .map(|(name, schema)| (name, Schema::from(schema.build()))),
    )
}

fn readiness() -> Object {
    let missing = words(&["ledger", "orderLog", "store"]);
    let missing = ArrayBuilder::new()
        .items(missing)
        .description(Some("What does not answer. A missing store alone does not make it unready."));
    let yes_or_no = || Schema::from(ObjectBuilder::new().schema_type(Type::Boolean).build());
    object(
        &["ready", "stopping", "missing"],
        [("ready", yes_or_no()), ("stopping", yes_or_no()), ("missing", Schema::from(missing.build()))],
    )
}
