//! "Admin routes take `Authorization: Bearer $SECKILL_ADMIN_TOKEN`: 401 without or wrong, 403 if none is
//! configured."

use reqwest::Method;

use crate::{answer::Answer, office::Office, world::RunningApi};

/// Every route of operators, with a body that it would take.
fn routes() -> [(Method, &'static str, &'static str); 6] {
    [
        (Method::PUT, "/seckill/reset", r#"{"count":5}"#),
        (Method::GET, "/order/all", ""),
        (Method::GET, "/order/01890a5d-ac96-774b-bcce-b302099a8057", ""),
        (Method::POST, "/order", r#"{"user":"ada","goods":"phone"}"#),
        (Method::PUT, "/order", r#"{"id":"01890a5d-ac96-774b-bcce-b302099a8057","user":"eve"}"#),
        (Method::DELETE, "/order", r#"["01890a5d-ac96-774b-bcce-b302099a8057"]"#),
    ]
}

async fn ask_all(api: &RunningApi, authorization: Option<&str>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (method, path, body) in routes() {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(authorization.map(|value| ("authorization", value)));
        answers.push(api.send(method, path, &headers, body).await);
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_admin_routes_answer_401_without_the_token_or_with_a_wrong_one_and_do_nothing() {
    let office = Office::open(10).await;
    for authorization in [None, Some("Bearer wrong"), Some("Basic dGhlOnRva2Vu"), Some("Bearer")] {
        for answer in ask_all(&office.api, authorization).await {
            answer.problem(401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    assert_eq!(office.world.remaining().await, 10);
    assert_eq!(office.get("/order/all").await.body, "[]");
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_admin_routes_answer_403_where_no_token_is_configured() {
    let office = Office::open(10).await;
    for authorization in [None, Some("Bearer "), Some("Bearer x")] {
        for answer in ask_all(&office.world.api, authorization).await {
            answer.problem(403, "forbidden");
        }
    }
    assert_eq!(office.world.remaining().await, 10);
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_other_methods_of_admin_paths_are_405_and_name_those_there_are() {
    let office = Office::open(1).await;
    for (method, path, allow) in [
        (Method::POST, "/seckill/reset", "PUT"),
        (Method::GET, "/order", "POST, PUT, DELETE"),
        (Method::DELETE, "/order/all", "GET, HEAD"),
        (Method::PATCH, "/order/01890a5d-ac96-774b-bcce-b302099a8057", "GET, HEAD"),
    ] {
        let answer = office.ask(method, path, "").await;
        answer.problem(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), Some(allow), "{path}");
    }
    office.end().await;
}
