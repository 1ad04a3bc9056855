//! Reading: given partitions from given offsets, without a consumer group.
//!
//! Each partition has a queue of its own inside librdkafka. Whatever comes out of a queue (a record, the end of the
//! partition, an error) therefore belongs to a known source, without looking at a topic's name; librdkafka's shared
//! queue would report the end of "partition 3" without saying of which topic. The queues are emptied in turn, a bounded
//! run each, so that the partitions advance side by side.

mod batch;
mod native;
mod partition_reader;
mod spans;

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use partition_reader::{PartitionReader, Turn, Wake, assign};
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _};

use crate::client::Context;
use crate::{FetchAhead, Kafka, LogError};
pub use batch::{BatchItem, BatchRecord};
pub use spans::{Span, read_spans, read_spans_until};

/// How long an error's details (what the partition still holds) may take to learn.
const DETAIL_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    pub topic: String,
    pub partition: i32,
    /// The first offset to read; the partition's end offset is allowed and means "only what comes".
    pub offset: i64,
}

/// An open consumer of explicitly assigned partitions. It belongs to one thread at a time.
pub struct Reader {
    // Declared before `consumer`: librdkafka wants its queues released before the client.
    sources: Vec<PartitionReader>,
    consumer: Arc<BaseConsumer<Context>>,
    wake: Arc<Wake>,
    turn: Cell<Turn>,
}

pub enum Polled<'a> {
    Record(Record<'a>),
    /// Everything up to the partition's present end has been returned. Comes again after further records.
    End {
        /// Index into the starts given to [`Reader::open`].
        source: usize,
    },
    /// Nothing yet: the timeout has passed, or (earlier) librdkafka reported passing trouble, which it logs and gets over
    /// by itself.
    Nothing,
}

impl Reader {
    /// Opens a consumer at the given offsets, one start per partition; does not wait for a broker.
    /// Errors: [`LogError::Settings`] if librdkafka refuses the options, [`LogError::StartNegative`], [`LogError::Client`].
    pub fn open(kafka: &Kafka, starts: &[Start]) -> Result<Reader, LogError> {
        Reader::open_with(kafka, starts, FetchAhead::default())
    }

    /// The same with a bound of one's own on what is held fetched and unread. Partitions may be shared out among several
    /// readers, each with a thread of its own.
    pub fn open_with(kafka: &Kafka, starts: &[Start], fetch_ahead: FetchAhead) -> Result<Reader, LogError> {
        let wake = Arc::new(Wake::default());
        let mut consumer: BaseConsumer<Context> = kafka
            .reader_config(starts.len(), fetch_ahead)
            .create_with_context(Context::default())
            .map_err(|error| LogError::Settings { reason: error.to_string() })?;
        consumer.set_nonempty_callback(wake.setter());
        let consumer = Arc::new(consumer);
        // Queues first, then the assignment: otherwise first records could land in the shared queue.
        let sources = starts
            .iter()
            .map(|start| PartitionReader::open(&consumer, kafka, start, &wake))
            .collect::<Result<Vec<_>, _>>()?;
        assign(&consumer, &sources)?;
        Ok(Reader { sources, consumer, wake, turn: Cell::new(Turn::FIRST) })
    }

