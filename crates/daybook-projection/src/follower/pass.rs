//! One pass over the log: from given offsets on, until something ends it.

use std::time::{Duration, Instant};

use daybook_event::event_data::EventData;
use daybook_event::sequence::SequenceError;
use daybook_kafka::{Polled, Reader, Record};

use super::catching::Catching;
use super::following::Following;
use super::log::Found;
use crate::engine::Incoming;
use crate::stop::StopReason;

const IDLE_POLL: Duration = Duration::from_millis(100);
/// How long an event may wait for its commit while more keep coming.
const COMMIT_AFTER: Duration = Duration::from_millis(50);

pub(super) type RecordPlace = (usize, i64);

pub(super) enum Ended {
    /// The request to stop.
    Asked,
    /// Something that no further reading repairs; the rows before it can be committed.
    Stopped(StopReason),
    /// Events have left the quarantine; or it is doubted that the log is still the one that is followed.
    ReadAgain,
    /// The log is perhaps no longer what it was: an offset is gone, or a record comes too early, and this is where the
    /// one before it lay.
    Moved(Option<RecordPlace>, StopReason),
    /// A partition is answered for that was left out: where its next event is now is to be looked for.
    Returned,
}

impl<E: EventData> Following<E> {
    /// Reads what was found, and commits; returns why it goes no further.
    pub(super) fn pass(&mut self, catching: &mut Catching, found: &Found) -> Ended {
        for (source, start) in found.here.iter().zip(&found.starts) {
            self.engine.go_on_at(*source, start.offset);
        }
        catching.learn(&found.log);
        catching.hear_anew();
        // Of a look before this place was found.
        let _before = self.findings.doubt.take();
        self.findings.readings.begin(self.engine.counted());
        let ended = match Reader::open(&self.kafka, &found.starts) {
            Ok(reader) => self.read(&reader, found, catching),
            Err(error) => Err(Ended::Stopped(error.into())),
        };
        match ended {
            Ok(()) => Ended::Asked,
            Err(ended) => ended,
        }
    }

    fn read(&mut self, reader: &Reader, found: &Found, catching: &mut Catching) -> Result<(), Ended> {
        let mut commit_at = None;
        while !self.stopping.requested() {
            self.attend()?;
            let due = match self.poll(reader)? {
                Polled::Record(record) => {
                    let source = found.here[record.source()];
                    catching.hear(source);
                    self.apply(source, &record)?;
                    let commit_at = *commit_at.get_or_insert_with(|| Instant::now() + COMMIT_AFTER);
                    self.engine.full() || Instant::now() >= commit_at
                }
                Polled::End { source } => {
                    catching.hear(found.here[source]);
                    catching.reach(found.here[source]);
                    self.findings.readings.reach(found.here[source]);
                    false
                }
                Polled::Nothing => true,
            };
            if due {
                commit_at = None;
                self.settle(found, catching)?;
            }
        }
        Ok(())
    }

    fn attend(&mut self) -> Result<(), Ended> {
        match self.repair().map_err(Ended::Stopped)? {
            true => Err(Ended::ReadAgain),
            false => Ok(()),
        }
    }

    fn poll<'r>(&self, reader: &'r Reader) -> Result<Polled<'r>, Ended> {
        // With rows to commit, only what is there already is taken along.
        let timeout = if self.engine.uncommitted() { Duration::ZERO } else { IDLE_POLL };
        reader.poll(timeout).map_err(|error| match Self::may_have_moved(&error) {
            true => Ended::Moved(None, error.into()),
            false => Ended::Stopped(error.into()),
        })
    }

    /// Commits what has been read, and looks whether the topics are still fit to be projected.
    fn settle(&mut self, found: &Found, catching: &mut Catching) -> Result<(), Ended> {
        self.commit().map_err(Ended::Stopped)?;
        self.tell_how_it_goes(catching);
        self.engine.tell_set_aside();
        self.findings.readings.read(self.engine.counted());
        if let Some(reason) = self.findings.doubt.take() {
            tracing::warn!("the place in the log is looked for again: {reason}");
            return Err(Ended::ReadAgain);
        }
        match self.findings.unfit.take() {
            Some(reason) => Err(Ended::Stopped(reason)),
            None if self.is_back(found) => Err(Ended::Returned),
            None => Ok(()),
        }
    }

    fn is_back(&self, found: &Found) -> bool {
        !found.left_out.is_empty() && {
            let away = &self.progress.borrow().away;
            found.left_out.iter().any(|source| !away.contains_key(source))
        }
    }

    fn apply(&mut self, source: usize, record: &Record<'_>) -> Result<(), Ended> {
        let offset = record.offset();
        let incoming = Incoming { source, offset, key: record.key(), value: record.value() };
        match self.engine.apply(&self.generation, incoming, || record.headers()) {
            Ok(()) => Ok(()),
            Err(reason @ StopReason::Sequence { error: SequenceError::Gap { .. }, .. }) => {
                Err(Ended::Moved(Some((source, self.engine.resume_offset(source))), reason))
            }
            Err(reason) => Err(Ended::Stopped(reason)),
        }
    }
}
