//! Every variant of the shop's events has a sample.

use std::collections::BTreeSet;

use daybook_event::event_data::open;
use daybook_event::{Event, EventData, envelope};
use schemas::{OrderEvent, ProductEvent, ShopEvent, UserEvent};

use crate::files::{newest_types, samples};

/// One list for both: what a variant is called, and which variants there are.
macro_rules! variants {
    ($($pattern:pat => $name:literal,)*) => {
        const VARIANTS: &[&str] = &[$($name),*];

        fn variant(event: &ShopEvent) -> &'static str {
            match event { $($pattern => $name,)* }
        }
    };
}

// A new variant does not compile until it is listed here, and fails the test until it has a sample.
variants! {
    ShopEvent::User(UserEvent::SignedUp(_)) => "user signed up",
    ShopEvent::User(UserEvent::Changed(_)) => "user changed",
    ShopEvent::User(UserEvent::Deleted(_)) => "user deleted",
    ShopEvent::Product(ProductEvent::Created(_)) => "product created",
    ShopEvent::Product(ProductEvent::Changed(_)) => "product changed",
    ShopEvent::Product(ProductEvent::Discontinued(_)) => "product discontinued",
    ShopEvent::Order(OrderEvent::Placed(_)) => "order placed",
    ShopEvent::Order(OrderEvent::Cancelled(_)) => "order cancelled",
}

fn sampled_events() -> Vec<ShopEvent> {
    let samples = samples().into_iter();
    samples.map(|sample| open(Some(&sample.value), Vec::new).unwrap().event).collect()
}

#[test]
fn every_variant_has_a_sample() {
    let sampled: BTreeSet<_> = sampled_events().iter().map(variant).collect();
    assert_eq!(sampled, VARIANTS.iter().copied().collect());
}

#[test]
fn variants_are_written_as_the_newest_types_and_no_others() {
    let written: BTreeSet<_> = sampled_events().iter().map(EventData::event_type).collect();
    assert_eq!(written, newest_types().into_iter().collect());
}

#[test]
fn the_record_key_is_the_user_of_users_and_orders_and_the_product_of_products() {
    for sample in samples() {
        let event = open::<ShopEvent>(Some(&sample.value), Vec::new).unwrap().event;
        let field = match event {
            ShopEvent::User(_) | ShopEvent::Order(_) => "user_id",
            ShopEvent::Product(_) => "product_id",
        };
        let data = &crate::files::json(&sample.value)["data"];
        assert_eq!(data[field], event.key().to_string(), "{}", sample.path);
    }
}

#[test]
fn the_subject_is_the_aggregate() {
    for sample in samples() {
        let envelope = envelope::open(Some(&sample.value), Vec::new).unwrap();
        let aggregate = match ShopEvent::from_data(&envelope.event_type, &envelope.data).unwrap() {
            ShopEvent::User(event) => event.key(),
            ShopEvent::Product(event) => event.key(),
            ShopEvent::Order(event) => event.order_id(),
        };
        assert_eq!(envelope.subject, aggregate, "{}", sample.path);
    }
}
