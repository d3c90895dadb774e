//! The description of the HTTP interface is that of the code: `docs/openapi.json` is what is served, every
//! route is described and every description has its route, and the shapes are those that are written and read.

use std::collections::BTreeSet;

use actix_web::{App, http::Method, test};
use seckill_api::{
    description,
    measures::HttpMeasures,
    order_body::{self, Dialect},
    problem::Code,
    routes,
};
use serde_json::{Value, json};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
/// Set to rewrite the committed description.
const REWRITE: &str = "SECKILL_REWRITE_OPENAPI";

/// The methods that OpenAPI describes. `GET` stands for `HEAD` too.
const METHODS: [&str; 4] = ["get", "post", "put", "delete"];

fn served() -> Value {
    serde_json::from_str(&description::json()).expect("the description is JSON")
}

#[actix_web::test]
async fn the_committed_description_is_the_one_that_is_served() {
    let text = description::json();
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(COMMITTED, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(COMMITTED).unwrap_or_default() == text,
        "docs/openapi.json is not what the code describes; to rewrite it:\n    \
         {REWRITE}=1 cargo test -p seckill-api --test openapi"
    );
}

/// What a path answers a method that nothing takes, in its `Allow`.
#[actix_web::test]
async fn every_route_is_described_and_every_description_has_its_route() {
    let measures = HttpMeasures::default();
    let app = App::new().configure(|config| routes::configure(config, &measures));
    let app = test::init_service(app).await;
    let mut routed = BTreeSet::new();
    for path in measures.paths().into_iter().filter(|path| !path.ends_with('*')) {
        let nonsense = Method::from_bytes(b"NONSENSE").unwrap();
        let request = test::TestRequest::with_uri(&exemplary(path)).method(nonsense).to_request();
        let answer = test::call_service(&app, request).await;
        assert_eq!(answer.status(), 405, "{path}");
        for method in answer.headers().get("allow").expect(path).to_str().unwrap().split(", ") {
            if method != "HEAD" {
                routed.insert(format!("{method} {path}"));
            }
        }
    }
    let description = served();
    let mut described = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in METHODS.iter().filter(|method| item.get(method).is_some()) {
            described.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    assert_eq!(routed, described, "left: the routes; right: what is described");
}

/// A path that `template` matches.
fn exemplary(template: &str) -> String {
    template.replace("{id}", "f0d06e86-7918-80ef-accc-8b3267092801").replace(['{', '}'], "")
}

#[actix_web::test]
async fn every_reference_leads_somewhere_and_every_operation_has_its_name() {
    let description = served();
    let mut references = Vec::new();
    collect(&description, "$ref", &mut references);
    assert!(references.len() > 10);
    for reference in references {
        let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
        assert!(description.pointer(pointer).is_some(), "{reference}");
    }
    let (mut names, mut linked) = (Vec::new(), Vec::new());
    for item in description["paths"].as_object().unwrap().values() {
        for operation in METHODS.iter().filter_map(|method| item.get(method)) {
            names.push(operation["operationId"].as_str().unwrap());
            collect(&operation["responses"], "operationId", &mut linked);
        }
    }
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len(), "{names:?}");
    assert!(!linked.is_empty());
    for link in linked {
        assert!(names.contains(&link.as_str().unwrap()), "{link}");
    }
}

fn collect<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                if key == name && inner.is_string() {
                    found.push(inner);
                }
                collect(inner, name, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, name, found)),
        _ => {}
    }
}

#[actix_web::test]
async fn refusals_are_described_as_they_are_answered() {
    let description = served();
    let codes = description["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].clone();
    assert_eq!(codes, json!(Code::ALL.iter().map(|code| code.name()).collect::<Vec<_>>()));
    let busy = &description["paths"]["/v1/sales/{sale}/orders"]["post"]["responses"]["503"];
    assert!(busy["headers"].get("Retry-After").is_some());
    let example = &busy["content"]["application/problem+json"]["examples"]["overloaded"]["value"];
    assert_eq!((&example["status"], &example["code"]), (&json!(503), &json!("overloaded")));
    let refused = &description["components"]["responses"]["MethodNotAllowed"];
    assert!(refused["headers"].get("Allow").is_some());
}

/// The examples are made by the types that answer: their fields are those of the shapes.
#[actix_web::test]
async fn shapes_have_the_fields_that_are_written() {
    let description = served();
    let operation = |path: &str, method: &str| description["paths"][path][method]["responses"].clone();
    let order =
        &operation("/v1/sales/{sale}/orders", "post")["202"]["content"]["application/json"]["example"];
    same_fields(&description, "Order", order);
    let sale = &operation("/v1/sales/{sale}", "get")["200"]["content"]["application/json"]["example"];
    same_fields(&description, "Sale", sale);
    let original =
        &operation("/order/{id}", "get")["200"]["content"]["application/json; charset=utf-8"]["example"];
    same_fields(&description, "OriginalOrder", original);
}

fn same_fields(description: &Value, shape: &str, example: &Value) {
    let schema = &description["components"]["schemas"][shape];
    let described: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().collect();
    let written: BTreeSet<_> = example.as_object().unwrap().keys().collect();
    assert_eq!(described, written, "{shape}");
    assert_eq!(schema["required"].as_array().unwrap().len(), written.len(), "{shape}");
    assert_eq!(schema["additionalProperties"], json!(false), "{shape}");
}

/// What a shape allows at its limits is taken, and what is just beyond is not.
#[actix_web::test]
async fn limits_of_requests_are_those_of_the_parser() {
    let description = served();
    for (shape, dialect) in [("OrderRequest", Dialect::V1), ("OriginalOrderRequest", Dialect::Legacy)] {
        let properties = &description["components"]["schemas"][shape]["properties"];
        for field in ["user", "goods", "remark"] {
            let limit = |name: &str| usize::try_from(properties[field][name].as_u64().unwrap()).unwrap();
            let (least, most) = (limit("minLength"), limit("maxLength"));
            assert!(takes(dialect, field, &json!("x".repeat(least))), "{field}");
            assert!(takes(dialect, field, &json!("买".repeat(most))), "{field}");
            assert!(!takes(dialect, field, &json!("x".repeat(most + 1))), "{field}");
            assert!(least == 0 || !takes(dialect, field, &json!("x".repeat(least - 1))), "{field}");
            assert!(!takes(dialect, field, &json!("a\u{9f}")), "{field}");
            let nullable = properties[field]["type"] == json!(["string", "null"]);
            assert_eq!(takes(dialect, field, &Value::Null), nullable, "{field}");
        }
        assert!(!takes(dialect, "something", &json!(1)));
    }
    let quantity = &description["components"]["schemas"]["OrderRequest"]["properties"]["quantity"];
    let limit = |name: &str| quantity[name].as_f64().unwrap();
    assert!(takes(Dialect::V1, "quantity", &json!(limit("minimum"))));
    assert!(takes(Dialect::V1, "quantity", &json!(limit("maximum"))));
    assert!(!takes(Dialect::V1, "quantity", &json!(limit("minimum") - 1.0)));
    assert!(!takes(Dialect::V1, "quantity", &json!(limit("maximum") + 1.0)));
    assert!(takes(Dialect::V1, "quantity", &Value::Null));
}

fn takes(dialect: Dialect, field: &str, value: &Value) -> bool {
    let mut request = json!({ "user": "u", "goods": "g" });
    request[field] = value.clone();
    order_body::parse(&request.to_string().into(), dialect).is_ok()
}
