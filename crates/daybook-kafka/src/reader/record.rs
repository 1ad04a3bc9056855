//! A record as it lies in librdkafka's memory.

use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Headers as _};

/// A record of the log. Nothing is copied: key and value are valid as long as it lives.
pub struct Record<'a> {
    source: usize,
    topic: &'a str,
    message: BorrowedMessage<'a>,
}

impl<'a> Record<'a> {
    pub(super) fn new(source: usize, topic: &'a str, message: BorrowedMessage<'a>) -> Record<'a> {
        Record { source, topic, message }
    }

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
