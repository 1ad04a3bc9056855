//! No bytes make opening or parsing panic, and what is accepted is understood: written again, it reads the same.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use schemas::envelope::{self, seal};
use schemas::event_data::open;
use schemas::shop::ShopEvent;
use schemas::token::Token;

use crate::files::{binary_samples, samples};

/// One edit of a text of bytes.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Cut(Index),
    Repeat(Index, Index),
}

pub(crate) fn edit() -> impl Strategy<Value = Edit> {
    let byte = || prop_oneof![any::<u8>(), select(b"\"{}[]:,\\0129-+.eunTZ/@ \xff".to_vec())];
    let index = any::<Index>;
    prop_oneof![
        (index(), byte()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (index(), byte()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        index().prop_map(Edit::Remove),
        index().prop_map(Edit::Cut),
        (index(), index()).prop_map(|(from, to)| Edit::Repeat(from, to)),
    ]
}

pub(crate) fn apply(bytes: &mut Vec<u8>, edit: &Edit) {
    let len = bytes.len();
    if len == 0 {
        return;
    }
    match edit {
        Edit::Set(at, byte) => bytes[at.index(len)] = *byte,
        Edit::Insert(at, byte) => bytes.insert(at.index(len), *byte),
        Edit::Remove(at) => _ = bytes.remove(at.index(len)),
        Edit::Cut(at) => bytes.truncate(at.index(len)),
        Edit::Repeat(from, to) => {
            let range = from.index(len)..len;
            let piece = bytes[range].to_vec();
            let to = to.index(len);
            bytes.splice(to..to, piece);
        }
    }
}

fn edited(originals: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (select(originals), prop::collection::vec(edit(), 0..6)).prop_map(|(mut bytes, edits)| {
        edits.iter().for_each(|edit| apply(&mut bytes, edit));
        bytes
    })
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200)
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    let structured = samples().into_iter().map(|sample| sample.value);
    let binary = binary_samples().into_values().map(|sample| sample.value.into_bytes());
    prop_oneof![9 => edited(structured.chain(binary).collect()), 1 => any_bytes()]
}

fn headers() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let all = binary_samples().into_values().map(|sample| sample.headers()).collect::<Vec<_>>();
    let changes = prop::collection::vec((any::<Index>(), any::<Index>(), edit()), 0..4);
    (select(all), changes).prop_map(|(mut headers, changes)| {
        for (header, other, edit) in changes {
            let other = headers[other.index(headers.len())].1.clone();
            let header = header.index(headers.len());
            apply(&mut headers[header].1, &edit);
            if headers[header].1.is_empty() {
                headers[header].1 = other;
            }
        }
        headers
    })
}

fn opens_again(value: &[u8], headers: impl FnOnce() -> Vec<(String, Vec<u8>)>) {
    let Ok(opened) = envelope::open(Some(value), headers) else { return };
    let sealed = seal(&opened).unwrap();
    let again = envelope::open(Some(&sealed), || panic!("sealed events are structured"));
    // `data` may be null in binary mode, and is no attribute then in structured mode.
    if opened.data.get() != "null" {
        assert_eq!(seal(&again.unwrap()).unwrap(), sealed);
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_structured_value_panics(value in values()) {
        opens_again(&value, Vec::new);
        _ = open::<ShopEvent>(Some(&value), Vec::new).map_err(|error| error.to_string());
    }

    #[test]
    fn no_binary_record_panics(value in values(), headers in headers()) {
        opens_again(&value, || headers.clone());
        _ = open::<ShopEvent>(Some(&value), || headers).map_err(|error| error.to_string());
    }

    #[test]
    fn no_token_panics(text in edited(vec![b"orders.events/3@1042,users.events/0@0".to_vec()])) {
        let text = String::from_utf8_lossy(&text);
        if let Ok(token) = text.parse::<Token>() {
            prop_assert_eq!(token.to_string().parse::<Token>(), Ok(token));
        }
    }

    #[test]
    fn no_text_makes_a_token_panic(text in any::<String>()) {
        _ = text.parse::<Token>().map_err(|error| error.to_string());
    }
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    let deep = "[".repeat(1_000_000);
    let closed = format!("{deep}{}", "]".repeat(1_000_000));
    let sample = &samples()[0].value;
    let unknown = |nested: &str| {
        let sample = String::from_utf8(sample.clone()).unwrap();
        sample.replacen('{', &format!("{{\"unknown\":{nested},"), 1).into_bytes()
    };
    envelope::open(Some(&unknown(&closed)), Vec::new).unwrap();
    for value in [deep.clone().into_bytes(), closed.clone().into_bytes(), unknown(&deep)] {
        envelope::open(Some(&value), Vec::new).unwrap_err();
    }
    let data = String::from_utf8(sample.clone()).unwrap().replacen(
        r#""data":{"#,
        &format!(r#""data":{{"user_id":{closed},"#),
        1,
    );
    open::<ShopEvent>(Some(data.as_bytes()), Vec::new).unwrap_err();
}
