//! What `#[derive(Event)]` and `#[derive(Fields)]` read and write.

use daybook_event::event_data::DataError;
use daybook_event::{Event, EventData, Fields, Topic};
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

const SERVICE: &str = "letters";

/// What happened to a letter.
#[derive(Debug, Clone, PartialEq, Event)]
#[event(service = SERVICE, topic = "letters.events", prefix = "post.letter.")]
pub(crate) enum LetterEvent {
    #[event("written.v3")]
    #[upcast(from = "written.v2", with = to_nobody)]
    #[upcast(from = "written.v1", with = of_one_page)]
    Written(Written),
    #[event("sent.v2")]
    #[upcast(from = "sent.v1", with = without_stamps)]
    Sent {
        #[key]
        letter_id: Uuid,
        r#type: String,
        stamps: Vec<u8>,
    },
    #[event("weighed.v1")]
    Weighed {
        #[key]
        letter_id: Uuid,
        grams: f64,
    },
    #[event("lost.v1")]
    Lost {
        #[key]
        at: Uuid,
    },
}

#[derive(Debug, Clone, PartialEq, Fields)]
pub(crate) struct Written {
    pages: u16,
    #[key]
    letter_id: Uuid,
    to: Option<Address>,
    is_secret: bool,
}

#[derive(Debug, Clone, PartialEq, Fields)]
pub(crate) struct Address {
    street: String,
    door: Option<i8>,
}

#[derive(Deserialize)]
struct WrittenV1 {
    letter_id: Uuid,
}

#[derive(Deserialize)]
struct WrittenV2 {
    letter_id: Uuid,
    pages: u16,
}

#[derive(Deserialize)]
struct SentV1 {
    letter_id: Uuid,
}

fn of_one_page(old: WrittenV1) -> WrittenV2 {
    WrittenV2 { letter_id: old.letter_id, pages: 1 }
}

fn to_nobody(old: WrittenV2) -> Written {
    Written { pages: old.pages, letter_id: old.letter_id, to: None, is_secret: false }
}

