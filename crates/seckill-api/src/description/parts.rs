//! What the descriptions of all routes are made of.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::{
    Content, ContentBuilder, Header, HttpMethod, ObjectBuilder, PathItem, Ref, RefOr, Required, Response,
    ResponseBuilder, Schema, Type,
    example::ExampleBuilder,
    header::HeaderBuilder,
    path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
    request_body::{RequestBody, RequestBodyBuilder},
    schema::AllOfBuilder,
    security::SecurityRequirement,
};

use crate::problem::{Code, PROBLEM_JSON, Problem};

/// The scheme of the operator's token.
pub const ADMIN: &str = "admin";
/// The scheme of a buyer's token.
pub const BUYER: &str = "buyer";

/// The groups of routes.
pub const BUYERS: &str = "buyers";
pub const ORIGINAL: &str = "original";
pub const OPERATOR: &str = "operator";
pub const OPERATION: &str = "operation";

pub const JSON: &str = "application/json";
/// As the original's framework says it.
pub const ORIGINAL_JSON: &str = "application/json; charset=utf-8";
pub const TEXT: &str = "text/plain; charset=utf-8";
pub const HTML: &str = "text/html; charset=utf-8";

/// One path and what it takes.
pub struct Described {
    /// The path.
    pub path: &'static str,
    /// Its operations.
    pub item: PathItem,
}

/// The path `path` with the operation `operation` alone.
pub fn path(path: &'static str, method: HttpMethod, operation: OperationBuilder) -> Described {
    Described { path, item: PathItem::new(method, operation) }
}

/// An operation of the group `tag`: its id, what it does in a line, and what else there is to say of it.
pub fn operation(tag: &str, id: &str, summary: &str, description: &str) -> OperationBuilder {
    let operation = OperationBuilder::new().tag(tag).operation_id(Some(id)).summary(Some(summary));
    if description.is_empty() { operation } else { operation.description(Some(description)) }
}

/// `operation`, with every status of the refusals `codes`, and of that of who asks too often.
pub fn refused(mut operation: OperationBuilder, codes: &[Code]) -> OperationBuilder {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes.iter().chain(&[Code::RateLimited]) {
        by_status.entry(code.status().as_u16()).or_default().push(*code);
    }
    for (status, codes) in by_status {
        operation = operation.response(status.to_string(), refusal_of(&codes));
    }
    operation
}

/// The answer of the refusals `codes`, which are all of one status.
pub fn refusal_of(codes: &[Code]) -> Response {
    let titles: Vec<_> = codes.iter().map(|code| format!("{} (`{}`)", code.title(), code.name())).collect();
    let narrowed = ObjectBuilder::new()
        .property("code", one_of(Type::String, codes.iter().map(|code| code.name())))
        .property("status", one_of(Type::Integer, [codes[0].status().as_u16()]));
    let schema = AllOfBuilder::new().item(Ref::from_schema_name("Problem")).item(narrowed);
    let examples = codes.iter().map(|code| {
        let value = Problem::new(*code, code.explanation()).to_json();
        (code.name(), ExampleBuilder::new().summary(code.title()).value(Some(value)))
    });
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build();
    let mut response = ResponseBuilder::new().description(titles.join(", ")).content(PROBLEM_JSON, content);
    if codes.iter().any(|code| code.retry_after().is_some()) {
        response = response.header("Retry-After", retry_after());
    }
    if codes.contains(&Code::RateLimited) {
        response = response
            .header(
                "RateLimit",
                text_header("What is left of each limit (`r`), and seconds until it grows (`t`)."),
            )
            .header("RateLimit-Policy", text_header("Each limit: how many (`q`) in how many seconds (`w`)."));
    }
    if codes.contains(&Code::MethodNotAllowed) {
        response = response.header("Allow", text_header("The methods that the path takes."));
    }
    response.build()
}

fn one_of<V: Into<Value>>(kind: Type, values: impl IntoIterator<Item = V>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind).enum_values(Some(values))
}

/// How long to wait.
pub fn retry_after() -> Header {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    HeaderBuilder::new().schema(seconds).description(Some("Seconds after which to try again.")).build()
}

/// A header of an answer that is a text.
pub fn text_header(description: &str) -> Header {
    let text = ObjectBuilder::new().schema_type(Type::String);
    HeaderBuilder::new().schema(text).description(Some(description)).build()
}

/// `Idempotency-Replayed` of an answer.
pub fn replayed_header() -> Header {
    let word = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"]));
    let description = "Only on the answer to a retry: this is the order that the key already stands for.";
    HeaderBuilder::new().schema(word).description(Some(description)).build()
}

/// The JSON of the component `name`, with an example.
pub fn shape(name: &str, example: Value) -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(name))).example(Some(example)).build()
}

/// A text, with an example.
pub fn text(example: &str) -> Content {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    ContentBuilder::new().schema(Some(schema)).example(Some(json!(example))).build()
}

/// An answer of one content type.
pub fn answer(description: &str, media_type: &str, content: Content) -> ResponseBuilder {
    ResponseBuilder::new().description(description).content(media_type, content)
}

/// A request's body in JSON.
pub fn body(content: Content, description: &str) -> RequestBody {
    RequestBodyBuilder::new()
        .content(JSON, content)
        .description(Some(description))
        .required(Some(Required::True))
        .build()
}

/// A parameter of the path.
pub fn in_path(name: &str, schema: impl Into<RefOr<Schema>>, description: &str, example: &str) -> Parameter {
    parameter(name, ParameterIn::Path, Required::True, schema, description, json!(example))
}

/// A parameter that may be left out.
pub fn optional(
    name: &str,
    place: ParameterIn,
    schema: impl Into<RefOr<Schema>>,
    description: &str,
    example: Value,
) -> Parameter {
    parameter(name, place, Required::False, schema, description, example)
}

fn parameter(
    name: &str,
    place: ParameterIn,
    required: Required,
    schema: impl Into<RefOr<Schema>>,
    description: &str,
    example: Value,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .schema(Some(schema))
        .description(Some(description))
        .example(Some(example))
        .build()
}

/// `operation`, for operators only.
pub fn for_operators(operation: OperationBuilder) -> OperationBuilder {
    operation.security(needs(ADMIN))
}

/// `operation`, with a buyer's token where those are configured.
pub fn for_buyers(operation: OperationBuilder) -> OperationBuilder {
    operation.security(SecurityRequirement::default()).security(needs(BUYER))
}

/// `operation`, with the token of the order's buyer or of an operator where buyers have tokens.
pub fn for_viewers(operation: OperationBuilder) -> OperationBuilder {
    for_buyers(operation).security(needs(ADMIN))
}

fn needs(scheme: &str) -> SecurityRequirement {
    SecurityRequirement::new::<_, [&str; 0], &str>(scheme, [])
}

/// Adds `operation` to a path that takes others too.
pub fn also(mut described: Described, method: HttpMethod, operation: OperationBuilder) -> Described {
    described.item.merge_operations(PathItem::new(method, Operation::from(operation)));
    described
}
