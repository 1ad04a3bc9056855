//! What the checks look at: the history, the log, and what D and C say in the end. Plain data.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use schemas::ShopEvent;
use uuid::Uuid;

use crate::history::{History, Seen, SeenProduct};

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

/// A time in which nobody may have been held up: a broker was away, and others had taken over. In microseconds since the
/// campaign began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quiet {
    /// Its beginning.
    pub(crate) from_us: u64,
    /// Its end.
    pub(crate) to_us: u64,
}

impl Quiet {
    /// Whether something began and ended in it.
    pub(crate) fn holds(&self, began_us: u64, ended_us: u64) -> bool {
        self.from_us <= began_us && ended_us <= self.to_us
    }
}

/// What was done to the disk of a service, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DiskFault {
    /// It had no room for a while.
    Full(FullDisk),
    /// One write or sync failed.
    Failed(FailedDisk),
    /// There was no index, or none to be trusted, when the service was started.
    NoIndex {
        /// Name of the service.
        service: &'static str,
        /// Whether it said that it had built the index again.
        built_again: bool,
    },
}

/// What a service did while its disk had no room, and afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FullDisk {
    /// Name of the service.
    pub(crate) service: &'static str,
    /// Whether it refused a command because of that.
    pub(crate) refused: bool,
    /// Whether it decided one after that, before there was room.
    pub(crate) decided: bool,
    /// Its answer to whether it lives.
    pub(crate) live: Option<u16>,
    /// D's answer to a question meanwhile.
    pub(crate) query: Option<u16>,
    /// Whether the same process decided commands again once there was room.
    pub(crate) went_on: bool,
}

/// What a service did when one write or sync failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedDisk {
    /// Name of the service.
    pub(crate) service: &'static str,
    /// Of what the call was.
    pub(crate) part: Part,
    /// Exit code and last line of the process, if it ended.
    pub(crate) ended: Option<(Option<i32>, String)>,
}

/// What a command service has on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// What counts.
    Journal,
    /// What is made of it, and of the log.
    Index,
}

impl Display for Part {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Journal => "journal",
            Self::Index => "index",
        })
    }
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
    /// D's rows against a replay: after a generation was damaged, and in the end.
    pub(crate) verified: Vec<Verified>,
    /// When nobody may have been held up.
    pub(crate) quiet: Vec<Quiet>,
    /// Services that ended without being told to, and replays that found a difference.
    pub(crate) unasked: Vec<String>,
    /// Faults of disks, and what came of each.
    pub(crate) disk_faults: Vec<DiskFault>,
    /// How often an index was built again.
    pub(crate) indexes_built: usize,
    /// Services that did not stop or start when all was at rest, and questions that they left without an answer.
    pub(crate) missing: Vec<String>,
}
