//! What is counted of queries, beside what is counted of every service's requests.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use daybook_service::http::{Count, RequestMetrics};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Figures of the queries of one process.
#[derive(Debug, Default)]
pub(super) struct QueryMetrics {
    pub(super) requests: Arc<RequestMetrics>,
    /// Requests waiting for a token now.
    pub(super) waiting: Count,
    /// Reads that take long, at work now.
    pub(super) heavy_at_work: Count,
    /// Requests that wait for such a read to begin.
    pub(super) heavy_waiting: Count,
    /// Requests whose token was not reached in time.
    pub(super) not_reached: Counter<u64, AtomicU64>,
}

impl QueryMetrics {
    /// Makes everything part of a scrape.
    pub(super) fn register(&self, registry: &mut Registry) {
        self.requests.register(registry);
        registry.register("waiting_requests", "Requests that wait for a token", self.waiting.clone());
        registry.register("heavy_reads_at_work", "Reads that take long, at work", self.heavy_at_work.clone());
        let heavy = self.heavy_waiting.clone();
        registry.register("heavy_reads_waiting", "Requests that wait for such a read to begin", heavy);
        let not_reached = self.not_reached.clone();
        registry.register("tokens_not_reached", "Requests whose token was not reached", not_reached);
    }
}
