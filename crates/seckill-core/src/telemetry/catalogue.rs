//! What the two services measure: the help texts of `/metrics`, and `docs/metrics.md`, which is made from this.
//!
//! The code counts and measures where things happen; this says what it means. A test compares the two
//! (`tests/metrics.rs`), both ways.

use std::fmt::Write;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only up, from 0 at the start of the process.
    Counter,
    /// Up and down.
    Gauge,
    /// How often values fell into each of a row of ranges; their number and sum.
    Histogram,
}

/// Which process measures it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// `seckill-api`
    Api,
    /// `order-consumer`
    Consumer,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Its name, as Prometheus has it.
    pub name: &'static str,
    /// How it goes.
    pub kind: Kind,
    /// What it counts, or is measured in.
    pub unit: &'static str,
    /// Who measures it.
    pub of: &'static [Service],
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it means, in a line: the help text.
    pub help: &'static str,
    /// The operator's question that it answers.
    pub answers: &'static str,
}

/// Metrics that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Chapter {
    /// What they are of.
    pub title: &'static str,
    /// What the labels are, where that needs words.
    pub remarks: &'static str,
    /// The metrics.
    pub measures: &'static [Measure],
}

impl Kind {
    /// The word of Prometheus' text format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Service {
    /// The program's name, which is also its job in Prometheus.
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "seckill-api",
            Self::Consumer => "order-consumer",
        }
    }
}

impl Measure {
    const fn by(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }

    const fn says(self, help: Text, answers: Text) -> Self {
        Self { help, answers, ..self }
    }

    /// Gives the recorder of this process the help text.
    fn describe(&self) {
        let unit = match self.unit {
            "seconds" => Unit::Seconds,
            _ => Unit::Count,
        };
        match self.kind {
            Kind::Counter => describe_counter!(self.name, unit, self.help),
            Kind::Gauge => describe_gauge!(self.name, unit, self.help),
            Kind::Histogram => describe_histogram!(self.name, unit, self.help),
        }
    }
}

type Text = &'static str;

const API: &[Service] = &[Service::Api];
const CONSUMER: &[Service] = &[Service::Consumer];
const BOTH: &[Service] = &[Service::Api, Service::Consumer];

const fn measure(kind: Kind, name: Text, unit: Text, of: &'static [Service]) -> Measure {
    Measure { name, kind, unit, of, labels: &[], help: "", answers: "" }
}

const fn counter(name: Text, unit: Text, of: &'static [Service]) -> Measure {
    measure(Kind::Counter, name, unit, of)
}

const fn gauge(name: Text, unit: Text, of: &'static [Service]) -> Measure {
    measure(Kind::Gauge, name, unit, of)
}

const fn histogram(name: Text, unit: Text, of: &'static [Service]) -> Measure {
    measure(Kind::Histogram, name, unit, of)
}

