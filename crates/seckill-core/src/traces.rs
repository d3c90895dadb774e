//! Traces: where the time of one order goes, from the request to the COMMIT. Why it is done so:
//! `docs/adr/0010-traces-decided-at-the-edge.md`.
//!
//! Whether a trace is recorded is decided where it begins, and what is not recorded is `None` from there on: it
//! costs an order a look at an `Option` wherever it comes by. Spans are values, which travel with an order from the
//! connection's thread to the ledger's task and Kafka's thread, and end where they are dropped.
//!
//! Each adapter makes its own spans ([`Call::record`](crate::ledger::Call::record), `order_log/traced.rs`,
//! [`store::record_write`](crate::store::record_write)); this module is the only one that knows OpenTelemetry.

mod delivery;
mod sampling;

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, TextMapPropagator},
    trace::{
        Link, Span as _, SpanBuilder, SpanContext, Status, TraceContextExt, TraceFlags, TraceState,
        Tracer as _, TracerProvider as _,
    },
};
pub use opentelemetry::{Value, trace::SpanKind as Kind};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider, Span as SdkSpan},
};
use uuid::Uuid;

use crate::settings::{SettingsError, TraceSettings};

/// Name of the header, in HTTP and in Kafka (W3C Trace Context).
pub const TRACEPARENT: &str = "traceparent";

/// Most links of one span: as many as a batch of the consumer has events.
const MAX_LINKS: u32 = 1024;
/// How long the last spans may take to be delivered at a stop.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// Where this process begins its spans. A process has one, as it has one recorder of metrics and one of logs.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// The delivery of traces, for as long as the process runs.
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Begins to record and deliver traces of `service`, if the settings name a receiver.
    pub fn start(settings: &TraceSettings, service: &'static str) -> Result<Self, SettingsError> {
        let Some(processor) = delivery::processor(settings)? else { return Ok(Self(None)) };
        let name = settings.service_name.clone().unwrap_or_else(|| service.to_owned());
        let resource = Resource::builder_empty()
            .with_attributes([
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
            ])
            .with_attributes(settings.resource_attributes().map(|(key, value)| KeyValue::new(key, value)))
            .with_attribute(KeyValue::new("service.name", name));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(sampling::sampler(settings))
            .with_max_links_per_span(MAX_LINKS)
            .with_resource(resource.build())
            .build();
        let first = TRACER.set(provider.tracer("seckill")).is_ok();
        assert!(first, "a process starts its traces once");
        Ok(Self(Some(provider)))
    }

    /// Delivers what is still to be delivered, for a second at most, and records nothing more. Blocks.
    pub fn stop(self) {
        if let Some(Err(error)) = self.0.map(|provider| provider.shutdown_with_timeout(STOP_WITHIN)) {
            tracing::warn!(%error, "the last traces were not delivered");
        }
    }
}

/// Whether this process records traces at all.
pub fn are_on() -> bool {
    TRACER.get().is_some()
}

/// Begins a trace; none: it is not recorded.
pub fn root(kind: Kind, name: impl Into<Cow<'static, str>>) -> Option<Span> {
    begin(SpanBuilder::from_name(name).with_kind(kind), &Context::new())
}

/// Begins a trace that many others lead to; it is recorded if one of them is.
pub fn linked(kind: Kind, name: impl Into<Cow<'static, str>>, from: &[TraceContext]) -> Option<Span> {
    let links = from.iter().map(|context| Link::with_context((*context.0).clone())).collect();
    begin(SpanBuilder::from_name(name).with_kind(kind).with_links(links), &Context::new())
}

/// Goes on with the trace of a `caller` who has one, or begins one; none: it is not recorded.
pub fn served(name: impl Into<Cow<'static, str>>, caller: Option<&TraceContext>) -> Option<Span> {
    match caller {
        Some(caller) => caller.child(Kind::Server, name),
        None => root(Kind::Server, name),
    }
}

fn begin(builder: SpanBuilder, parent: &Context) -> Option<Span> {
    let span = TRACER.get()?.build_with_context(builder, parent);
    span.is_recording().then(|| Span(Box::new(span)))
}

/// A place in a trace that others can go on from. As wide as a pointer: orders carry it along, and most have none.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceContext(Arc<SpanContext>);

