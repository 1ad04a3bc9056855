//! Whether a journal that ends too early may be gone on with: if the log has what is missing. Why one may not, or its index.
//!
//! A torn end is what a power cut leaves of a record that nobody was told of; it is cut off. But if the index has taken
//! the record, or the log has events that the journal lacks, it was acknowledged, and the journal is damaged.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::{fmt, io};

use daybook_journal::{OpenError, ReadError};
use daybook_store::StoreError;
use uuid::Uuid;

use crate::store::rows::RowError;

/// Most events of one record: what fits into it of the smallest that there are.
const RECORD_EVENTS_MAX: u64 = (daybook_journal::RECORD_BYTES_MAX / 256) as u64;

/// How far each has got. Positions are those of the next event, per partition.
pub(super) struct Ends<'a> {
    pub(super) journal: &'a [u64],
    pub(super) index: Option<Vec<u64>>,
    pub(super) log: &'a [u64],
    /// Whether the journal ends with something that is no whole record.
    pub(super) is_torn: bool,
    /// Whether the index has taken a record that the journal does not have.
    pub(super) index_is_ahead: bool,
    /// Whether the log goes on where the journal ends: with its last events, and not with those of another writer.
    pub(super) continues: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// Nothing is missing. Where the log has more nevertheless, the comparison of both says so.
    Whole,
    /// The journal has lost its end, and the log has all its events.
    InLog,
}

/// Events that were acknowledged, and are neither in the journal nor in the log: partitions, and positions of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(pub Vec<(usize, RangeInclusive<u64>)>);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (partition, positions)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(
                f,
                "{comma}positions {} to {} of partition {partition}",
                positions.start(),
                positions.end()
            )?;
        }
        write!(f, " were decided and are neither in the journal nor in the log")
    }
}

pub(super) fn judge(ends: &Ends<'_>) -> Result<Judged, Missing> {
    let ahead: u64 =
        ends.log.iter().zip(ends.journal).map(|(log, journal)| log.saturating_sub(*journal)).sum();
    // Of what was torn, the log can have one record. If it has more, this is an old copy, torn when it was made.
    let of_the_torn = ends.is_torn && (1..=RECORD_EVENTS_MAX).contains(&ahead);
    if !ends.continues || !(ends.index_is_ahead || of_the_torn) {
        return Ok(Judged::Whole);
    }
    let index = ends.index.as_deref().unwrap_or_default();
    let ends = ends.journal.iter().zip(ends.log).zip(index).enumerate();
    let missing = ends.filter_map(|(partition, ((journal, log), index))| {
        let from = *journal.max(log);
        (*index > from).then(|| (partition, from..=index - 1))
    });
    let missing: Vec<_> = missing.collect();
    if missing.is_empty() { Ok(Judged::InLog) } else { Err(Missing(missing)) }
}

const REMEDY: &str = "; if that does not pass, keep a copy of the service's directory, then start with --recover to rebuild it from \
                      the log and what of the journal can be read";

