//! A file of the read model is gone: the next start builds what cannot be read anew, and answers as before.

use std::fs;
use std::path::{Path, PathBuf};

use crate::events::{created, id, placed, signed_up};
use crate::http::get_after;
use crate::setting::Setting;

/// Below the directory of the read model.
const FILES: [&str; 11] = [
    "CURRENT",
    "SERVING",
    "gen-000001",
    "gen-000001/BEFORE",
    "gen-000001/FINISHED",
    "gen-000001/LAYOUT",
    "gen-000001/LOCK",
    "gen-000001/rows",
    "gen-000001/rows/db",
    "gen-000001/rows/conf",
    "gen-000001/rows/snap.",
];

#[tokio::test(flavor = "multi_thread")]
async fn whichever_file_is_gone_the_answers_are_as_before() {
    for file in FILES {
        let setting = Setting::new();
        let service = setting.serve().await;
        let token = setting.log.write_all(&[created(10, "pants", None), signed_up(1), placed(100, 1, 10, 2)]);
        let path = format!("/users/{}/products", id(1));
        let before = get_after(&service.router(), &path, &token).await;
        assert_eq!(before.status, 200, "{before:?}");
        service.stop().await.unwrap();
        remove(&found(&setting.data_dir(), file));
        let service = setting.serve().await;
        let after = get_after(&service.router(), &path, &token).await;
        assert_eq!(after.text, before.text, "without {file}");
        service.stop().await.unwrap();
    }
}

/// sled's own settings: one flipped bit, and it takes the store for one that somebody else has made.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_settings_were_changed_is_built_anew() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[created(10, "pants", None), signed_up(1), placed(100, 1, 10, 2)]);
    let path = format!("/users/{}/products", id(1));
    let before = get_after(&service.router(), &path, &token).await;
    service.stop().await.unwrap();
    let settings = setting.data_dir().join("gen-000001/rows/conf");
    let mut changed = fs::read(&settings).unwrap();
    let digit = changed.iter().position(|byte| *byte == b'1').unwrap();
    changed[digit] ^= 1 << 1;
    fs::write(&settings, changed).unwrap();
    let service = setting.serve().await;
    let after = get_after(&service.router(), &path, &token).await;
    assert_eq!(after.text, before.text);
    service.stop().await.unwrap();
}

/// The file whose path begins so.
fn found(directory: &Path, file: &str) -> PathBuf {
    let begins = directory.join(file);
    let (parent, name) = (begins.parent().unwrap(), begins.file_name().unwrap().to_str().unwrap());
    let mut names = fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path());
    let is_meant = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(name);
    names.find(is_meant).unwrap_or_else(|| panic!("there is no {file}"))
}

fn remove(path: &Path) {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.unwrap();
}
