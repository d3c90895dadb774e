//! `migrate` and `topics create`: what a new installation needs. Both may run any number of times.

use seckill_core::{
    order_log::topics::{self, TopicOutcome},
    store,
};
use serde_json::json;

use crate::{failure::Failure, output::Report, surroundings::Surroundings};

/// Brings the schema up to date.
pub async fn migrate(all: &Surroundings) -> Result<Report, Failure> {
    let applied = store::migrate(&all.database).await?;
    let text = match applied.as_slice() {
        [] => "the schema is up to date".to_owned(),
        applied => format!("applied {}", applied.join(", ")),
    };
    Ok(Report::new(text, &json!({ "applied": applied })))
}

/// Makes the topics that are not there.
pub async fn create_topics(all: &Surroundings) -> Result<Report, Failure> {
    let outcomes = topics::create(&all.kafka, &all.topics).await?;
    let (mut lines, mut json) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        let (name, created) = match outcome {
            TopicOutcome::Created(name) => (name, true),
            TopicOutcome::Existed(name) => (name, false),
        };
        lines.push(format!("{name}: {}", if created { "created" } else { "there already, left as it is" }));
        json.push(json!({ "topic": name, "created": created }));
    }
    Ok(Report::new(lines.join("\n"), &json!({ "topics": json })))
}
