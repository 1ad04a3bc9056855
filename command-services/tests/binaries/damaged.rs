//! A store whose bytes are not what was written.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use event_log::embedded::EmbeddedBroker;
use serde_json::json;
use tempfile::TempDir;

use crate::child::{Service, broker, request, users_on};

const USERS: usize = 200;

#[test]
fn a_damaged_store_is_named_with_its_remedy_which_helps() {
    // What sled finds before the damage may be a store again, an older one.
    let told = ["the old store ends before the log does", "the old store cannot be read"];
    let damages: [(_, fn(&Path)); 4] = [
        ("zeroes in the middle", zeroes),
        ("cut off", cut_off),
        ("no header", no_header),
        ("no configuration", no_configuration),
    ];
    for (what, damage) in damages {
        let (broker, dir) = (broker(), TempDir::new().unwrap());
        let data = dir.path().join("data");
        // Each start begins a segment of the journal, and those that the store has go with the next command.
        for numbers in [0..USERS, USERS..USERS + 1, USERS + 1..USERS + 2] {
            sign_up_and_end(&broker, &data, numbers);
        }
        damage(&data.join("store/index/db"));

        let refused = users_on(&broker, &data).output().unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{what}: {said}");
        let last = said.lines().last().unwrap();
        assert!(last.contains("--recover") && last.contains("store"), "{what}: {said}");

        let mut recover = users_on(&broker, &data);
        recover.arg("--recover");
        let service = Service::start(recover);
        assert_eq!(sign_up(&service, 0), 409, "{what}");
        let (status, said) = service.terminate();
        assert!(
            status.success()
                && told.iter().any(|told| said.contains(told))
                && said.contains("not yet sent to Kafka"),
            "{what}: {said}"
        );
    }
}

#[test]
fn a_damaged_store_is_made_again_of_the_journal_as_far_as_that_goes_back() {
    for damage in [zeroes, cut_off, no_header] {
        let (broker, dir) = (broker(), TempDir::new().unwrap());
        let data = dir.path().join("data");
        sign_up_and_end(&broker, &data, 0..USERS);
        damage(&data.join("store/index/db"));
        let service = Service::start(users_on(&broker, &data));
        for number in 0..USERS {
            assert_eq!(sign_up(&service, number), 409, "{number}");
        }
        assert_eq!(sign_up(&service, USERS), 201);
        let (status, said) = service.terminate();
        assert!(status.success() && said.contains("brought to where the journal is"), "{said}");
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

fn opened(db: &Path) -> (File, u64) {
    (File::options().write(true).open(db).unwrap(), fs::metadata(db).unwrap().len())
}
