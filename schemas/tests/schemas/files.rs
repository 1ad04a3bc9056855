//! The published files, and the shop's types as the code knows them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use daybook_event::Event;
use jsonschema::{Draft, Validator};
use schemas::ShopEvent;
use serde::Deserialize;
use serde_json::Value;

/// One event as it was published.
pub(crate) struct Sample {
    /// Such as `samples/shop.user.deleted.v1/deleted.json`.
    pub(crate) path: String,
    /// The type that its directory names.
    pub(crate) event_type: String,
    /// The value of the record: the file without its final line feed.
    pub(crate) value: Vec<u8>,
}

/// One event in binary mode as it was published.
#[derive(Deserialize)]
pub(crate) struct BinarySample {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) value: String,
}

impl BinarySample {
    pub(crate) fn headers(&self) -> Vec<(String, Vec<u8>)> {
        self.headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect()
    }
}

/// All files under `directory` of this crate, by path from the crate's root.
pub(crate) fn under(directory: &str) -> BTreeMap<String, Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = BTreeMap::new();
    let mut directories = vec![root.join(directory)];
    while let Some(directory) = directories.pop() {
        for path in entries(&directory) {
            if path.is_dir() {
                directories.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// All samples in structured mode.
pub(crate) fn samples() -> Vec<Sample> {
    under("samples").into_iter().map(sample).collect()
}

fn sample((path, mut value): (String, Vec<u8>)) -> Sample {
    assert_eq!(value.pop(), Some(b'\n'), "{path} must end with a line feed, which is not part of the event");
    let event_type = path.split('/').nth(1).unwrap().to_owned();
    Sample { path, event_type, value }
}

/// The sample at `path`.
pub(crate) fn sample_at(path: &str) -> Sample {
    samples().into_iter().find(|sample| sample.path == path).unwrap()
}

/// All samples in binary mode, by path.
pub(crate) fn binary_samples() -> BTreeMap<String, BinarySample> {
    let files = under("samples-binary").into_iter();
    files.map(|(path, content)| (path, serde_json::from_slice(&content).unwrap())).collect()
}

/// All schemas of `data`, by event type.
pub(crate) fn data_schemas() -> BTreeMap<String, Value> {
    let files = under("events").into_iter();
    files.filter_map(|(path, content)| Some((type_of_schema(&path)?, json(&content)))).collect()
}

fn type_of_schema(path: &str) -> Option<String> {
    Some(path.strip_prefix("events/")?.strip_suffix(".schema.json")?.to_owned())
}

/// The schema of the envelope.
pub(crate) fn envelope_schema() -> Value {
    json(&fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("envelope.schema.json")).unwrap())
}

/// A validator that also checks formats, and fails on a reference to anywhere else.
pub(crate) fn validator(schema: &Value) -> Validator {
    jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true).build(schema).unwrap()
}

pub(crate) fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

/// The newest name of every type that the code knows.
pub(crate) fn newest_types() -> Vec<&'static str> {
    ShopEvent::NEWEST.to_vec()
}

/// `shop.order.placed.v2` is `shop.order.placed`, 2.
pub(crate) fn split_version(event_type: &str) -> (&str, u32) {
    let (stem, version) = event_type.rsplit_once(".v").unwrap();
    (stem, version.parse().unwrap())
}
