//! Which traces are recorded.

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use crate::settings::{TraceSampler, TraceSettings};

/// The sampler that the settings name, by OpenTelemetry's definitions, and what has a recorded trace behind it.
pub(super) fn sampler(settings: &TraceSettings) -> LinksOr {
    let ratio = || Sampler::TraceIdRatioBased(settings.sampler_ratio);
    LinksOr(match settings.sampler {
        TraceSampler::AlwaysOn => Sampler::AlwaysOn,
        TraceSampler::AlwaysOff => Sampler::AlwaysOff,
        TraceSampler::TraceIdRatio => ratio(),
        TraceSampler::ParentBasedAlwaysOn => Sampler::ParentBased(Box::new(Sampler::AlwaysOn)),
        TraceSampler::ParentBasedAlwaysOff => Sampler::ParentBased(Box::new(Sampler::AlwaysOff)),
        TraceSampler::ParentBasedTraceIdRatio => Sampler::ParentBased(Box::new(ratio())),
    })
}

/// Records what recorded traces lead to, and of the rest what the sampler says: a batch is recorded exactly if one
/// of its orders is.
#[derive(Clone, Debug)]
pub(super) struct LinksOr(Sampler);

impl ShouldSample for LinksOr {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        if links.iter().any(|link| link.span_context.is_sampled()) {
            let decision = SamplingDecision::RecordAndSample;
            return SamplingResult { decision, attributes: Vec::new(), trace_state: TraceState::default() };
        }
        self.0.should_sample(parent, trace, name, kind, attributes, links)
    }
}
