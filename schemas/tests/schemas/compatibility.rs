//! Which changes between two versions of a type are allowed: the rule of full compatibility, as a pure function.
//!
//! Both directions hold: a newer reader reads older events (with the defaults that upcasting fills in), and what an
//! older reader relied on is still in newer events. So a field that both versions have keeps its constraints to the
//! letter, what was required stays required, and what is newly required needs a default. Applied to every pair of
//! versions of a type, not only to neighbours, the check is transitive.

use serde_json::{Map, Value};

/// What a schema of `data` may say as a whole. Anything else could close or change it in ways not checked here.
const SCHEMA_KEYWORDS: [&str; 7] =
    ["$schema", "$id", "title", "description", "type", "required", "properties"];
/// What may be said about a field without constraining it.
const ANNOTATIONS: [&str; 3] = ["title", "description", "examples"];
/// What may constrain a field.
const CONSTRAINTS: [&str; 9] =
    ["type", "format", "minimum", "maximum", "minLength", "maxLength", "pattern", "enum", "const"];

/// Why a schema, or a newer version of one, breaks readers or events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Breach {
    /// The schema uses a keyword that this check does not understand, `additionalProperties` for one.
    Keyword { field: String, keyword: String },
    /// A field is required but not described.
    Undescribed { field: String },
    /// A field that older events always have is not in newer ones.
    Dropped { field: String },
    /// A field that older events always have may be left out of newer ones.
    NoLongerRequired { field: String },
    /// A field that both versions have is constrained differently.
    Changed { field: String, keyword: String },
    /// A field is newly required, and upcasting fills in nothing.
    NoDefault { field: String },
}

/// What is wrong with one schema by itself.
pub(crate) fn breaches_alone(schema: &Value) -> Vec<Breach> {
    let mut breaches = unknown_keywords("", schema, &SCHEMA_KEYWORDS);
    for (field, described) in properties(schema) {
        breaches.extend(unknown_keywords(field, described, &[&ANNOTATIONS[..], &CONSTRAINTS].concat()));
    }
    let undescribed = required(schema).filter(|field| !properties(schema).contains_key(*field));
    breaches.extend(undescribed.map(|field| Breach::Undescribed { field: field.to_owned() }));
    breaches
}

/// What `newer` breaks of `older`; `defaults` are the fields that upcasting to `newer` fills in.
pub(crate) fn breaches_between(older: &Value, newer: &Value, defaults: &[&str]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for field in required(older).filter(|field| !is_required(newer, field)) {
        let field = field.to_owned();
        breaches.push(match properties(newer).contains_key(&field) {
            true => Breach::NoLongerRequired { field },
            false => Breach::Dropped { field },
        });
    }
    for (field, described) in properties(older) {
        if let Some(newly_described) = properties(newer).get(field) {
            breaches.extend(changes(field, described, newly_described));
        }
    }
    let without_default = |field: &&str| !is_required(older, field) && !defaults.contains(field);
    let newly_required = required(newer).filter(without_default);
    breaches.extend(newly_required.map(|field| Breach::NoDefault { field: field.to_owned() }));
    breaches
}

fn changes(field: &str, older: &Value, newer: &Value) -> Vec<Breach> {
    let changed = CONSTRAINTS.iter().filter(|keyword| older.get(keyword) != newer.get(keyword));
    changed
        .map(|keyword| Breach::Changed { field: field.to_owned(), keyword: (*keyword).to_owned() })
        .collect()
}

fn unknown_keywords(field: &str, schema: &Value, known: &[&str]) -> Vec<Breach> {
    let keywords = schema.as_object().unwrap().keys();
    let unknown = keywords.filter(|keyword| !known.contains(&keyword.as_str()));
    unknown.map(|keyword| Breach::Keyword { field: field.to_owned(), keyword: keyword.clone() }).collect()
}

fn properties(schema: &Value) -> &Map<String, Value> {
    schema["properties"].as_object().unwrap()
}

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    schema["required"].as_array().unwrap().iter().map(|field| field.as_str().unwrap())
}

fn is_required(schema: &Value, field: &str) -> bool {
    required(schema).any(|required| required == field)
}