fn without_stamps(old: SentV1) -> LetterEvent {
    LetterEvent::Sent { letter_id: old.letter_id, r#type: "plain".to_owned(), stamps: Vec::new() }
}

/// What happened to a box of letters.
#[derive(Debug, Clone, PartialEq, Event)]
#[event(service = "boxes", topic = "boxes.events", prefix = "post.box.")]
enum BoxEvent {
    #[event("emptied.v1")]
    Emptied {
        #[key]
        box_id: Uuid,
    },
}

#[derive(Debug, Clone, PartialEq, Event)]
enum PostEvent {
    Letter(LetterEvent),
    Box(BoxEvent),
}

const ID: Uuid = Uuid::from_u128(7);
const ID_TEXT: &str = "00000000-0000-0000-0000-000000000007";

pub(crate) fn written() -> LetterEvent {
    let to = Some(Address { street: "Row".to_owned(), door: Some(-3) });
    LetterEvent::Written(Written { pages: 2, letter_id: ID, to, is_secret: true })
}

fn sent() -> LetterEvent {
    LetterEvent::Sent { letter_id: ID, r#type: "air".to_owned(), stamps: vec![5, 6] }
}

/// Each event, its type, and its data with the id left out.
fn all() -> [(LetterEvent, &'static str, &'static str); 4] {
    let written_data = r#"{"pages":2,"letter_id":"ID","to":{"street":"Row","door":-3},"is_secret":true}"#;
    let weighed = LetterEvent::Weighed { letter_id: ID, grams: 1.5 };
    [
        (written(), "post.letter.written.v3", written_data),
        (sent(), "post.letter.sent.v2", r#"{"letter_id":"ID","type":"air","stamps":[5,6]}"#),
        (weighed, "post.letter.weighed.v1", r#"{"letter_id":"ID","grams":1.5}"#),
        (LetterEvent::Lost { at: ID }, "post.letter.lost.v1", r#"{"at":"ID"}"#),
    ]
}

fn read<E: EventData>(event_type: &str, data: &str) -> Result<E, DataError> {
    let data: &RawValue = serde_json::from_str(data).unwrap();
    E::from_data(event_type, data)
}

#[test]
fn an_event_is_written_with_its_fields_in_their_order_and_read_again() {
    for (event, event_type, data) in all() {
        let data = data.replace("ID", ID_TEXT);
        assert_eq!((event.event_type(), event.to_data().unwrap().get()), (event_type, &*data));
        assert_eq!(read(event_type, &data), Ok(event.clone()));
        assert_eq!(event.key(), ID);
        let post = PostEvent::Letter(event);
        assert_eq!((post.event_type(), post.to_data().unwrap().get()), (event_type, &*data));
        assert_eq!((read(event_type, &data), post.key()), (Ok(post), ID));
    }
}

#[test]
fn an_event_whose_fields_have_canonical_forms_is_read_without_the_parser() {
    for (event, event_type, data) in all() {
        let data = data.replace("ID", ID_TEXT);
        // Lists and fractions are the parser's.
        let is_plain = !matches!(event, LetterEvent::Sent { .. } | LetterEvent::Weighed { .. });
        let expected = is_plain.then_some(event);
        assert_eq!(LetterEvent::read_canonical(event_type, data.as_bytes()), expected);
        let expected = expected.map(PostEvent::Letter);
        assert_eq!(PostEvent::read_canonical(event_type, data.as_bytes()), expected);
        for other in [
            format!("{data} "),
            data.replace(':', ": "),
            data[..data.len() - 1].to_owned(),
            data.replace('-', ""),
        ] {
            assert_eq!(LetterEvent::read_canonical(event_type, other.as_bytes()), None, "{other}");
        }
        assert_eq!(LetterEvent::read_canonical("post.letter.burnt.v1", data.as_bytes()), None);
    }
}

#[test]
fn each_version_is_taken_step_by_step_to_the_newest() {
    let with = |pages| Ok(LetterEvent::Written(Written { pages, letter_id: ID, to: None, is_secret: false }));
    let id = format!(r#""letter_id":"{ID}""#);
    assert_eq!(read("post.letter.written.v1", &format!("{{{id}}}")), with(1));
    assert_eq!(read("post.letter.written.v2", &format!(r#"{{{id},"pages":9}}"#)), with(9));
    let sent = LetterEvent::Sent { letter_id: ID, r#type: "plain".to_owned(), stamps: Vec::new() };
    assert_eq!(read("post.letter.sent.v1", &format!("{{{id}}}")), Ok(sent));
}

#[test]
fn every_field_must_be_there_if_only_as_null() {
    let data = |field: &str, without: bool| {
        let fields =
            [("pages", "2"), ("letter_id", &*format!("{ID_TEXT:?}")), ("to", "null"), ("is_secret", "true")];
        let there = fields.iter().filter(|(name, _)| !without || *name != field);
        let fields: Vec<_> = there.map(|(name, value)| format!("{name:?}:{value}")).collect();
        format!("{{{}}}", fields.join(","))
    };
    for field in ["pages", "letter_id", "to", "is_secret"] {
        assert!(read::<LetterEvent>("post.letter.written.v3", &data(field, false)).is_ok());
        let error = read::<LetterEvent>("post.letter.written.v3", &data(field, true)).unwrap_err();
        assert!(matches!(&error, DataError::Field { field: named, .. } if named == field), "{error}");
    }
    let unknown = data("none", false).replace('}', r#","more":[]}"#);
    assert!(read::<LetterEvent>("post.letter.written.v3", &unknown).is_ok());
}

#[test]
fn what_it_is_not_is_named() {
    let future = read::<PostEvent>("post.box.emptied.v2", "{}").unwrap_err();
    let newest = "post.box.emptied.v1".to_owned();
    assert_eq!(future, DataError::FutureVersion { event_type: "post.box.emptied.v2".to_owned(), newest });
    for unknown in ["post.box.painted.v1", "post.bag.emptied.v1", "post.letter.", ""] {
        let expected = Err(DataError::UnknownType { event_type: unknown.to_owned() });
        assert_eq!(read::<PostEvent>(unknown, "{}"), expected);
    }
    assert!(read::<LetterEvent>("post.box.emptied.v1", "{}").is_err());
}

#[test]
fn an_enum_of_enums_has_what_they_have() {
    let letters = Topic { name: "letters.events", service: SERVICE };
    let boxes = Topic { name: "boxes.events", service: "boxes" };
    assert_eq!((LetterEvent::TOPICS, PostEvent::TOPICS), (&[letters][..], &[letters, boxes][..]));
    assert_eq!(PostEvent::PREFIXES, ["post.letter.", "post.box."]);
    let newest = ["written.v3", "sent.v2", "weighed.v1", "lost.v1"].map(|name| format!("post.letter.{name}"));
    assert_eq!(LetterEvent::NEWEST, newest);
    assert_eq!(PostEvent::NEWEST[..4], newest);
    assert_eq!(PostEvent::NEWEST[4..], ["post.box.emptied.v1"]);
    assert!(PostEvent::is_named("post.box.painted.v1") && !LetterEvent::is_named("post.box.painted.v1"));
}
