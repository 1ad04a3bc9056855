//! A store whose bytes are not what was written.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use daybook_kafka::embedded::EmbeddedBroker;
use serde_json::json;
use tempfile::TempDir;

use crate::child::{Service, broker, request, users_on};

const USERS: usize = 200;

#[test]
fn a_damaged_index_is_built_again_and_nothing_is_lost() {
    let damages: [(_, fn(&Path)); 5] = [
        ("zeroes in the middle", zeroes),
        ("cut off", cut_off),
        ("no header", no_header),
        ("no configuration", no_configuration),
        ("nothing at all", remove),
    ];
    for (what, damage) in damages {
        let (broker, dir) = (broker(), TempDir::new().unwrap());
        let data = dir.path().join("data");
        // Each start begins a segment of the journal, and those that the index has go as soon as they are not kept.
        for numbers in [0..USERS, USERS..USERS + 1, USERS + 1..USERS + 2] {
            sign_up_and_end(&broker, &data, numbers);
        }
        damage(&data.join("store/index/db"));
        let service = Service::start(users_on(&broker, &data));
        for number in 0..USERS + 2 {
            assert_eq!(sign_up(&service, number), 409, "{what}: {number}");
        }
        assert_eq!(sign_up(&service, USERS + 2), 201);
        let (status, said) = service.terminate();
        let told = ["the store's index was built again", "brought to where the journal is"];
        assert!(status.success() && told.iter().any(|told| said.contains(told)), "{what}: {said}");
    }
}

fn sign_up_and_end(broker: &EmbeddedBroker, data: &Path, numbers: Range<usize>) {
    let service = Service::start(users_on(broker, data));
    for number in numbers {
        assert_eq!(sign_up(&service, number), 201);
    }
    assert!(service.terminate().0.success());
}

fn sign_up(service: &Service, number: usize) -> u16 {
    let user = json!({"email": format!("{number}@example.org"), "name": "Ada", "address": "1 Row"});
    request(&service.address, "POST", "/users", &user.to_string()).unwrap().0
}

fn zeroes(db: &Path) {
    let (file, length) = opened(db);
    file.write_all_at(&vec![0; (length / 2) as usize], length / 4).unwrap();
}

fn cut_off(db: &Path) {
    let (file, length) = opened(db);
    file.set_len(length / 3).unwrap();
}

fn no_header(db: &Path) {
    let (file, _) = opened(db);
    file.write_all_at(&[0xaa; 64], 0).unwrap();
}

fn no_configuration(db: &Path) {
    fs::write(db.with_file_name("conf"), "segment_size: 7").unwrap();
}

fn remove(db: &Path) {
    fs::remove_dir_all(db.parent().unwrap()).unwrap();
}

fn opened(db: &Path) -> (File, u64) {
    (File::options().write(true).open(db).unwrap(), fs::metadata(db).unwrap().len())
}
