//! What the checks look at: the history, the log, and what D and C say in the end. Plain data.

use std::collections::BTreeMap;

use schemas::shop::ShopEvent;
use uuid::Uuid;

use crate::history::{History, Seen};

/// One record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logged {
    /// Topic without prefix.
    pub(crate) topic: String,
    /// Kafka's partition.
    pub(crate) partition: i32,
    /// Kafka's offset.
    pub(crate) offset: i64,
    /// Position that its service gave it.
    pub(crate) position: u64,
    /// Id of the event.
    pub(crate) id: Uuid,
    /// Id of the command.
    pub(crate) correlation_id: Uuid,
    /// Id of the aggregate.
    pub(crate) aggregate: Uuid,
    /// Version of the aggregate.
    pub(crate) version: u64,
    /// When it was decided.
    pub(crate) decided_us: i64,
    /// What happened.
    pub(crate) event: ShopEvent,
}

impl Logged {
    /// Where it lies.
    pub(crate) fn place(&self) -> String {
        format!("{}/{}@{} (offset {})", self.topic, self.partition, self.position, self.offset)
    }
}

/// Takes out of the log what is said twice: same place, same event, same content. Whatever differs stays in it.
pub(crate) fn split_repeats(records: Vec<Logged>) -> (Vec<Logged>, Vec<Logged>) {
    let mut first: BTreeMap<(String, i32, u64), Logged> = BTreeMap::new();
    records.into_iter().partition(|record| {
        let place = (record.topic.clone(), record.partition, record.position);
        let earlier = first.entry(place).or_insert_with(|| record.clone());
        earlier.offset == record.offset || *earlier != Logged { offset: earlier.offset, ..record.clone() }
    })
}

/// A product as D shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenProduct {
    /// Its newest title.
    pub(crate) title: Option<String>,
    /// Whether it is no longer sold.
    pub(crate) discontinued: bool,
}

/// What service C knows of a user or product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Never heard of.
    Unknown,
    /// There.
    Present,
    /// There once.
    Gone,
}

/// Whether D's rows are those of a replay from zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    /// `projector --verify` found no difference.
    pub(crate) same: bool,
    /// What it said.
    pub(crate) said: String,
}

/// Everything that is judged.
#[derive(Debug, Clone)]
pub(crate) struct Evidence {
    /// What was asked and answered.
    pub(crate) history: History,
    /// The log, by topic and partition, in the order of offsets: records in force, without repeats.
    pub(crate) log: Vec<Logged>,
    /// Records that say once more what an earlier one says.
    pub(crate) repeats: Vec<Logged>,
    /// Records that count for nothing, because another writer had claimed their partition before them.
    pub(crate) superseded: usize,
    /// Records that are no events of the shop.
    pub(crate) unreadable: Vec<String>,
    /// D's last answer about every user of the log.
    pub(crate) users: BTreeMap<Uuid, Seen>,
    /// D's last answer about every product of the log; `None` if it knows none.
    pub(crate) products: BTreeMap<Uuid, Option<SeenProduct>>,
    /// What C says about every user and product of the log.
    pub(crate) standing: BTreeMap<Uuid, Standing>,
    /// D's rows against a replay.
    pub(crate) verified: Verified,
    /// Services that ended without being told to, and replays that found a difference.
    pub(crate) unasked: Vec<String>,
    /// Services that did not stop or start when all was at rest, and questions that they left without an answer.
    pub(crate) missing: Vec<String>,
}
