//! The fastest bare consumer that can be written with our reader: readers side by side, which only count.

use std::thread;
use std::time::{Duration, Instant};

use daybook_kafka::{BatchItem, Kafka, LogError, Reader, Start};

use crate::Outcome;
use crate::loader::PARTITIONS;

/// Longest silence of the broker before a run counts as failed.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Counts the records of all topics, from offset zero to where every partition ends now.
pub(crate) fn count(kafka: &Kafka, readers: usize) -> Outcome<u64> {
    thread::scope(|scope| {
        let counting: Vec<_> = (0..readers)
            .map(|share| scope.spawn(move || count_share(kafka, &starts(share, readers))))
            .collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Outcome<u64>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        counting.into_iter().map(join).sum()
    })
}

/// One reader's partitions: all topics' partitions of one number go together.
fn starts(share: usize, readers: usize) -> Vec<Start> {
    let numbers = || (0..PARTITIONS).filter(|number| number.unsigned_abs() as usize % readers == share);
    let start = |topic: &str, partition| Start { topic: topic.to_owned(), partition, offset: 0 };
    schemas::TOPICS.iter().flat_map(|topic| numbers().map(|number| start(topic, number))).collect()
}

fn count_share(kafka: &Kafka, starts: &[Start]) -> Outcome<u64> {
    let reader = Reader::open(kafka, starts)?;
    let mut share = Share { records: 0, ended: vec![false; starts.len()] };
    let mut silent_since = None;
    while !share.ended.iter().all(|ended| *ended) {
        if share.take_some(&reader)? {
            silent_since = None;
        } else if silent_since.get_or_insert_with(Instant::now).elapsed() > SILENCE_MAX {
            return Err("the broker went silent".into());
        }
    }
    Ok(share.records)
}

/// What one reader has counted.
struct Share {
    records: u64,
    ended: Vec<bool>,
}

impl Share {
    /// Takes what comes next; returns whether something came.
    fn take_some(&mut self, reader: &Reader) -> Outcome<bool> {
        let mut came = false;
        reader.poll_batch(Duration::from_secs(1), |item| {
            came = true;
            match item {
                BatchItem::Record(_) => self.records += 1,
                BatchItem::End { source } => self.ended[source] = true,
            }
            Ok::<_, LogError>(())
        })?;
        Ok(came)
    }
}
