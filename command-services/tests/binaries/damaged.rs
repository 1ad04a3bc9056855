//! A store whose bytes are not what was written.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use crate::child::{Service, broker, request, users_on};

const USERS: usize = 200;

#[test]
fn a_damaged_store_is_named_with_its_remedy_which_helps() {
    let (older, unreadable) = ("the old store ends before the log does", "the old store cannot be read");
    // What sled finds before the damage is a store again, an older one.
    let damages: [(_, fn(&Path), _); 4] = [
        ("zeroes in the middle", zeroes, older),
        ("cut off", cut_off, older),
        ("no header", no_header, older),
        ("no configuration", no_configuration, unreadable),
    ];
    for (what, damage, told) in damages {
        let (broker, dir) = (broker(), TempDir::new().unwrap());
        let data = dir.path().join("data");
        let service = Service::start(users_on(&broker, &data));
        for number in 0..USERS {
            let user = json!({"email": format!("{number}@example.org"), "name": "Ada", "address": "1 Row"});
            assert_eq!(request(&service.address, "POST", "/users", &user.to_string()).unwrap().0, 201);
        }
        assert!(service.terminate().0.success());
        damage(&data.join("store/db"));

        let refused = users_on(&broker, &data).output().unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{what}: {said}");
        let last = said.lines().last().unwrap();
        assert!(last.contains("--recover") && last.contains("store"), "{what}: {said}");

        let mut recover = users_on(&broker, &data);
        recover.arg("--recover");
        let service = Service::start(recover);
        let again = json!({"email": "0@example.org", "name": "Ada", "address": "1 Row"}).to_string();
        assert_eq!(request(&service.address, "POST", "/users", &again).unwrap().0, 409, "{what}");
        let (status, said) = service.terminate();
        assert!(
            status.success() && said.contains(told) && said.contains("not yet sent to Kafka"),
            "{what}: {said}"
        );
    }
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
