//! Requests with fresh keys that no rule allows, while Kafka is away for long: they write no events, and still take room.

use std::fs;
use std::path::Path;

use system_tests::wait;

use crate::world::{Answer, Kafka, World};

const KEYS_MAX: &str = "400";
/// Many times as many as may be remembered.
const REQUESTS: usize = 1_200;
/// Segments that so few keys and events may take.
const JOURNAL_BYTES_MAX: u64 = 20 * 1024 * 1024;

/// Bytes of all files of a store's journal.
pub(crate) fn journal_bytes(store: &Path) -> u64 {
    let entries = fs::read_dir(store.join("journal")).expect("a journal");
    // One may be removed in this very moment.
    entries.filter_map(|entry| entry.ok()?.metadata().ok()).map(|metadata| metadata.len()).sum()
}

#[test]
fn when_no_key_may_be_forgotten_fresh_ones_are_refused_by_name_until_some_may() {
    let mut world = World::new();
    let mut process = world.start(Kafka::Away, &["--idempotency-keys-max", KEYS_MAX]);
    let address = process.address();
    world.fill(address, 8);
    let refused = (0..REQUESTS).find_map(|_| {
        let answer = world.ask_in_vain(address).expect("an answer");
        (answer.status != 422).then_some(answer)
    });
    let refused = refused.expect("a bound");
    assert_eq!((refused.status, refused.problem()), (503, "idempotency-keys-full"), "{}", refused.body);
    assert_eq!(world.told.len().to_string(), KEYS_MAX);
    assert!(journal_bytes(&world.store()) <= JOURNAL_BYTES_MAX);
    for told in &world.told {
        assert_eq!(told.repeated(address).as_ref(), Some(&told.answer));
    }
    process.kill();
    // Kafka is there again, and keys are old enough.
    let flags = ["--idempotency-keys-max", KEYS_MAX, "--idempotency-age-s-min", "0"];
    let mut process = world.start(Kafka::There, &flags);
    let address = process.address();
    wait::until("fresh keys are taken", || match world.unanswered(address).expect("an answer") {
        Answer { status: 422, .. } => Some(()),
        answer => {
            assert_eq!(answer.problem(), "idempotency-keys-full", "{}", answer.body);
            None
        }
    });
    world.fill(address, 8);
    world.assert_users(process);
}

#[test]
fn when_keys_may_be_forgotten_early_the_journal_stays_small_with_unsent_events_in_it() {
    let mut world = World::new();
    let flags = ["--idempotency-keys-max", KEYS_MAX, "--idempotency-age-s-min", "0"];
    let mut process = world.start(Kafka::Away, &flags);
    let address = process.address();
    world.fill(address, 8);
    for _ in 0..REQUESTS {
        wait::until("a fresh key is taken", || {
            let answer =
                if world.is_unanswered() { world.unanswered(address) } else { world.ask_in_vain(address) };
            let answer = answer.expect("an answer");
            assert!(answer.status == 422 || answer.problem() == "idempotency-keys-full", "{}", answer.body);
            (answer.status == 422).then_some(())
        });
        assert!(
            journal_bytes(&world.store()) <= JOURNAL_BYTES_MAX,
            "{} bytes",
            journal_bytes(&world.store())
        );
    }
    process.kill();
    assert!(world.logged().is_empty(), "Kafka was away");
    let mut process = world.start(Kafka::There, &flags);
    world.fill(process.address(), 8);
    world.assert_users(process);
}
