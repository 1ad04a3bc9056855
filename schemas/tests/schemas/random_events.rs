//! Any event, whatever its text and numbers, opens to what was sealed, in both content modes, and is as the published
//! schemas describe it: which is why this stays with the shop.

use std::borrow::Cow;
use std::num::NonZeroU32;

use daybook_event::envelope::{self, Envelope, Source, seal};
use daybook_event::event_data::{EventData, open};
use jiff::Timestamp;
use proptest::prelude::*;
use schemas::orders::{OrderCancelled, OrderEvent, OrderPlaced};
use schemas::products::{ProductDetails, ProductDiscontinued, ProductEvent};
use schemas::users::{UserDeleted, UserDetails, UserEvent};
use schemas::{ShopEvent, users};
use uuid::Uuid;

use crate::files::{data_schemas, envelope_schema, json, validator};

fn id() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn user() -> impl Strategy<Value = UserEvent> {
    let details = (id(), any::<String>(), any::<String>(), any::<String>());
    (0..3, details).prop_map(|(kind, (user_id, email, name, address))| match kind {
        0 => UserEvent::SignedUp(UserDetails { user_id, email, name, address }),
        1 => UserEvent::Changed(UserDetails { user_id, email, name, address }),
        _ => UserEvent::Deleted(UserDeleted { user_id }),
    })
}

fn product() -> impl Strategy<Value = ProductEvent> {
    let details = (id(), any::<String>(), any::<String>(), any::<Option<i64>>());
    (0..3, details).prop_map(|(kind, (product_id, title, image, price_cents))| match kind {
        0 => ProductEvent::Created(ProductDetails { product_id, title, image, price_cents }),
        1 => ProductEvent::Changed(ProductDetails { product_id, title, image, price_cents }),
        _ => ProductEvent::Discontinued(ProductDiscontinued { product_id }),
    })
}

fn order() -> impl Strategy<Value = OrderEvent> {
    let ids = (id(), id(), id());
    (any::<bool>(), ids, any::<NonZeroU32>()).prop_map(
        |(placed, (order_id, user_id, product_id), quantity)| match placed {
            true => OrderEvent::Placed(OrderPlaced { order_id, user_id, product_id, quantity }),
            false => OrderEvent::Cancelled(OrderCancelled { order_id, user_id, product_id }),
        },
    )
}

fn event() -> impl Strategy<Value = ShopEvent> {
    prop_oneof![
        user().prop_map(ShopEvent::User),
        product().prop_map(ShopEvent::Product),
        order().prop_map(ShopEvent::Order)
    ]
}

prop_compose! {
    pub(crate) fn sealable()(
        event in event(),
        ids in (id(), id(), id(), id()),
        partition in 0..=i32::MAX,
        micros in 0..=253_402_207_199_999_999_i64,
        position in any::<u64>(),
        aggregate_version in 1..=u64::MAX,
        traceparent in any::<Option<String>>(),
        writer_epoch in 0..=envelope::EPOCH_MAX,
        previous_id in proptest::option::of(id()),
    ) -> (Envelope<'static>, ShopEvent) {
        let envelope = Envelope {
            writer_epoch,
            previous_id,
            id: ids.0,
            source: Source { service: Cow::Borrowed(users::SERVICE), partition },
            event_type: Cow::Borrowed(event.event_type()),
            subject: ids.1,
            time: Timestamp::from_microsecond(micros).unwrap(),
            position,
            aggregate_version,
            correlation_id: ids.2,
            causation_id: ids.3,
            traceparent: traceparent.filter(|text| !text.is_empty()).map(Cow::Owned),
            data: Cow::Owned(event.to_data().unwrap()),
        };
        (envelope, event)
    }
}

/// The same event in binary mode: what another producer would put into headers.
fn headers(envelope: &Envelope<'_>) -> Vec<(String, Vec<u8>)> {
    let sealed = json(&seal(envelope).unwrap());
    let attributes = sealed.as_object().unwrap().iter().filter(|(name, _)| *name != "data");
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    attributes.map(|(name, value)| (format!("ce_{name}"), text(value).into_bytes())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_sealed_event_opens_to_itself((envelope, event) in sealable()) {
        let sealed = seal(&envelope).unwrap();
        let opened = open::<ShopEvent>(Some(&sealed), || panic!("headers")).unwrap();
        prop_assert_eq!(&opened.event, &event);
        prop_assert_eq!(opened.id, envelope.id);
        prop_assert_eq!(opened.previous_id, envelope.previous_id);
        prop_assert_eq!(&opened.source, &envelope.source);
        prop_assert_eq!(opened.time, envelope.time);
        prop_assert_eq!(opened.position, envelope.position);
        prop_assert_eq!(opened.aggregate_version, envelope.aggregate_version);
        let structured = envelope::open(Some(&sealed), || panic!("headers")).unwrap();
        prop_assert_eq!(&seal(&structured).unwrap(), &sealed);

        let headers = || headers(&envelope);
        let data = Some(envelope.data.get().as_bytes());
        prop_assert_eq!(opened, open::<ShopEvent>(data, headers).unwrap());
        prop_assert_eq!(seal(&envelope::open(data, headers).unwrap()).unwrap(), sealed);
    }
}

proptest! {
    // Building the validators costs more than the check.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn a_sealed_event_validates((envelope, event) in sealable()) {
        let sealed = json(&seal(&envelope).unwrap());
        prop_assert!(validator(&envelope_schema()).is_valid(&sealed));
        prop_assert!(validator(&data_schemas()[event.event_type()]).is_valid(&sealed["data"]));
    }
}
