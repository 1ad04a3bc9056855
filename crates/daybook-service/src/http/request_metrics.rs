//! Counts and durations of requests, by route and status.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::{Method, StatusCode};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::LogOnce;

/// Upper bounds in seconds: from an answer out of memory to one that waited for its token.
const BUCKETS_S: [f64; 10] = [0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.5, 2.0, 10.0];

pub type Count = Gauge<i64, AtomicI64>;

/// What is counted of requests. Routes are those of the route table, never paths as clients write them.
#[derive(Debug)]
pub struct RequestMetrics {
    answered: Family<AnswerLabels, Counter>,
    duration: Family<RouteLabels, Histogram, fn() -> Histogram>,
    at_work: Count,
    failed: Counter,
    logged: LogOnce,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    method: &'static str,
    route: Route,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: Route,
}

/// The route of a request; none for a path outside of the route table. Shared with the router: a label costs no allocation.
#[derive(Debug, Clone)]
pub struct Route(pub Option<MatchedPath>);

impl Route {
    fn as_str(&self) -> &str {
        self.0.as_ref().map_or("none", MatchedPath::as_str)
    }
}

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Route {}

impl Hash for Route {
    fn hash<H: Hasher>(&self, to: &mut H) {
        self.as_str().hash(to);
    }
}

impl EncodeLabelValue for Route {
    fn encode(&self, to: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.as_str().encode(to)
    }
}

impl Default for RequestMetrics {
    fn default() -> Self {
        Self {
            answered: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(BUCKETS_S)),
            at_work: Gauge::default(),
            failed: Counter::default(),
            logged: LogOnce::new(),
        }
    }
}

impl RequestMetrics {
    /// A request is at work for as long as what is returned lives.
    pub fn at_work(&self) -> Counted {
        Counted::new(&self.at_work)
    }

    pub fn answered(&self, method: &'static str, route: &Route, status: StatusCode, took: Duration) {
        let labels = RouteLabels { method, route: route.clone() };
        self.duration.get_or_create(&labels).observe(took.as_secs_f64());
        self.answered
            .get_or_create(&AnswerLabels { method, route: labels.route, status: status.as_u16() })
            .inc();
    }

    /// Notes why a request could not be answered. Each is counted; one of a kind a minute is logged, so that a row which many
    /// ask for does not fill the log.
    pub fn failed(&self, route: &Route, cause: &str) {
        let route = route.as_str();
        self.failed.inc();
        if let Some(more) = self.logged.say(route) {
            tracing::error!(route, "what a request asked for cannot be read: {cause}{more}");
        }
    }

    pub fn register(&self, registry: &mut Registry) {
        registry.register("http_requests", "Requests answered", self.answered.clone());
        let duration = self.duration.clone();
        registry.register_with_unit(
            "http_request_duration",
            "Time from request to answer",
            Unit::Seconds,
            duration,
        );
        registry.register("http_requests_at_work", "Requests at work", self.at_work.clone());
        registry.register("http_unreadable", "Requests for what could not be read", self.failed.clone());
    }
}

/// Methods are the client's words: others than those of HTTP share one label.
pub(super) fn label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Counts in a gauge for as long as it lives, also when a client goes away and its request is dropped.
#[derive(Debug)]
pub struct Counted(Count);

impl Counted {
    pub fn new(gauge: &Count) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
