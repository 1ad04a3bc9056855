//! Whatever is wrong with an event's type or data, the error names the type and the field. With the shop, since it holds of
//! each of its types.

use daybook_event::event_data::{DataError, EventData, EventError, open, read_fields};
use schemas::{OrderEvent, ProductEvent, ShopEvent, UserEvent};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::files::newest_types;

const PLACED: &str = "shop.order.placed.v2";
const ID: &str = "019cada1-4c09-73d9-a344-5bb31738f7d9";

fn read<E: EventData>(event_type: &str, data: &str) -> Result<E, DataError> {
    E::from_data(event_type, serde_json::from_str(data).unwrap())
}

fn placed(quantity: &str) -> String {
    format!(r#"{{"order_id":"{ID}","user_id":"{ID}","product_id":"{ID}"{quantity}}}"#)
}

#[track_caller]
fn check(data: &str, field: &str, message: &str) {
    let error = read::<ShopEvent>(PLACED, data).unwrap_err();
    assert!(matches!(&error, DataError::Field { field: named, .. } if named == field), "{error:?}");
    assert_eq!(error.to_string(), format!("data of {PLACED} does not fit its schema{message}"));
}

#[test]
fn wrong_fields_are_named() {
    for (quantity, detail) in [
        ("", "missing field `quantity`"),
        (r#","quantity":0"#, "invalid value: integer `0`, expected a nonzero u32"),
        (r#","quantity":-1"#, "invalid value: integer `-1`, expected a nonzero u32"),
        (r#","quantity":4294967296"#, "invalid value: integer `4294967296`, expected a nonzero u32"),
        (r#","quantity":1.5"#, "invalid type: floating point `1.5`, expected a nonzero u32"),
        (r#","quantity":"1""#, "invalid type: string \"1\", expected a nonzero u32"),
        (r#","quantity":null"#, "invalid type: null, expected a nonzero u32"),
        (r#","quantity":1,"quantity":1"#, "duplicate field `quantity`"),
    ] {
        check(&placed(quantity), "quantity", &format!(" at `quantity`: {detail}"));
    }
}

#[test]
fn a_text_that_is_no_uuid_is_named() {
    let error = read::<ShopEvent>(PLACED, r#"{"order_id":"x"}"#).unwrap_err();
    let start = format!("data of {PLACED} does not fit its schema at `order_id`: UUID parsing failed");
    assert!(error.to_string().starts_with(&start), "{error}");
}

#[test]
fn data_that_is_no_object_is_told() {
    for data in ["5", "null", "\"text\"", "[]", &format!(r#"["{ID}","{ID}","{ID}",1]"#)] {
        check(data, "", ": a JSON object was expected");
    }
}

#[test]
fn fields_inside_fields_are_named_with_their_path() {
    #[derive(Deserialize)]
    struct Outer {
        #[serde(rename = "inner")]
        _inner: Vec<Inner>,
    }
    #[derive(Deserialize)]
    struct Inner {
        #[serde(rename = "amount")]
        _amount: u8,
    }
    for (data, path) in [
        (r#"{"inner":[{"amount":1},{}]}"#, "inner[1].amount"),
        (r#"{"inner":[{"amount":""}]}"#, "inner[0].amount"),
    ] {
        let data: &RawValue = serde_json::from_str(data).unwrap();
        let Err(DataError::Field { field, .. }) = read_fields::<Outer>("a.v1", data) else { panic!() };
        assert_eq!(field, path);
    }
}

#[test]
fn half_a_character_in_an_escape_is_told() {
    let data = format!(r#"{{"user_id":"{ID}","email":"\ud800","name":"","address":""}}"#);
    let error = read::<ShopEvent>("shop.user.changed.v1", &data).unwrap_err();
    assert!(matches!(&error, DataError::Field { field, .. } if field == "email"), "{error}");
}

#[test]
fn unknown_types_are_told_from_future_versions() {
    for newest in newest_types() {
        let (stem, version) = crate::files::split_version(newest);
        for later in [version + 1, version + 10] {
            let event_type = format!("{stem}.v{later}");
            let error = read::<ShopEvent>(&event_type, "{}").unwrap_err();
            assert_eq!(
                error,
                DataError::FutureVersion { event_type: event_type.clone(), newest: newest.to_owned() }
            );
            assert_eq!(
                error.to_string(),
                format!(
                    "event type `{event_type}` is of a future version: the newest known is {newest}; \
                     upgrade this program"
                )
            );
        }
    }
}

#[test]
fn a_version_with_more_digits_than_a_number_holds_is_a_future_one() {
    let error = read::<ShopEvent>("shop.order.placed.v99999999999999999999999", "{}").unwrap_err();
    assert!(matches!(error, DataError::FutureVersion { .. }));
}

#[test]
fn what_is_no_type_is_unknown() {
    for event_type in [
        "",
        "shop",
        "shop.order.",
        "shop.order.returned.v1",
        "shop.order.placed",
        "shop.order.placed.v",
        "shop.order.placed.v0",
        "shop.order.placed.v01",
        "shop.order.placed.v02",
        "shop.order.placed.v+3",
        "shop.order.placed.v3 ",
        "shop.user.v1",
        "shop.product.created.V2",
        "other.order.placed.v1",
    ] {
        let unknown = Err(DataError::UnknownType { event_type: event_type.to_owned() });
        assert_eq!(read::<ShopEvent>(event_type, "{}"), unknown);
    }
}

#[test]
fn each_service_knows_its_own_types_only() {
    let unknown =
        |event_type: &str| Err::<(), _>(DataError::UnknownType { event_type: event_type.to_owned() });
    let order = "shop.order.cancelled.v1";
    let user = "shop.user.deleted.v1";
    assert_eq!(read::<UserEvent>(order, "{}").map(|_| ()), unknown(order));
    assert_eq!(read::<ProductEvent>(order, "{}").map(|_| ()), unknown(order));
    assert_eq!(read::<OrderEvent>(user, "{}").map(|_| ()), unknown(user));
}

#[test]
fn errors_repeat_only_a_bounded_and_printable_part_of_type_and_data() {
    let long = "\n".repeat(1_000_000);
    let unknown = read::<ShopEvent>(&long, "{}").unwrap_err();
    let future = read::<ShopEvent>(&format!("{PLACED}{}", "9".repeat(1_000_000)), "{}").unwrap_err();
    let field =
        read::<ShopEvent>(PLACED, &format!(r#"{{"order_id":"{}"}}"#, "9".repeat(1_000_000))).unwrap_err();
    let text = serde_json::to_string(&long).unwrap();
    let wrong = read::<ShopEvent>(PLACED, &placed(&format!(r#","quantity":{text}"#))).unwrap_err();
    for error in [unknown, future, field, wrong] {
        let message = error.to_string();
        assert!(message.len() < 600 && !message.contains('\n'), "{message}");
    }
}

#[test]
fn both_kinds_of_error_pass_through_open() {
    let envelope = open::<ShopEvent>(Some(b"{}"), Vec::new).unwrap_err();
    assert!(matches!(envelope, EventError::Envelope(_)));
    assert_eq!(envelope.to_string(), "attribute `specversion` is missing");

    let sample = crate::files::sample_at("samples/shop.order.placed.v2/dozen-traced.json").value;
    let wrong = String::from_utf8(sample).unwrap().replace(r#""quantity":12"#, r#""quantity":0"#);
    let data = open::<ShopEvent>(Some(wrong.as_bytes()), Vec::new).unwrap_err();
    assert!(matches!(&data, EventError::Data(DataError::Field { field, .. }) if field == "quantity"));
}
