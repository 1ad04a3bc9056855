//! The code and the JSON Schemas accept the same data.

use daybook_event::event_data::{DataError, EventData};
use schemas::ShopEvent;
use serde_json::{Value, json};

use crate::files::{data_schemas, json, samples, validator};

/// What a field is replaced by, one at a time.
fn replacements() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(1.5),
        json!(4_294_967_295_u32),
        json!(4_294_967_296_u64),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(9_223_372_036_854_775_808_u64),
        json!(1e30),
        json!(""),
        json!("text"),
        json!("1"),
        json!("019cada1-4c09-73d9-a344-5bb31738f7d9"),
        json!("019CADA1-4C09-73D9-A344-5BB31738F7D9"),
        json!("019cada1-4c09-73d9-a344-5bb31738f7dg"),
        json!("019cada1-4c09-73d9-a344-5bb31738f7d"),
        json!([]),
        json!(["019cada1-4c09-73d9-a344-5bb31738f7d9"]),
        json!({}),
    ]
}

/// What the code says of `data`: whether it takes it, and else the field it names.
fn verdict(event_type: &str, data: &Value) -> Result<(), String> {
    let data = serde_json::value::to_raw_value(data).unwrap();
    match ShopEvent::from_data(event_type, &data) {
        Ok(_) => Ok(()),
        Err(DataError::Field { field, .. }) => Err(field),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn code_and_schema_agree_on_every_field_and_the_code_names_it() {
    let schemas = data_schemas();
    for sample in samples() {
        let schema = validator(&schemas[&sample.event_type]);
        let good = json(&sample.value)["data"].clone();
        for field in good.as_object().unwrap().keys() {
            let mut cases = replacements().into_iter().map(Some).collect::<Vec<_>>();
            cases.push(None);
            for case in cases {
                let mut data = good.clone();
                match &case {
                    Some(value) => data[field] = value.clone(),
                    None => _ = data.as_object_mut().unwrap().remove(field),
                }
                let expected = if schema.is_valid(&data) { Ok(()) } else { Err(field.clone()) };
                let at = format!("{}: {field} = {case:?}", sample.event_type);
                assert_eq!(verdict(&sample.event_type, &data), expected, "{at}");
            }
        }
    }
}

#[test]
fn code_and_schema_agree_on_what_is_no_object() {
    for (event_type, schema) in data_schemas() {
        for data in [json!(null), json!(5), json!([]), json!("{}")] {
            assert!(!validator(&schema).is_valid(&data));
            assert_eq!(verdict(&event_type, &data), Err(String::new()), "{event_type}: {data}");
        }
    }
}

#[test]
fn code_and_schema_agree_to_ignore_unknown_fields() {
    for sample in samples() {
        let mut data = json(&sample.value)["data"].clone();
        data["unknown_field"] = json!({"any": ["thing"]});
        assert_eq!(verdict(&sample.event_type, &data), Ok(()), "{}", sample.path);
    }
}