/// All that is measured.
pub const CHAPTERS: &[Chapter] = &[
    Chapter {
        title: "Requests",
        remarks: "`path` is the template of the route (`/v1/sales/{sale}/orders`), never what a client made \
                  up; `code` is the status. Rate and errors come from the counter, durations from the histogram.",
        measures: &[
            counter("seckill_http_requests_total", "requests", API)
                .by(&["path", "code"])
                .says("Requests answered.", "How much is asked, of what, and how much of it fails?"),
            histogram("seckill_http_request_seconds", "seconds", API)
                .by(&["path"])
                .says("From the request's head to the head of its answer.", "How long do buyers wait?"),
            gauge("seckill_ready", "0 or 1", API).says(
                "1 if orders could be taken when /readyz was last asked for.",
                "Do load balancers let buyers in?",
            ),
            gauge("seckill_event_streams", "streams", API)
                .says("Event streams that are open.", "How near is SECKILL_MAX_EVENT_STREAMS?"),
        ],
    },
    Chapter {
        title: "Ledger: Redis",
        remarks: "`outcome`: `reserved`, `replayed` (a retry with the same key), `sold_out`, \
                  `sold_out_from_memory` (without asking Redis), `limit_reached`, `shut` (not open, paused, \
                  ended), `conflict` (the key came with another body), `absent`, `untrusted` (to be rebuilt), \
                  `unavailable` (certainly not taken), `unknown` (perhaps taken).",
        measures: &[
            counter("seckill_reservations_total", "orders", API)
                .by(&["outcome"])
                .says("Orders decided, by what was decided.", "Who gets units, and why do others not?"),
            histogram("seckill_ledger_batch_size", "orders", API).says(
                "Orders decided in one call of the ledger.",
                "Does batching work, and is the ledger the bottleneck?",
            ),
            histogram("seckill_ledger_call_seconds", "seconds", API).says(
                "From sending a call that decides orders to its answer, repeated or not.",
                "How fast is Redis, disk included?",
            ),
            gauge("seckill_reservation_queue_depth", "orders", API)
                .says("Orders that wait for the ledger.", "How near is SECKILL_QUEUE_CAPACITY?"),
        ],
    },
    Chapter {
        title: "Order log: Kafka",
        remarks: "Both services publish: the consumer for its keeper (outboxes) and its dead letters.",
        measures: &[
            histogram("seckill_order_log_ack_seconds", "seconds", BOTH).says(
                "From publishing an event to its acknowledgement by all in-sync replicas.",
                "How fast is Kafka?",
            ),
            counter("seckill_order_log_failures_total", "events", BOTH).says(
                "Events given up without an acknowledgement; the relay publishes them again.",
                "Does Kafka lose step?",
            ),
            counter("seckill_order_log_clients_lost_total", "clients", BOTH).says(
                "Clients replaced because they had lost all brokers of a Kafka that answers.",
                "Was Kafka away for so long that its clients gave up?",
            ),
            gauge("seckill_order_log_in_flight", "events", API)
                .says("Events on their way to the order log.", "How much hangs on Kafka now?"),
            gauge("seckill_order_log_stalled", "0 or 1", API).says(
                "1 while acknowledgements have stopped coming and no orders are taken.",
                "Does Kafka stop the sale?",
            ),
        ],
    },
    Chapter {
        title: "Consumer and store: MySQL",
        remarks: "`outcome`: `confirmed`, `duplicate` (known already), `cancelled`, `rejected` (did not fit the \
                  stock: an oversell was prevented), and the dead letters `superseded_epoch`, \
                  `conflicting_payload`, `unknown_sale`.",
        measures: &[
            counter("seckill_consumer_events_total", "events", CONSUMER).by(&["outcome"]).says(
                "Events written, by what became of them.",
                "What is confirmed, and was an oversell prevented?",
            ),
            histogram("seckill_consumer_batch_size", "events", CONSUMER).says(
                "Events read and written at once.",
                "Does batching work, and are the consumers the bottleneck?",
            ),
            histogram("seckill_consumer_batch_seconds", "seconds", CONSUMER).says(
                "From having read a batch to having its offsets stored, with all repetitions.",
                "How long is a batch under way?",
            ),
            histogram("seckill_store_write_seconds", "seconds", CONSUMER).says(
                "One transaction that writes events, from taking a connection to COMMIT or failure.",
                "How fast is MySQL?",
            ),
            histogram("seckill_consumer_confirm_seconds", "seconds", CONSUMER).says(
                "From taking an order to its COMMIT, by the clocks of Redis and the consumer.",
                "How late are orders confirmed?",
            ),
            counter("seckill_consumer_write_failures_total", "batches", CONSUMER).says(
                "Attempts at writing a batch that failed and are repeated.",
                "Does MySQL refuse or fail?",
            ),
            counter("seckill_consumer_dead_letters_total", "events", CONSUMER).says(
                "Events that cannot be stored and went to the dead-letter topic.",
                "Is there something for people to look at?",
            ),
            counter("seckill_orders_returned_total", "orders", CONSUMER).says(
                "Cancelled and rejected orders whose units went back to the ledger.",
                "Do units of cancelled orders come back?",
            ),
        ],
    },
    Chapter {
        title: "Keeper",
        remarks: "The keeper is one of the consumers. What it measures stays as it was on an instance that has \
                  stopped being the keeper: take it only `and on (instance) seckill_keeper == 1`.",
        measures: &[
            gauge("seckill_keeper", "0 or 1", CONSUMER)
                .says("1 on the instance that is the keeper.", "Is there one keeper, and which is it?"),
            counter("seckill_keeper_failures_total", "rounds", CONSUMER).says(
                "Rounds of the keeper that failed; the next one tries again.",
                "Does the keeper get its work done?",
            ),
            gauge("seckill_consumer_lag", "events", CONSUMER).says(
                "Events in the order log that the consumers have not written.",
                "How far is the store behind?",
            ),
            gauge("seckill_outbox_orders", "orders", CONSUMER).by(&["sale"]).says(
                "Orders whose event is not known to be in the order log.",
                "How much has the log not acknowledged?",
            ),
            gauge("seckill_outbox_age_seconds", "seconds", CONSUMER)
                .by(&["sale"])
                .says("Age of the oldest order in the outbox.", "Does the relay get through?"),
            counter("seckill_keeper_relayed_total", "orders", CONSUMER).says(
                "Orders that the relay published from outboxes.",
                "How often does an API leave work behind?",
            ),
            counter("seckill_keeper_rebuilds_total", "sales", CONSUMER).says(
                "Sales loaded into the ledger: first loads and rebuilds.",
                "How often is the ledger lost?",
            ),
            histogram("seckill_keeper_rebuild_seconds", "seconds", CONSUMER).says(
                "One rebuild, of all sales that needed it.",
                "How long are sales shut by a lost ledger?",
            ),
            gauge("seckill_sale_remaining", "units", CONSUMER)
                .by(&["sale"])
                .says("Units for sale, as the ledger has them.", "How much is left?"),
            gauge("seckill_drift_units", "units", CONSUMER).by(&["sale"]).says(
                "Units held in the ledger beyond those sold in the store, seen twice at rest.",
                "Is every unit accounted for?",
            ),
        ],
    },
    Chapter {
        title: "Process",
        remarks: "",
        measures: &[
            gauge("seckill_build_info", "1", BOTH)
                .by(&["version"])
                .says("Always 1; the label is what counts.", "Which version runs where?"),
            counter("seckill_trace_export_failures_total", "requests", BOTH).says(
                "Requests to the OTLP receiver that failed, and with them perhaps their spans.",
                "Do traces arrive?",
            ),
        ],
    },
];

/// Every metric.
pub fn measures() -> impl Iterator<Item = &'static Measure> {
    CHAPTERS.iter().flat_map(|chapter| chapter.measures)
}

/// Gives the recorder of this process the help texts.
pub(super) fn describe_all() {
    measures().for_each(Measure::describe);
}

/// The chapters of `docs/metrics.md`.
pub fn markdown() -> String {
    let mut text = String::new();
    for Chapter { title, remarks, measures } in CHAPTERS {
        let _ = write!(text, "\n## {title}\n\n");
        if !remarks.is_empty() {
            let _ = write!(text, "{remarks}\n\n");
        }
        text.push_str("| Metric | Type | Unit | Of | Means | Answers |\n|---|---|---|---|---|---|\n");
        for measure in *measures {
            let labels = match measure.labels {
                [] => String::new(),
                labels => format!("{{{}}}", labels.join(",")),
            };
            let of: Vec<_> = measure.of.iter().map(|service| service.name()).collect();
            let Measure { name, kind, unit, help, answers, .. } = measure;
            let (kind, of) = (kind.name(), of.join(", "));
            let _ = writeln!(text, "| `{name}{labels}` | {kind} | {unit} | {of} | {help} | {answers} |");
        }
    }
    text
}
