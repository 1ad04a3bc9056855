//! What the relay's marks may leave unsynced.

use std::time::Duration;

use tempfile::TempDir;

use crate::kernel::keep::{Keeper, Places};
use crate::kernel::keys;
use crate::kernel::store::Store;

#[test]
fn while_as_much_lies_unsynced_as_may_nothing_is_marked() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path(), 1 << 20).unwrap();
    let mut keeper = Keeper::open(&store, vec![0], 100, Duration::from_secs(60)).unwrap();
    let mut mark = |acknowledged| {
        keeper.mark(&store, &[acknowledged], &Places::default(), 0).unwrap();
        store.get(&keys::sent(0)).unwrap().map(|sent| sent.to_vec())
    };
    let sent = |sent: u64| Some(sent.to_be_bytes().to_vec());
    assert_eq!(mark(1), sent(1));
    let mut number = 0_u32;
    while !store.is_full_of_unsynced() {
        number += 1;
        store.apply(vec![(number.to_be_bytes().to_vec(), Some(vec![7; 1_000]))]).unwrap();
    }
    assert_eq!(mark(2), sent(1));
    store.sync().unwrap();
    assert_eq!(mark(2), sent(2));
}
