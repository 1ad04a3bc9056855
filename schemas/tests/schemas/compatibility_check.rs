//! Full transitive compatibility of all published versions, and proof that the check sees what breaks it.

use std::collections::BTreeMap;

use daybook_event::event_data::EventData;
use schemas::ShopEvent;
use serde_json::{Value, json};

use crate::compatibility::{Breach, breaches_alone, breaches_between};
use crate::files::{data_schemas, json, newest_types, samples, split_version};

/// The fields that upcasting fills in: type, the version that first required the field, field, value.
fn upcast_defaults() -> [(&'static str, u32, &'static str, Value); 3] {
    [
        ("shop.product.created", 2, "price_cents", Value::Null),
        ("shop.product.changed", 2, "price_cents", Value::Null),
        ("shop.order.placed", 2, "quantity", json!(1)),
    ]
}

/// The published schemas of each type, by version.
fn versions() -> BTreeMap<String, BTreeMap<u32, Value>> {
    let mut types = BTreeMap::<String, BTreeMap<u32, Value>>::new();
    for (event_type, schema) in data_schemas() {
        let (stem, version) = split_version(&event_type);
        types.entry(stem.to_owned()).or_default().insert(version, schema);
    }
    types
}

#[test]
fn every_pair_of_versions_is_compatible() {
    for (stem, versions) in versions() {
        for (version, schema) in &versions {
            assert_eq!(breaches_alone(schema), [], "{stem}.v{version}");
            for (older_version, older) in versions.range(..version) {
                let defaults = defaults_between(&stem, *older_version, *version);
                let breaches = breaches_between(older, schema, &defaults);
                assert_eq!(breaches, [], "{stem}: v{version} breaks v{older_version}");
            }
        }
    }
}

fn defaults_between(stem: &str, older: u32, newer: u32) -> Vec<&'static str> {
    let defaults = upcast_defaults().into_iter();
    defaults
        .filter(|(of, since, ..)| *of == stem && (older + 1..=newer).contains(since))
        .map(|(_, _, field, _)| field)
        .collect()
}

#[test]
fn every_type_of_the_code_has_all_its_versions_published_and_no_others() {
    let published =
        versions().into_iter().map(|(stem, versions)| (stem, versions.keys().copied().collect::<Vec<_>>()));
    let known = newest_types().into_iter().map(|newest| {
        let (stem, newest) = split_version(newest);
        (stem.to_owned(), (1..=newest).collect::<Vec<_>>())
    });
    assert_eq!(published.collect::<BTreeMap<_, _>>(), known.collect::<BTreeMap<_, _>>());
}

#[test]
fn each_schema_is_called_what_its_file_is_called() {
    for (event_type, schema) in data_schemas() {
        assert_eq!(schema["title"], event_type.as_str());
        assert_eq!(schema["$id"], format!("urn:daybook:schema:{event_type}"));
    }
}

#[test]
fn the_code_fills_in_the_defaults_that_the_check_counts_on() {
    for (stem, since, field, value) in upcast_defaults() {
        let mut seen = 0;
        for sample in samples() {
            let (of, version) = split_version(&sample.event_type);
            if of == stem && version < since {
                let opened =
                    daybook_event::event_data::open::<ShopEvent>(Some(&sample.value), Vec::new).unwrap();
                let upcast = json(opened.event.to_data().unwrap().get().as_bytes());
                assert_eq!(upcast.get(field), Some(&value), "{} of {}", field, sample.path);
                seen += 1;
            }
        }
        assert!(seen > 0, "no sample of {stem} before version {since}");
    }
}

fn placed(version: u32) -> Value {
    versions()["shop.order.placed"][&version].clone()
}

/// What the check finds between version 1 of an order and `edit` of version 2.
#[track_caller]
fn check(edit: impl FnOnce(&mut Value), expected: &[Breach]) {
    let mut newer = placed(2);
    edit(&mut newer);
    assert_eq!(breaches_between(&placed(1), &newer, &["quantity"]), expected);
}

fn unrequire(schema: &mut Value, field: &str) {
    schema["required"].as_array_mut().unwrap().retain(|required| required != field);
}

#[test]
fn the_check_sees_a_dropped_field() {
    let edit = |schema: &mut Value| {
        unrequire(schema, "user_id");
        schema["properties"].as_object_mut().unwrap().remove("user_id");
    };
    check(edit, &[Breach::Dropped { field: "user_id".to_owned() }]);
}

#[test]
fn the_check_sees_a_field_that_is_no_longer_required() {
    check(|schema| unrequire(schema, "user_id"), &[Breach::NoLongerRequired { field: "user_id".to_owned() }]);
}

#[test]
fn the_check_sees_every_constraint_that_changed() {
    let changed =
        |keyword: &str| Breach::Changed { field: "order_id".to_owned(), keyword: keyword.to_owned() };
    for keyword in
        ["type", "format", "minimum", "maximum", "minLength", "maxLength", "pattern", "enum", "const"]
    {
        check(|schema| schema["properties"]["order_id"][keyword] = json!("other"), &[changed(keyword)]);
    }
    check(|schema| schema["properties"]["order_id"]["description"] = json!("other"), &[]);
}

#[test]
fn the_check_sees_a_narrowed_and_a_widened_type() {
    let quantity_as = |kind: Value| {
        let mut third = placed(2);
        third["properties"]["quantity"]["type"] = kind;
        breaches_between(&placed(2), &third, &[])
    };
    let changed = [Breach::Changed { field: "quantity".to_owned(), keyword: "type".to_owned() }];
    assert_eq!(quantity_as(json!("string")), changed);
    assert_eq!(quantity_as(json!(["integer", "null"])), changed);
    assert_eq!(quantity_as(json!("integer")), []);
}

#[test]
fn the_check_sees_a_required_field_without_default() {
    let edit = |schema: &mut Value| schema["required"].as_array_mut().unwrap().push(json!("gift"));
    check(edit, &[Breach::NoDefault { field: "gift".to_owned() }]);
    let optional = |schema: &mut Value| schema["properties"]["gift"] = json!({"type": "boolean"});
    check(optional, &[]);
}

#[test]
fn the_check_sees_a_field_that_comes_back_as_something_else() {
    let first = json!({"required": [], "properties": {"note": {"type": "string"}}});
    let second = json!({"required": [], "properties": {}});
    let third = json!({"required": [], "properties": {"note": {"type": "integer"}}});
    assert_eq!(breaches_between(&first, &second, &[]), []);
    assert_eq!(breaches_between(&second, &third, &[]), []);
    let changed = Breach::Changed { field: "note".to_owned(), keyword: "type".to_owned() };
    assert_eq!(breaches_between(&first, &third, &[]), [changed]);
}

#[test]
fn the_check_refuses_what_it_does_not_understand() {
    let alone = |edit: fn(&mut Value)| {
        let mut schema = placed(2);
        edit(&mut schema);
        breaches_alone(&schema)
    };
    let keyword =
        |field: &str, keyword: &str| Breach::Keyword { field: field.to_owned(), keyword: keyword.to_owned() };
    assert_eq!(
        alone(|schema| schema["additionalProperties"] = json!(false)),
        [keyword("", "additionalProperties")]
    );
    assert_eq!(
        alone(|schema| schema["properties"]["quantity"]["multipleOf"] = json!(2)),
        [keyword("quantity", "multipleOf")]
    );
    assert_eq!(
        alone(|schema| schema["required"][0] = json!("gift")),
        [Breach::Undescribed { field: "gift".to_owned() }]
    );
}
