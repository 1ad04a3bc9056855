//! A writer's claim to a partition: the record with which every writer begins, before it sends an event.
//!
//! Kafka cannot shut out a producer that is not transactional. So writers have epochs, which stand in the log itself: a
//! claim takes a partition over, and from there on records of lower epochs count for nothing ([`crate::sequence`]).
//!
//! A claim is a CloudEvent of the type [`CLAIMED`]. It is no event of any aggregate: it has no position, so that positions
//! stay contiguous whichever process writes.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::envelope::{OpenError, Source, claimed_parts, read_time};

pub const CLAIMED: &str = "daybook.writer.claimed.v1";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Id of the claim, a UUID of version 7.
    pub id: Uuid,
    pub source: Source<'a>,
    /// Epoch of the writer, from 1.
    pub epoch: u32,
    pub writer: Writer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// Id of the service's directory: it stays the same when the service is started again.
    pub instance: Uuid,
    pub host: String,
    pub claimed_at: Timestamp,
}

#[derive(Serialize)]
struct Sealed<'a> {
    specversion: &'static str,
    writerepoch: u32,
    id: Uuid,
    source: String,
    r#type: &'static str,
    subject: Uuid,
    time: String,
    datacontenttype: &'static str,
    data: Data<'a>,
}

#[derive(Serialize, Deserialize)]
struct Data<'a> {
    instance: Uuid,
    #[serde(borrow)]
    host: Cow<'a, str>,
    #[serde(borrow)]
    claimed_at: Cow<'a, str>,
}

/// Seals a claim: the value of its record, one line of JSON in structured content mode.
pub fn seal(claim: &Claim<'_>) -> serde_json::Result<Vec<u8>> {
    let Writer { instance, host, claimed_at } = &claim.writer;
    let time = format!("{claimed_at:.6}");
    serde_json::to_vec(&Sealed {
        specversion: "1.0",
        writerepoch: claim.epoch,
        id: claim.id,
        source: claim.source.to_string(),
        r#type: CLAIMED,
        subject: *instance,
        time: time.clone(),
        datacontenttype: "application/json",
        data: Data { instance: *instance, host: Cow::Borrowed(host), claimed_at: Cow::Owned(time) },
    })
}

/// Opens the value of a record that is no event. `None`: it is no claim either.
pub fn open(value: Option<&[u8]>) -> Option<Result<Claim<'_>, OpenError>> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
    }
    let value = value?;
    let kind: Kind<'_> = serde_json::from_slice(value).ok()?;
    (kind.r#type == CLAIMED).then(|| read(value))
}

fn read(value: &[u8]) -> Result<Claim<'_>, OpenError> {
    #[derive(Deserialize)]
    struct WithData<'a> {
        #[serde(borrow)]
        data: Data<'a>,
    }
    let (id, source, epoch) = claimed_parts(value)?;
    let WithData { data } =
        serde_json::from_slice(value).map_err(|error| OpenError::NotJson { detail: error.to_string() })?;
    let claimed_at = read_time(&data.claimed_at)?;
    let writer = Writer { instance: data.instance, host: data.host.into_owned(), claimed_at };
    Ok(Claim { id, source, epoch, writer })
}
