//! What must hold of any bytes whatever. Asked by `hostile_input` with random edits of the samples, and by the fuzz
//! targets, which include this file.

use daybook_event::envelope::{self, Envelope, seal};
use daybook_event::event_data::{EventData as _, open};
use daybook_event::token::Token;
use schemas::ShopEvent;

/// The value of a record: no panic, and what is accepted is understood.
pub(crate) fn event(value: &[u8]) {
    opens_again(value, &[]);
    understood(value, &[]);
}

/// A record in binary mode: lines `name: value`, an empty line, the record's value.
pub(crate) fn record(bytes: &[u8]) {
    let (headers, value) = split(bytes);
    opens_again(value, &headers);
    understood(value, &headers);
}

/// A token: it is read again as it is written.
pub(crate) fn token(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    match text.parse::<Token>() {
        Ok(token) => assert_eq!(token.to_string().parse::<Token>(), Ok(token)),
        Err(error) => assert_ne!(error.to_string(), ""),
    }
}

type Headers = Vec<(String, Vec<u8>)>;

/// Headers and value of a record.
pub(crate) fn split(bytes: &[u8]) -> (Headers, &[u8]) {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(bytes.len());
    let (head, value) = (&bytes[..end], bytes.get(end + 2..).unwrap_or_default());
    let header = |line: &[u8]| {
        let end = line.windows(2).position(|pair| pair == b": ")?;
        Some((String::from_utf8_lossy(&line[..end]).into_owned(), line[end + 2..].to_vec()))
    };
    (head.split(|byte| *byte == b'\n').filter_map(header).collect(), value)
}

/// An envelope that opens is sealed, and opens again to the same.
fn opens_again(value: &[u8], headers: &[(String, Vec<u8>)]) {
    let Ok(opened) = envelope::open(Some(value), || headers.to_vec()) else { return };
    let sealed = seal(&opened).unwrap();
    let again = envelope::open(Some(&sealed), || panic!("sealed events are structured"));
    // `data` may be null in binary mode, and is no attribute then in structured mode.
    if opened.data.get() != "null" {
        let again = again.unwrap();
        assert_eq!(seal(&again).unwrap(), sealed);
        assert_eq!(attributes(&again), attributes(&opened));
    }
}

/// All attributes but the time, of which microseconds are kept.
fn attributes(of: &Envelope<'_>) -> String {
    let Envelope { writer_epoch, previous_id, id, source, event_type, subject, time: _, position, .. } = of;
    let Envelope { aggregate_version, correlation_id, causation_id, traceparent, .. } = of;
    format!(
        "{writer_epoch} {previous_id:?} {id} {source} {event_type} {subject} {position} {aggregate_version} {correlation_id} {causation_id} \
         {traceparent:?}"
    )
}

/// An event that opens, whatever its version, is the same event in the newest; one that does not says why.
fn understood(value: &[u8], headers: &[(String, Vec<u8>)]) {
    match open::<ShopEvent>(Some(value), || headers.to_vec()) {
        Ok(opened) => {
            let (newest, data) = (opened.event.event_type(), opened.event.to_data().unwrap());
            assert_eq!(ShopEvent::from_data(newest, &data).unwrap(), opened.event);
        }
        Err(error) => assert_ne!(error.to_string(), ""),
    }
}
