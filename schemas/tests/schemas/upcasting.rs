//! Events of old versions arrive in the newest shape.

use std::num::NonZeroU32;

use daybook_event::envelope;
use daybook_event::event_data::{EventData, open};
use schemas::orders::{OrderEvent, OrderPlaced};
use schemas::products::{ProductDetails, ProductEvent};
use schemas::{ShopEvent, orders, products};
use serde_json::Value;
use uuid::Uuid;

use crate::files::{data_schemas, json, newest_types, sample_at, samples, split_version, validator};

#[track_caller]
fn check(path: &str, expected: impl FnOnce(&Value) -> ShopEvent) {
    let sample = sample_at(path);
    let opened = open::<ShopEvent>(Some(&sample.value), Vec::new).unwrap();
    assert_eq!(opened.event, expected(&json(&sample.value)["data"]));
    let envelope = envelope::open(Some(&sample.value), Vec::new).unwrap();
    assert_eq!(envelope.event_type, sample.event_type, "the envelope still says what was in the log");
}

fn id(data: &Value, field: &str) -> Uuid {
    data[field].as_str().unwrap().parse().unwrap()
}

fn unpriced(data: &Value, title: &str) -> ProductDetails {
    let (title, image) = (title.to_owned(), "pants.jpg".to_owned());
    ProductDetails { product_id: id(data, "product_id"), title, image, price_cents: None }
}

#[test]
fn a_product_created_before_prices_has_none() {
    check("samples/shop.product.created.v1/pants.json", |data| {
        ShopEvent::Product(ProductEvent::Created(unpriced(data, "pants")))
    });
}

#[test]
fn a_product_changed_before_prices_has_none() {
    check("samples/shop.product.changed.v1/renamed.json", |data| {
        ShopEvent::Product(ProductEvent::Changed(unpriced(data, "trousers")))
    });
}

#[test]
fn an_order_placed_before_quantities_is_of_one() {
    check("samples/shop.order.placed.v1/one.json", |data| {
        ShopEvent::Order(OrderEvent::Placed(OrderPlaced {
            order_id: id(data, "order_id"),
            user_id: id(data, "user_id"),
            product_id: id(data, "product_id"),
            quantity: NonZeroU32::MIN,
        }))
    });
}

#[test]
fn old_versions_upcast_to_what_the_newest_schema_describes() {
    let mut upcast = 0;
    for sample in samples() {
        let event = open::<ShopEvent>(Some(&sample.value), Vec::new).unwrap().event;
        assert_eq!(split_version(event.event_type()).0, split_version(&sample.event_type).0);
        let data = json(event.to_data().unwrap().get().as_bytes());
        assert!(validator(&data_schemas()[event.event_type()]).is_valid(&data), "{}", sample.path);
        upcast += usize::from(event.event_type() != sample.event_type);
    }
    assert!(upcast >= data_schemas().len() - newest_types().len());
}

#[test]
fn a_version_1_event_with_a_field_of_version_2_ignores_it() {
    let data =
        r#"{"product_id":"019cada1-4c09-73d9-a344-5bb31738f7d9","title":"","image":"","price_cents":"?"}"#;
    let data = serde_json::from_str(data).unwrap();
    let event = products::ProductEvent::from_data("shop.product.created.v1", data).unwrap();
    assert!(matches!(event, ProductEvent::Created(ProductDetails { price_cents: None, .. })));
}

#[test]
fn each_service_reads_its_own_types_only() {
    let value = sample_at("samples/shop.product.created.v1/pants.json").value;
    let error = open::<orders::OrderEvent>(Some(&value), Vec::new).unwrap_err();
    assert_eq!(
        error.to_string(),
        "event type `shop.product.created.v1` is unknown: this program is older than the event, \
         or the event is not meant for it"
    );
}
