//! What is opened and sealed again is the same, byte for byte.

use std::borrow::Cow;

use daybook_event::envelope::{self, seal};
use daybook_event::event_data::{EventData, open};
use schemas::ShopEvent;

use crate::files::{newest_types, samples};

#[test]
fn the_envelope_of_every_sample_comes_back() {
    for sample in samples() {
        let opened = envelope::open(Some(&sample.value), Vec::new).unwrap();
        assert_eq!(text(seal(&opened).unwrap()), text(sample.value.clone()), "{}", sample.path);
    }
}

#[test]
fn every_sample_of_a_newest_type_comes_back_from_its_event() {
    let mut seen = 0;
    for sample in samples() {
        let event = open::<ShopEvent>(Some(&sample.value), Vec::new).unwrap().event;
        if newest_types().contains(&sample.event_type.as_str()) {
            let mut envelope = envelope::open(Some(&sample.value), Vec::new).unwrap();
            envelope.event_type = Cow::Borrowed(event.event_type());
            envelope.data = Cow::Owned(event.to_data().unwrap());
            assert_eq!(text(seal(&envelope).unwrap()), text(sample.value.clone()), "{}", sample.path);
            seen += 1;
        }
    }
    assert!(seen >= newest_types().len());
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}
