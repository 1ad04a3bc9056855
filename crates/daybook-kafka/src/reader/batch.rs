//! Reading many records in one call.

use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;

use super::Reader;
use super::native::{Found, Message};
use super::partition_reader::PartitionReader;
use crate::LogError;

pub enum BatchItem<'a> {
    Record(BatchRecord<'a>),
    /// As [`crate::Polled::End`].
    End {
        /// Index into the starts given to [`Reader::open`].
        source: usize,
    },
}

/// A record of a batch, there while it is visited. Nothing is copied.
#[derive(Clone, Copy)]
pub struct BatchRecord<'a> {
    source: usize,
    message: &'a Message,
}

impl<'a> BatchRecord<'a> {
    pub fn source(&self) -> usize {
        self.source
    }

    pub fn offset(&self) -> i64 {
        self.message.offset()
    }

    pub fn key(&self) -> Option<&'a [u8]> {
        self.message.key()
    }

    pub fn value(&self) -> Option<&'a [u8]> {
        self.message.value()
    }

    /// As [`crate::Record::headers`].
    pub fn headers(&self) -> Vec<(String, Vec<u8>)> {
        self.message.headers()
    }
}

impl Reader {
    /// Visits what one partition's queue holds, a bounded run of it, record by record in order; blocks for at most
    /// `timeout` until there is something. Nothing is visited if the time has passed, or (earlier) after passing trouble, as
    /// with [`crate::Polled::Nothing`]. Costs next to nothing per record, unlike [`Reader::poll`], with which it may be mixed.
    /// Errors: What `visit` returns, which ends the batch (what was not visited comes next time); and as [`Reader::poll`],
    /// after what came before the error was visited.
    pub fn poll_batch<E: From<LogError>>(
        &self,
        timeout: Duration,
        mut visit: impl FnMut(BatchItem<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let deadline = Instant::now() + timeout;
        loop {
            self.wake.clear();
            let mut more = false;
            for _ in 0..self.sources.len() {
                // A batch is a whole run.
                self.next_turn();
                match self.visit_run(&mut visit)? {
                    Found::Messages => return Ok(()),
                    Found::Internals => more = true,
                    Found::Nothing => {}
                }
            }
            // What lies in a queue already wakes nobody.
            if !more && !self.wake.wait_until(deadline) {
                return Ok(());
            }
        }
    }

    // Of the source whose turn it is.
    fn visit_run<E: From<LogError>>(
        &self,
        visit: &mut impl FnMut(BatchItem<'_>) -> Result<(), E>,
    ) -> Result<Found, E> {
        let index = self.turn.get().source;
        let Some(source) = self.sources.get(index) else { return Ok(Found::Nothing) };
        let mut result = Ok(());
        let found = source.native.visit(source.partition, |message| {
            result = self.batch_item(index, source, message).map_err(E::from).and_then(|item| match item {
                Some(item) => visit(item),
                None => Ok(()),
            });
            result.is_ok()
        });
        result.map(|()| found)
    }

    fn batch_item<'a>(
        &self,
        index: usize,
        source: &PartitionReader,
        message: &'a Message,
    ) -> Result<Option<BatchItem<'a>>, LogError> {
        match message.error() {
            None => {
                source.next_offset.set(message.offset() + 1);
                Ok(Some(BatchItem::Record(BatchRecord { source: index, message })))
            }
            Some(RDKafkaErrorCode::PartitionEOF) => Ok(Some(BatchItem::End { source: index })),
            Some(code) => {
                let fatal = code == RDKafkaErrorCode::Fatal;
                self.read_error(source, code, fatal).map_or(Ok(None), Err)
            }
        }
    }
}
