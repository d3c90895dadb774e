//! Buyers' tokens: off unless they are set; then a buyer is the token's subject.

use clap::Parser;
use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
use reqwest::Method;
use seckill_api::settings::Settings;
use serde_json::json;

use crate::{
    answer::Answer,
    office::TOKEN,
    world::{PHONE, RunningApi, World},
};

const SECRET: &str = "a shared secret of 32 characters";

/// A server that knows buyers by their tokens.
pub struct Members {
    pub world: World,
    pub api: RunningApi,
}

impl Members {
    /// With the settings `flags`.
    pub async fn with(flags: &[&str]) -> Self {
        let world = World::open(10).await;
        let mut parts = world.parts().await;
        let settings = Settings::try_parse_from([&["seckill-api"], flags].concat()).unwrap();
        // Reading a key set blocks.
        let read = tokio::task::spawn_blocking(move || settings.identity.buyer_tokens().unwrap());
        parts.buyer_tokens = read.await.unwrap();
        assert!(parts.buyer_tokens.is_some());
        parts.admin_token = Some(TOKEN.into());
        let api = RunningApi::start(parts, &[]);
        Self { world, api }
    }

    /// Asks for an order with `token`.
    pub async fn order(&self, token: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.api.post(&self.world.path("/orders"), &[("authorization", &bearer)], body).await
    }

    async fn look(&self, path: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.api.send(Method::GET, path, &[("authorization", &bearer)], "").await
    }

    pub async fn end(self) {
        self.api.stop().await;
        self.world.end().await;
    }
}

fn token(buyer: &str) -> String {
    let claims = json!({ "sub": buyer, "exp": get_current_timestamp() + 60 });
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

async fn members() -> Members {
    Members::with(&["--buyer-jwt-secret", SECRET]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_without_a_valid_token_nothing_is_sold() {
    let members = members().await;
    let orders = members.world.path("/orders");
    for path in [&*orders, "/seckill/add"] {
        let answer = members.api.post(path, &[], PHONE).await;
        answer.problem(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    let claims = json!({ "sub": "ada", "exp": get_current_timestamp() - 3600 });
    let expired = encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap();
    for bad in ["x", &*expired, TOKEN] {
        members.order(bad, PHONE).await.problem(401, "unauthorized");
    }
    assert_eq!(members.world.remaining().await, 10);
    members.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_buyer_is_the_tokens_subject_and_a_body_that_says_otherwise_is_403() {
    let members = members().await;
    let ada = token("ada");
    for body in [r#"{"goods":"phone"}"#, PHONE] {
        let answer = members.order(&ada, body).await;
        assert_eq!((answer.status, &answer.json()["user"]), (202, &"ada".into()));
    }
    members.order(&token("bob"), PHONE).await.problem(403, "forbidden");
    let bearer = format!("Bearer {ada}");
    let headers = [("authorization", &*bearer)];
    let added = members.api.post("/seckill/add", &headers, r#"{"goods":"phone"}"#).await;
    assert!(added.status == 201 && added.body.contains(r#"\"user\":\"ada\""#), "{}", added.body);
    let other = members.api.post("/seckill/add", &headers, r#"{"user":"bob","goods":"phone"}"#).await;
    other.problem(403, "forbidden");
    assert_eq!(members.world.remaining().await, 7);
    members.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_an_order_is_there_for_its_buyer_and_the_operator_and_for_nobody_else() {
    let members = members().await;
    let order = members.order(&token("ada"), PHONE).await;
    let path = order.header("location").unwrap().to_owned();
    assert_eq!(members.look(&path, &token("ada")).await.json()["user"], "ada");
    assert_eq!(members.look(&path, TOKEN).await.status, 200);
    let other = members.look(&path, &token("bob")).await;
    other.problem(404, "order-not-found");
    let unknown = members.world.path("/orders/01890a5d-ac96-774b-bcce-b302099a8057");
    let absent = members.look(&unknown, &token("bob")).await;
    assert_eq!((other.status, other.body), (absent.status, absent.body), "nothing tells the two apart");
    members.api.get(&path).await.problem(401, "unauthorized");
    assert_eq!(members.api.get(&members.world.path("")).await.status, 200, "the sale is everybody's");
    members.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_an_order_is_cancelled_and_listened_to_by_its_buyer_and_by_nobody_else() {
    let members = members().await;
    let order = members.order(&token("ada"), PHONE).await;
    let path = order.header("location").unwrap().to_owned();
    let cancel = async |token: &str| {
        let bearer = format!("Bearer {token}");
        members.api.send(Method::POST, &format!("{path}/cancel"), &[("authorization", &bearer)], "").await
    };
    cancel(&token("bob")).await.problem(404, "order-not-found");
    cancel("x").await.problem(401, "unauthorized");
    members.look(&format!("{path}/events"), &token("bob")).await.problem(404, "order-not-found");
    members.api.get(&format!("{path}/events")).await.problem(401, "unauthorized");
    assert_eq!(members.look(&path, &token("ada")).await.json()["status"], "accepted", "nothing was done");
    let cancelled = cancel(&token("ada")).await;
    assert_eq!((cancelled.status, &cancelled.json()["status"]), (202, &"cancelled".into()));
    members.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_settings_a_buyer_is_whom_the_body_names() {
    let world = World::open(10).await;
    let bearer = format!("Bearer {}", token("bob"));
    let order = world.api.post(&world.path("/orders"), &[("authorization", &bearer)], PHONE).await;
    assert_eq!((order.status, &order.json()["user"]), (202, &"ada".into()));
    assert_eq!(world.api.get(order.header("location").unwrap()).await.status, 200);
    world.order(r#"{"goods":"phone"}"#).await.names_field("user");
    world.end().await;
}

#[test]
fn p6_settings_of_tokens_that_cannot_be_used_are_one_line_that_names_them() {
    let wrong = |flags: &[&str]| {
        let settings = Settings::try_parse_from([&["seckill-api"], flags].concat()).unwrap();
        settings.identity.buyer_tokens().err().expect("it is wrong").to_string()
    };
    let both = wrong(&["--buyer-jwt-secret", SECRET, "--buyer-jwt-jwks", "/x"]);
    assert_eq!(both, "SECKILL_BUYER_JWT_JWKS: give it or SECKILL_BUYER_JWT_SECRET, not both");
    let short = wrong(&["--buyer-jwt-secret", &SECRET[1..]]);
    assert_eq!(short, "SECKILL_BUYER_JWT_SECRET: must have at least 32 bytes");
    let missing = wrong(&["--buyer-jwt-jwks", "/nowhere/keys.json"]);
    assert!(missing.starts_with("SECKILL_BUYER_JWT_JWKS: cannot read the file that it names: "), "{missing}");
    let refused = wrong(&["--buyer-jwt-jwks", "http://127.0.0.1:1/keys"]);
    assert!(refused.starts_with("SECKILL_BUYER_JWT_JWKS: cannot fetch the key set: "), "{refused}");
    assert!(![both, missing, refused].iter().any(|line| line.contains('\n') || line.contains(SECRET)));
}
