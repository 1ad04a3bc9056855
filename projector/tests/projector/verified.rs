//! One flipped bit of a published row is found, by name.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use projector::kernel::verify::{VerifyReport, verify};
use projector::kernel::{ReadModel, ReplayOptions};
use projector::shop;
use uuid::Uuid;

use crate::broker::Broker;
use crate::log::{Log, created, placed, signed_up};
use crate::rebuilds::{options, rebuild};

const LIMIT: usize = 10;

fn verified(broker: &Broker, directory: &Path) -> VerifyReport {
    let read_model = ReadModel::open(directory).unwrap();
    let options = ReplayOptions { publish: false, ..options() };
    let never = AtomicBool::new(false);
    verify(&broker.kafka, &read_model, shop::projection(), &options, LIMIT, |_| {}, &never).unwrap()
}

/// Flips a bit of the first stored value that has `needle`, below the kernel that keeps the digest.
fn flip(rows: &Path, tree: Option<&str>, needle: &[u8]) {
    let db = sled::Config::new().path(rows).segment_size(1 << 20).open().unwrap();
    let tree = tree.map_or_else(|| (*db).clone(), |tree| db.open_tree(tree).unwrap());
    for entry in tree.iter() {
        let (key, value) = entry.unwrap();
        if let Some(at) = value.windows(needle.len()).position(|window| window == needle) {
            let mut value = value.to_vec();
            value[at] ^= 1;
            tree.insert(key, value).unwrap();
            db.flush().unwrap();
            return;
        }
    }
    panic!("{needle:?} is not there");
}

#[test]
fn a_flipped_bit_in_a_block_and_one_in_a_loose_row_are_named() {
    let broker = Broker::start();
    let mut log = Log::default();
    let products: Vec<Uuid> = (0..300).map(|number| Uuid::from_u128(0x100 + number)).collect();
    for (number, product) in products.iter().enumerate() {
        log.write(&created(*product, &format!("product {number:03}"), None));
    }
    log.write(&signed_up(Uuid::from_u128(7)));
    log.write(&placed(Uuid::from_u128(8), Uuid::from_u128(7), products[0], 1));
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    let sound = verified(&broker, directory.path());
    assert!(sound.is_sound(), "{sound:?}");
    assert_eq!((sound.generation.as_str(), sound.events), ("gen-000001", report.events));

    flip(&report.path.join("rows"), Some("blocks"), b"product 123");
    let found = verified(&broker, directory.path());
    assert!(!found.is_sound());
    let [difference] = found.differences.as_slice() else { panic!("{found:?}") };
    assert_eq!((difference.view.as_str(), difference.key), ("products", products[123]));
    let (served, rebuilt) = (difference.served.as_ref().unwrap(), difference.rebuilt.as_ref().unwrap());
    assert!(rebuilt.contains(&hex::encode(b"product 123")), "{rebuilt}");
    assert_eq!(served.len(), rebuilt.len());
    // The digest that was kept knows nothing of it: it tells what was written.
    assert_eq!(found.digest_kept, found.digest_rebuilt);

    // Changed since it was built, so it lies loose; its block still holds the flipped one.
    let before = log.records.len();
    log.write(&created(products[123], "product new", None));
    broker.write(&log.records[before..]);
    rebuild(&broker, directory.path(), &ReplayOptions { publish: false, ..options() }).unwrap();
    let read_model = ReadModel::open(directory.path()).unwrap();
    crate::rebuilds::follow_to_the_end(&broker, &read_model, log.records.len() as u64);
    // Every row is right again; the digest that was kept still tells that one was replaced which nobody had written.
    let mended = verified(&broker, directory.path());
    assert!(mended.differences.is_empty() && !mended.is_sound(), "{mended:?}");
    flip(&report.path.join("rows"), None, b"product new");
    let found = verified(&broker, directory.path());
    assert_eq!(found.differences.len(), 1, "{found:?}");
    assert_eq!(found.differences[0].key, products[123]);
    assert!(!directory.path().join("verify").exists());
}