#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    #[error("{}{}", .0, remedy(.0))]
    Journal(#[from] OpenError),
    #[error("{0}; the store was being opened, and is again as soon as the disk lets it")]
    Store(#[from] RowError),
    #[error("{0}{REMEDY}")]
    Read(#[from] ReadError),
    #[error(
        "the store in {dir} was made of journal {index}, and the journal beside it is {journal}: bring back what belongs together, or \
         move {dir}/index away, which is built again from the log and the journal"
    )]
    OtherJournal { dir: String, index: Uuid, journal: Uuid },
    #[error(
        "the store in {dir} was made of journal {index}, and there is no journal beside it: bring {dir}/journal back; without it, what \
         Kafka does not have is lost. If nothing brings it back, start with --recover, which takes what the log has"
    )]
    NoJournal { dir: String, index: Uuid },
    #[error(
        "there is no journal in {dir}, and this directory has written to the topic before (epoch {epoch}): bring {dir}/journal back; without \
         it, what Kafka does not have is lost. If nothing brings it back, or a --recover was interrupted, start with --recover, which takes \
         what the log has"
    )]
    NothingKept { dir: String, epoch: u32 },
    #[error("the index in {} cannot be put aside: {source}", dir.display())]
    Aside { dir: PathBuf, source: io::Error },
    #[error(
        "the index in {} cannot be read, and the disk takes no writes: {source}; it is opened again as soon as it does", dir.display()
    )]
    NoRoom { dir: PathBuf, source: io::Error },
    #[error(
        "the store in {dir} belongs to the Kafka cluster {known}, and the brokers are of cluster {found}: correct --brokers; or, if the \
         topics were moved there, start with --adopt-cluster, which compares them with the store as at every start and sends again what \
         they lack"
    )]
    OtherCluster { dir: String, known: String, found: String },
    #[error(
        "the journal in {dir} has lost its end: {missing}, nor is what may have been decided after them{REMEDY}"
    )]
    End { dir: String, missing: Missing },
    #[error(
        "{damage}: {missing}{REMEDY}. What was decided behind them in these partitions and was not sent is given up by that as well, since \
         the log takes nothing behind a gap"
    )]
    Unsent { damage: String, missing: Missing },
    #[error(
        "{damage}: whether the event at position {position} of partition {partition}, with which the log ends, is the one that was decided \
         here is unknown without it{REMEDY}"
    )]
    Unknown { damage: String, partition: usize, position: u64 },
}

fn remedy(error: &OpenError) -> &'static str {
    if error.is_damage() { REMEDY } else { "" }
}

impl From<StoreError> for KeptError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(
        journal: [u64; 2],
        index: Option<[u64; 2]>,
        log: [u64; 2],
        (is_torn, index_is_ahead): (bool, bool),
    ) -> Result<Judged, Missing> {
        let index = index.map(|index| index.to_vec());
        judge(&Ends { journal: &journal, index, log: &log, is_torn, index_is_ahead, continues: true })
    }

    #[test]
    fn a_torn_end_that_nobody_knows_of_is_cut_off() {
        for log in [[3, 0], [3, 5]] {
            assert_eq!(judged([3, 5], Some([3, 5]), log, (true, false)), Ok(Judged::Whole));
            assert_eq!(judged([3, 5], None, log, (true, false)), Ok(Judged::Whole));
        }
    }

    #[test]
    fn an_end_that_the_log_has_is_taken_from_there() {
        assert_eq!(judged([3, 5], Some([3, 6]), [3, 6], (true, true)), Ok(Judged::InLog));
        assert_eq!(judged([3, 5], Some([3, 6]), [2, 6], (false, true)), Ok(Judged::InLog), "some is unsent");
        assert_eq!(judged([3, 5], None, [3, 6], (true, false)), Ok(Judged::InLog));
    }

    #[test]
    fn an_end_that_is_nowhere_is_named() {
        let ahead = judged([3, 5], Some([3, 8]), [3, 4], (true, true));
        assert_eq!(ahead, Err(Missing(vec![(1, 5..=7)])));
        let ahead = judged([3, 5], Some([5, 8]), [3, 6], (false, true));
        let missing = Missing(vec![(0, 3..=4), (1, 6..=7)]);
        let said = missing.to_string();
        assert_eq!(ahead, Err(missing));
        assert!(said.contains("positions 3 to 4 of partition 0, positions 6 to 7 of partition 1"), "{said}");
    }

    #[test]
    fn a_torn_copy_of_long_ago_and_a_fork_are_for_the_comparison_to_judge() {
        let more = 5 + RECORD_EVENTS_MAX;
        assert_eq!(judged([3, 5], Some([3, 5]), [3, more], (true, false)), Ok(Judged::InLog));
        assert_eq!(judged([3, 5], Some([3, 5]), [3, more + 1], (true, false)), Ok(Judged::Whole));
        let forked = Ends {
            journal: &[5],
            index: Some(vec![6]),
            log: &[6],
            is_torn: true,
            index_is_ahead: true,
            continues: false,
        };
        assert_eq!(judge(&forked), Ok(Judged::Whole));
    }

    #[test]
    fn a_log_that_has_more_than_a_whole_journal_is_for_the_comparison_to_judge() {
        assert_eq!(judged([3, 5], Some([3, 5]), [3, 9], (false, false)), Ok(Judged::Whole));
    }
}
