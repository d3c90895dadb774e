//! What a server answered.

use reqwest::header::HeaderMap;
use serde_json::Value;

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.text().await.unwrap() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Asserts that this is the refusal `code`, in the shape of the contract; gives its body.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{code} expected: {}", self.body);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["type"], format!("/problems/{code}"));
        assert_eq!(body["status"], status);
        for text in ["title", "detail"] {
            assert!(body[text].as_str().is_some_and(|text| !text.is_empty()), "no {text}: {body}");
        }
        assert_eq!(body["errors"].is_array(), status == 422, "{body}");
        let retries = matches!(status, 429 | 503);
        let after = self.header("retry-after").map(|seconds| seconds.parse::<u32>().unwrap());
        assert_eq!(after.is_some_and(|seconds| seconds > 0), retries, "Retry-After: {after:?}");
        body
    }

    /// Asserts that it is one of the store's refusals of a field, and that it names just that one.
    #[track_caller]
    pub fn names_field(&self, field: &str) {
        let body = self.problem(422, "validation-failed");
        let errors = body["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{body}");
        assert_eq!(errors[0]["field"], field);
        assert!(errors[0]["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    }
}