impl TraceContext {
    /// Reads a `traceparent` header; one that is not well formed counts as none.
    pub fn parse(traceparent: &str) -> Option<Self> {
        if !has_the_shape(traceparent) {
            return None;
        }
        let context =
            TraceContextPropagator::new().extract_with_context(&Context::new(), &Header(traceparent));
        let span = context.span().span_context().clone();
        span.is_valid().then(|| Self(Arc::new(span)))
    }

    /// The same place, said to be recorded by nobody.
    #[must_use]
    pub fn unrecorded(&self) -> Self {
        let (trace, span) = (self.0.trace_id(), self.0.span_id());
        Self(Arc::new(SpanContext::new(trace, span, TraceFlags::NOT_SAMPLED, true, TraceState::NONE)))
    }

    /// A span below this place; none: it is not recorded.
    pub fn child(&self, kind: Kind, name: impl Into<Cow<'static, str>>) -> Option<Span> {
        begin(SpanBuilder::from_name(name).with_kind(kind), &self.parent())
    }

    /// The same, of something that began before.
    pub fn child_since(
        &self,
        began: SystemTime,
        kind: Kind,
        name: impl Into<Cow<'static, str>>,
    ) -> Option<Span> {
        begin(SpanBuilder::from_name(name).with_kind(kind).with_start_time(began), &self.parent())
    }

    /// A span of the log: every line inside it carries the ids of this place.
    pub fn log_scope(&self) -> tracing::Span {
        // Of the highest level, so that whoever lets a line through lets its ids through.
        tracing::error_span!("trace", trace_id = %self.0.trace_id(), span_id = %self.0.span_id())
    }

    fn parent(&self) -> Context {
        Context::new().with_remote_span_context((*self.0).clone())
    }
}

/// As a `traceparent` header.
impl fmt::Display for TraceContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (self.0.trace_id(), self.0.span_id());
        write!(formatter, "00-{trace}-{span}-{:02x}", u8::from(self.0.is_sampled()))
    }
}

/// A span that is recorded. It ends when it is dropped.
pub struct Span(Box<SdkSpan>);

impl Span {
    /// Where others can go on from.
    pub fn context(&self) -> TraceContext {
        TraceContext(Arc::new(self.0.span_context().clone()))
    }

    /// Renames it.
    pub fn rename(&mut self, name: String) {
        self.0.update_name(name);
    }

    /// Says something about it. Names are those of OpenTelemetry's semantic conventions; our own begin with
    /// `seckill.`.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.set_attribute(KeyValue::new(name, value));
    }

    /// Says that it led to, or came from, another one.
    pub fn link(&mut self, other: &TraceContext) {
        self.0.add_link((*other.0).clone(), Vec::new());
    }

    /// Says that it failed, and how: `error` is one of a few words.
    pub fn fail(&mut self, error: &'static str, why: String) {
        self.set("error.type", error);
        self.0.set_status(Status::error(why));
    }

    /// Ends it now; its place can still be asked for.
    pub fn end(&mut self) {
        self.0.end();
    }

    /// Ends it as of then.
    pub fn end_at(mut self, at: SystemTime) {
        self.0.end_with_timestamp(at);
    }
}

/// Whether the fields of a `traceparent` are as long as they must be, and of the digits that they must be of: the
/// library reads numbers, and is content with fewer digits or a sign. Version 00 has these four; later ones may have
/// more.
fn has_the_shape(traceparent: &str) -> bool {
    let mut fields = traceparent.split('-');
    let four = [2, 32, 16, 2].into_iter().all(|digits| {
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        fields.next().is_some_and(|field| field.len() == digits && field.bytes().all(is_digit))
    });
    four && (fields.next().is_none() || !traceparent.starts_with("00-"))
}

/// One header, as what a propagator reads.
struct Header<'a>(&'a str);

impl Extractor for Header<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_and_written() {
        for header in [
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
        ] {
            assert_eq!(TraceContext::parse(header).unwrap().to_string(), header);
        }
    }

    #[test]
    fn p6_a_header_that_is_not_well_formed_counts_as_none() {
        for header in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-+0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "买-买-买-买",
        ] {
            assert_eq!(TraceContext::parse(header), None, "{header}");
        }
    }

    #[test]
    fn nothing_is_recorded_where_nothing_was_started() {
        assert!(!are_on());
        let caller = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert!(served("/", caller.as_ref()).is_none());
        assert!(root(Kind::Internal, "relay").is_none());
        assert!(linked(Kind::Client, "receive", &[caller.unwrap()]).is_none());
    }
}
