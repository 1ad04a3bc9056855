//! Counts and durations of requests, by route and status.

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use axum::http::StatusCode;
use daybook_service::LogOnce;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds in seconds: from an answer out of memory to one that waited for its token.
const BUCKETS_S: [f64; 10] = [0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.5, 2.0, 10.0];

/// A number that goes up and down.
pub(super) type Count = Gauge<i64, AtomicI64>;

/// What is counted of requests. Routes are those of the route table, never paths as clients write them.
#[derive(Debug)]
pub(super) struct RequestMetrics {
    answered: Family<Answered, Counter>,
    duration: Family<Route, Histogram, fn() -> Histogram>,
    /// Requests at work now.
    pub(super) at_work: Count,
    /// Requests waiting for a token now.
    pub(super) waiting: Count,
    /// Reads that take long, at work now.
    pub(super) heavy_at_work: Count,
    /// Requests that wait for such a read to begin.
    pub(super) heavy_waiting: Count,
    /// Requests whose token was not reached in time.
    pub(super) not_reached: Counter<u64, AtomicU64>,
    /// Requests for rows that could not be read.
    pub(super) unreadable: UnreadableRows,
}

/// Requests for rows that could not be read. Each is counted; one a minute is logged, so that a row which many ask for does
/// not fill the log.
#[derive(Debug, Default)]
pub(super) struct UnreadableRows {
    count: Counter<u64, AtomicU64>,
    said: LogOnce,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

impl Default for RequestMetrics {
    fn default() -> Self {
        Self {
            answered: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(BUCKETS_S)),
            at_work: Gauge::default(),
            waiting: Gauge::default(),
            heavy_at_work: Gauge::default(),
            heavy_waiting: Gauge::default(),
            not_reached: Counter::default(),
            unreadable: UnreadableRows::default(),
        }
    }
}

impl UnreadableRows {
    pub(super) fn note(&self, route: &str, cause: &str) {
        self.count.inc();
        if let Some(more) = self.said.say("unreadable") {
            let so_far = self.count.get();
            tracing::error!(route, so_far, "the read model cannot be read: {cause}{more}");
        }
    }
}

impl RequestMetrics {
    /// Notes one answer.
    pub(super) fn answered(&self, route: &str, status: StatusCode, took: Duration) {
        let route = route.to_owned();
        self.duration.get_or_create(&Route { route: route.clone() }).observe(took.as_secs_f64());
        self.answered.get_or_create(&Answered { route, status: status.as_u16() }).inc();
    }

    /// Makes everything part of a scrape.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("http_requests", "Requests answered", self.answered.clone());
        registry.register("http_request_seconds", "Time from request to answer", self.duration.clone());
        registry.register("http_requests_at_work", "Requests at work", self.at_work.clone());
        registry.register("waiting_requests", "Requests that wait for a token", self.waiting.clone());
        registry.register("heavy_reads_at_work", "Reads that take long, at work", self.heavy_at_work.clone());
        registry.register(
            "heavy_reads_waiting",
            "Requests that wait for such a read to begin",
            self.heavy_waiting.clone(),
        );
        registry.register(
            "tokens_not_reached",
            "Requests whose token was not reached",
            self.not_reached.clone(),
        );
        let unreadable = self.unreadable.count.clone();
        registry.register("unreadable", "Requests for rows that could not be read", unreadable);
    }
}
