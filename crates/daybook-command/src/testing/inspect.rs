//! What a test sees of a running service from the inside.

use daybook_kafka::topics::TopicError;
use uuid::Uuid;

use super::service::TestService;
use crate::Aggregate;

impl<A: Aggregate> TestService<A> {
    /// Why it is not ready, if it is not.
    pub fn not_ready(&self) -> Option<String> {
        self.service().not_ready()
    }

    /// Events that were followed from other topics.
    pub fn followed_events(&self) -> u64 {
        self.service().metrics.followed_events.get()
    }

    /// How often the store could not be written.
    pub fn store_failures(&self) -> u64 {
        self.service().metrics.store_failures.get()
    }

    /// How often the store was synced.
    pub fn store_syncs(&self) -> u64 {
        self.service().metrics.store_syncs.get()
    }

    /// Commands that wait for a place.
    pub fn waiting_commands(&self) -> usize {
        self.service().slots.waiting()
    }

    /// Idempotency keys that the journal keeps.
    pub fn journal_keys(&self) -> usize {
        self.service().journal.keys()
    }

    /// By partition: up to which position events are acknowledged by Kafka, and durable.
    pub fn acknowledged_and_durable(&self) -> (Vec<u64>, Vec<u64>) {
        let snapshot = self.service().positions.snapshot();
        (snapshot.acknowledged, snapshot.durable)
    }

    /// Events in quarantine.
    pub fn quarantined_events(&self) -> u64 {
        self.service().followed.quarantine().events
    }

    /// Has the other services' topics read from where the store is.
    pub fn follow_again(&self) {
        self.service().followed.begin_again();
    }

    /// What is wrong with following, if it goes on all the same.
    pub fn following_trouble(&self) -> Option<String> {
        self.service().followed.trouble()
    }

    /// Says that a followed topic was found so.
    pub fn set_topic_faults(&self, faults: Vec<TopicError>) {
        self.service().followed.set_faults(faults);
    }

    /// Whether a decision may rest on what a table says of an aggregate that it knows.
    pub fn decides_on(&self, table: usize, id: Uuid) -> bool {
        self.service().followed.decides(table, id, true).is_ok()
    }
}
