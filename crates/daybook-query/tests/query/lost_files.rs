//! A file of the read model is gone, or a directory lies in its place: the next start builds what cannot be read anew, and answers
//! as before.

use std::fs;
use std::path::{Path, PathBuf};

use daybook_projection::ReadModel;
use daybook_store::testing::remove_row;
use serde_json::Value;

use crate::http::{get, get_after};
use crate::opening::copy;
use crate::served::{id, joined, launched, paid_in};
use crate::setting::{Setting, status};

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
        let token = setting.log.write_all(&[launched(10, "gold", None), joined(1), paid_in(100, 1, 10, 2)]);
        let path = format!("/owners/{}/deposits", id(1));
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

/// In the directory of a generation; some of them are there only while something is so.
const OF_A_GENERATION: [&str; 8] =
    ["BUILDING", "FINISHED", "LAYOUT", "SKIPPED", "TORN", "rows/conf", "rows/db", "rows/snap."];

fn put_directory_for(generation: &Path, file: &str) -> PathBuf {
    let path = match file {
        "BUILDING" | "SKIPPED" | "TORN" => generation.join(file),
        file => found(generation, file),
    };
    if path.exists() {
        fs::remove_file(&path).unwrap();
    }
    fs::create_dir(&path).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_with_a_directory_for_a_file_is_built_anew_or_withdrawn_and_the_directory_is_named() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[launched(10, "gold", None), joined(1), paid_in(100, 1, 10, 2)]);
    let path = format!("/owners/{}/deposits", id(1));
    let before = get_after(&service.router(), &path, &token).await.text;
    service.stop().await.unwrap();
    let whole = setting.data_dir().with_file_name("whole");
    copy(&setting.data_dir().join("gen-000001"), &whole);
    let restore = || {
        fs::remove_dir_all(setting.data_dir()).unwrap();
        copy(&whole, &setting.data_dir().join("gen-000001"));
        fs::write(setting.data_dir().join("CURRENT"), "gen-000001\n").unwrap();
    };
    for file in OF_A_GENERATION {
        restore();
        put_directory_for(&setting.data_dir().join("gen-000001"), file);
        let service = setting.serve().await;
        assert_eq!(get(&service.router(), "/status").await.ok()["generation"], "gen-000002", "{file}");
        assert_eq!(get_after(&service.router(), &path, &token).await.text, before, "{file}");
        service.stop().await.unwrap();

        restore();
        let next = setting.data_dir().join("gen-000002");
        copy(&whole, &next);
        let directory = put_directory_for(&next, file);
        let service = setting.serve().await;
        ReadModel::open(&setting.data_dir()).unwrap().publish("gen-000002").unwrap();
        let is_withdrawn = |status: &Value| status["next"]["state"] == "withdrawn";
        let reported = status(&service.router(), file, is_withdrawn).await;
        let why = reported["refused"].as_str().unwrap();
        let named = format!("there is a directory where the file {} belongs", directory.display());
        assert!(why.contains(&named) && !why.contains("space"), "{why}");
        service.stop().await.unwrap();
    }
}

/// sled's own settings: one flipped bit, and it takes the store for one that somebody else has made.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_settings_were_changed_is_built_anew() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[launched(10, "gold", None), joined(1), paid_in(100, 1, 10, 2)]);
    let path = format!("/owners/{}/deposits", id(1));
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

/// As an opening of sled leaves it that has dropped what was damaged in the middle of its log: the digest is the newest.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_followed_is_served_with_the_rows_of_its_digest_or_built_anew() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[joined(1), launched(10, "gold", None), paid_in(100, 1, 10, 1)]);
    let before = get_after(&service.router(), "/funds", &token).await.ok();
    service.stop().await.unwrap();
    let rows = setting.data_dir().join("gen-000001/rows");
    remove_row(&rows, b"gold");
    let service = setting.serve().await;
    assert_eq!(get(&service.router(), "/status").await.ok()["generation"], "gen-000002");
    assert_eq!(get_after(&service.router(), "/funds", &token).await.ok(), before);
    service.stop().await.unwrap();
}
