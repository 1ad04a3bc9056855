//! A record as it is read, and what an event says of itself.

use daybook_event::envelope::{Envelope, Source};
use daybook_event::event_data::Opened;
use uuid::Uuid;

/// Names and values, as Kafka has them.
pub type Headers = Vec<(String, Vec<u8>)>;

/// A record of one partition. Headers are asked for apart: to read them costs more than to open the value.
#[derive(Debug, Clone, Copy)]
pub struct RecordView<'r> {
    pub offset: i64,
    pub key: Option<&'r [u8]>,
    pub value: Option<&'r [u8]>,
}

#[derive(Debug, Clone, Copy)]
pub struct Identity<'e> {
    /// Service and partition.
    pub source: &'e Source<'e>,
    pub epoch: u32,
    pub position: u64,
    pub id: Uuid,
    /// What it names as the event before it, or as its log.
    pub previous_id: Option<Uuid>,
}

/// An event that was opened, as far as its reader needs it.
pub trait Identified {
    fn identity(&self) -> Identity<'_>;
}

impl<E> Identified for Opened<'_, E> {
    #[inline]
    fn identity(&self) -> Identity<'_> {
        let Opened { writer_epoch: epoch, position, id, previous_id, .. } = *self;
        Identity { source: &self.source, epoch, position, id, previous_id }
    }
}

impl Identified for Envelope<'_> {
    fn identity(&self) -> Identity<'_> {
        let Envelope { writer_epoch: epoch, position, id, previous_id, .. } = *self;
        Identity { source: &self.source, epoch, position, id, previous_id }
    }
}
