//! A client of an event stream.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use crate::{answer::Answer, world::RunningApi};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(15);

pub struct Listening {
    response: reqwest::Response,
    buffer: String,
}

#[derive(Debug)]
pub struct Event {
    pub name: String,
    pub id: Option<String>,
    pub data: Value,
}

impl Listening {
    /// Opens the stream at `path`, or gives what was answered instead.
    pub async fn to(api: &RunningApi, path: &str, last_event_id: Option<&str>) -> Result<Self, Answer> {
        let mut request = reqwest::Client::new().get(format!("http://{}{path}", api.address));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.unwrap();
        if response.status() != 200 {
            return Err(Answer::of(response).await);
        }
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!((&*header("content-type"), &*header("cache-control")), ("text/event-stream", "no-store"));
        Ok(Self { response, buffer: String::new() })
    }

    /// The next event; none: the stream has ended.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.next_block().await?;
            if !block.starts_with(':') {
                return Some(parse(&block));
            }
        }
    }

    /// What comes next: an event or a comment, as text.
    pub async fn next_block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let block = self.buffer.drain(..end + 2).as_str().trim_end().to_owned();
                return Some(block);
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("a heartbeat at least");
            self.buffer.push_str(std::str::from_utf8(&chunk.unwrap()?).unwrap());
        }
    }
}

fn parse(block: &str) -> Event {
    let field = |name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.map(str::to_owned)
    };
    let data = field("data").unwrap_or_else(|| panic!("no data in {block:?}"));
    Event { name: field("event").unwrap(), id: field("id"), data: serde_json::from_str(&data).unwrap() }
}