    /// The next record, end or error; blocks for at most `timeout`.
    /// Errors: What stops a partition for good: [`LogError::OffsetOutOfRange`], [`LogError::NoSuchPartition`],
    /// [`LogError::Damaged`], [`LogError::Denied`], [`LogError::Client`].
    pub fn poll(&self, timeout: Duration) -> Result<Polled<'_>, LogError> {
        let deadline = Instant::now() + timeout;
        loop {
            self.wake.clear();
            if let Some(polled) = self.poll_queues()? {
                return Ok(polled);
            }
            if !self.wake.wait_until(deadline) {
                return Ok(Polled::Nothing);
            }
        }
    }

    /// The offset of what comes next of a source: everything before it has been returned, or is no record (a foreign
    /// transaction's mark). It asks one of librdkafka's threads, so it is for the ends of partitions, not for each record.
    pub fn next_offset(&self, source: usize) -> i64 {
        let Some(source) = self.sources.get(source) else { return 0 };
        let returned = source.next_offset.get();
        // Marks are passed over inside librdkafka; as long as nothing was passed it knows no offset.
        let positions = self.consumer.position().unwrap_or_default();
        let found = positions.find_partition(&source.full_topic, source.partition);
        found.and_then(|found| found.offset().to_raw()).map_or(returned, |passed| passed.max(returned))
    }

    // One look at every queue, beginning with the one whose turn it is.
    fn poll_queues(&self) -> Result<Option<Polled<'_>>, LogError> {
        if self.turn.get().is_over() {
            self.next_turn();
        }
        for _ in 0..self.sources.len() {
            let turn = self.turn.get();
            if let Some(source) = self.sources.get(turn.source)
                && let Some(result) = source.queue.poll(Duration::ZERO)
            {
                self.turn.set(turn.taken());
                return self.polled(turn.source, source, result).map(Some);
            }
            self.next_turn();
        }
        Ok(None)
    }

    fn next_turn(&self) {
        let turn = self.turn.get().next(self.sources.len());
        // Once a round, so also while records come without a pause.
        if turn.source == 0 {
            self.serve_client();
        }
        self.turn.set(turn);
    }

    // Log lines and errors of the client itself; its context writes them to the log.
    fn serve_client(&self) {
        while self.consumer.poll(Duration::ZERO).is_some() {}
    }

    fn polled<'a>(
        &self,
        index: usize,
        source: &'a PartitionReader,
        result: Result<BorrowedMessage<'a>, KafkaError>,
    ) -> Result<Polled<'a>, LogError> {
        match result {
            Ok(message) => {
                source.next_offset.set(message.offset() + 1);
                Ok(Polled::Record(Record { source: index, topic: &source.topic, message }))
            }
            Err(KafkaError::PartitionEOF(_)) => Ok(Polled::End { source: index }),
            Err(error) => {
                let code = error.rdkafka_error_code();
                let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
                code.and_then(|code| self.read_error(source, code, fatal)).map_or(Ok(Polled::Nothing), Err)
            }
        }
    }

    // None: passing trouble, logged by the context, which librdkafka gets over by itself.
    fn read_error(&self, source: &PartitionReader, code: RDKafkaErrorCode, fatal: bool) -> Option<LogError> {
        use RDKafkaErrorCode as Code;
        let topic = source.full_topic.clone();
        let (partition, offset) = (source.partition, source.next_offset.get());
        match code {
            Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation => {
                let held = self.consumer.fetch_watermarks(&topic, partition, DETAIL_TIMEOUT).ok();
                Some(LogError::OffsetOutOfRange { topic, partition, offset, held })
            }
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
                Some(LogError::NoSuchPartition { topic, partition })
            }
            Code::BadMessage | Code::InvalidMessage | Code::BadCompression | Code::InvalidMessageSize => {
                Some(LogError::Damaged { topic, partition, offset, reason: code.to_string() })
            }
            Code::TopicAuthorizationFailed => Some(LogError::Denied { topic, reason: code.to_string() }),
            _ if fatal => Some(LogError::Client { doing: "reading", reason: code.to_string() }),
            _ => None,
        }
    }
}

/// A record of the log. Nothing is copied: key and value are valid as long as it lives.
pub struct Record<'a> {
    source: usize,
    topic: &'a str,
    message: BorrowedMessage<'a>,
}

impl<'a> Record<'a> {
    pub fn source(&self) -> usize {
        self.source
    }

    pub fn topic(&self) -> &'a str {
        self.topic
    }

    pub fn partition(&self) -> i32 {
        self.message.partition()
    }

    pub fn offset(&self) -> i64 {
        self.message.offset()
    }

    pub fn key(&self) -> Option<&[u8]> {
        self.message.key()
    }

    pub fn value(&self) -> Option<&[u8]> {
        self.message.payload()
    }

    /// Names and values in the record's order; a header without value has an empty one. Costly: librdkafka parses them
    /// when first asked.
    pub fn headers(&self) -> Vec<(String, Vec<u8>)> {
        let Some(headers) = self.message.headers() else { return Vec::new() };
        headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
            .collect()
    }
}
