//! A journal as text, for people: what lies where, without what the events say. Reads only.

use std::io::{self, Write};
use std::path::Path;

use crate::errors::OpenError;
use crate::open::{Found, Tail, find};
use crate::record::{Event, Record};
use crate::scan::{End, Expected, scan};
use crate::segment::Header;

#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the output cannot be written")]
    Output(#[from] io::Error),
}

/// Prints every segment and every record of the journal in `path`.
pub fn print(path: &Path, out: &mut impl Write) -> Result<(), PrintError> {
    let found = find(path)?;
    writeln!(out, "journal {} in {}", found.id().unwrap_or_default(), path.display())?;
    if let Some(identity) = found.identity() {
        writeln!(
            out,
            "topic {}, {} partitions, layout {}, cluster {:?}",
            identity.topic, identity.partitions, identity.layout, identity.cluster
        )?;
    }
    for damage in found.damage() {
        writeln!(out, "damaged: {damage}")?;
    }
    if let Some(lost) = found.lost_newest() {
        writeln!(out, "damaged: {lost}")?;
    }
    segments(&found, out)?;
    if let Tail::Torn { segment, byte, number, damaged } = found.tail() {
        writeln!(out, "segment {segment} byte {byte}: no whole record {number}: {damaged}")?;
    }
    for (partition, state) in found.partitions().iter().enumerate() {
        let (next, acknowledged) = (state.next, state.acknowledged);
        writeln!(out, "partition {partition}: next position {next}, acknowledged before {acknowledged}")?;
    }
    Ok(())
}

fn segments(found: &Found, out: &mut impl Write) -> Result<(), PrintError> {
    for segment in &found.segments {
        let footer = &segment.footer;
        let state = if segment.closed { "closed" } else { "open" };
        let (number, bytes, numbers) = (footer.segment, segment.bytes, &footer.numbers);
        writeln!(
            out,
            "segment {number}: {state}, {bytes} bytes, records from {} before {}, index synced up to {}, oldest {}",
            numbers.start, numbers.end, footer.index_synced, footer.oldest_segment
        )?;
        let path = found.directory.segment(number);
        let content = std::fs::read(&path);
        let doing = "be read";
        let content = content.map_err(|source| OpenError::Io { path, doing, source })?;
        records(&content, segment.begin, out)?;
    }
    Ok(())
}

fn records(content: &[u8], begin: u32, out: &mut impl Write) -> Result<(), PrintError> {
    let Ok(header) = Header::decode(content) else { return Ok(()) };
    let Header { journal, segment, first_number: number, prior, .. } = header;
    let (records, end) = scan(content, begin, Expected { journal, segment, number, prior });
    for scanned in &records {
        record(scanned.block, &scanned.record, out)?;
    }
    if let End::Damaged { block, damaged, later } = end {
        writeln!(out, "  block {block}: {damaged}; record {later} lies behind it")?;
    }
    Ok(())
}

fn record(block: u32, record: &Record, out: &mut impl Write) -> io::Result<()> {
    let Record { kind, number, index_synced, committed_ms, group } = record;
    let (events, writes, keys) = (group.events.len(), group.writes.len(), group.keys.len());
    writeln!(
        out,
        "  block {block}: record {number}, {kind:?}, committed {committed_ms}, index synced up to {index_synced}, \
         {events} events, {writes} writes, {keys} keys"
    )?;
    for Event { partition, position, id, value, .. } in &group.events {
        writeln!(out, "    {partition}@{position} {id}, {} bytes", value.len())?;
    }
    Ok(())
}
