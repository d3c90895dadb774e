//! Which topic it is: one that is deleted and made anew under the same name has another id.
//!
//! rdkafka has no safe call for what librdkafka can tell. This is the one place of the workspace that calls C itself.
#![expect(unsafe_code, reason = "rd_kafka_DescribeTopics has no safe wrapper")]

use std::{ffi::CString, fmt, ptr, time::Duration};

use rdkafka::{ClientContext, bindings as c, client::Client};
use uuid::Uuid;

use super::{ErrorCode, LogError};

const DOING: &str = "asking which topic it is";

/// The id of a topic, for as long as it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TopicId(Uuid);

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Asks Kafka for the id of `topic`. None: there is no such topic, or brokers before 2.8, which have no ids.
pub(super) fn ask<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    within: Duration,
) -> Result<Option<TopicId>, LogError> {
    let name = CString::new(topic).map_err(|_| LogError::of_code(DOING, ErrorCode::InvalidTopic))?;
    let within = i32::try_from(within.as_millis()).unwrap_or(i32::MAX);
    let rk = client.native_ptr();
    // SAFETY: `rk` lives as long as `client`, which is borrowed throughout. Whatever is made here is destroyed at the
    // end, and nobody else has it; librdkafka copies what it is given. An answer that comes later than it is waited
    // for is dropped with the queue, by librdkafka itself.
    unsafe {
        let mut names = [name.as_ptr()];
        let topics = c::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let options =
            c::rd_kafka_AdminOptions_new(rk, c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        c::rd_kafka_AdminOptions_set_request_timeout(options, within, ptr::null_mut(), 0);
        let queue = c::rd_kafka_queue_new(rk);
        c::rd_kafka_DescribeTopics(rk, topics, options, queue);
        let event = c::rd_kafka_queue_poll(queue, within);
        let answer = read(event);
        if !event.is_null() {
            c::rd_kafka_event_destroy(event);
        }
        c::rd_kafka_queue_destroy(queue);
        c::rd_kafka_AdminOptions_destroy(options);
        c::rd_kafka_TopicCollection_destroy(topics);
        answer
    }
}

/// What an answer says, which may be none.
///
/// # Safety
///
/// `event` is null, or an answer to `rd_kafka_DescribeTopics` that is not yet destroyed.
unsafe fn read(event: *mut c::rd_kafka_event_t) -> Result<Option<TopicId>, LogError> {
    if event.is_null() {
        return Err(LogError::timed_out(DOING));
    }
    // SAFETY: by the caller. What is read belongs to `event` and is copied out of it.
    unsafe {
        match c::rd_kafka_event_error(event) {
            c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {}
            failed => return Err(LogError::of_code(DOING, failed.into())),
        }
        let mut count = 0;
        let result = c::rd_kafka_event_DescribeTopics_result(event);
        let topics = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if topics.is_null() || count == 0 {
            return Err(LogError::timed_out(DOING));
        }
        let topic = *topics;
        match ErrorCode::from(c::rd_kafka_error_code(c::rd_kafka_TopicDescription_error(topic))) {
            ErrorCode::NoError => {}
            ErrorCode::UnknownTopicOrPartition => return Ok(None),
            failed => return Err(LogError::of_code(DOING, failed)),
        }
        let id = c::rd_kafka_TopicDescription_topic_id(topic);
        let (most, least) =
            (c::rd_kafka_Uuid_most_significant_bits(id), c::rd_kafka_Uuid_least_significant_bits(id));
        let id = Uuid::from_u64_pair(most.cast_unsigned(), least.cast_unsigned());
        Ok(Some(id).filter(|id| !id.is_nil()).map(TopicId))
    }
}
