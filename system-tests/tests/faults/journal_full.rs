//! A journal that may have no more bytes, while Kafka is away for long: who is refused, who is not, and what ends it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use system_tests::wait;

use crate::kafka_away::journal_bytes;
use crate::world::{Answer, Kafka, World, get};

/// The least that there may be.
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Far more requests than fit in: each takes a block of 4 KiB at least.
const REQUESTS_MAX: usize = 20_000;
/// Of so many requests with fresh keys one signs somebody up, and all others ask for what no rule allows.
const SIGN_UP_EVERY: usize = 64;
/// Requests behind the one that had no room.
const REQUESTS_AFTER: usize = 300;
/// Of so many keys that are known one is repeated.
const REPEATED_EVERY: usize = 20;
/// Pause between two looks at the directory.
const LOOK_PAUSE: Duration = Duration::from_millis(2);

#[test]
fn a_full_journal_refuses_fresh_keys_by_name_answers_known_ones_and_goes_on_by_itself() {
    let mut world = World::in_memory();
    let bound = JOURNAL_BYTES_MAX.to_string();
    let flags = ["--journal-bytes-max", &bound];
    let mut process = world.start(Kafka::Away, &flags);
    let address = process.address();
    let (most, refused) = watched(&mut world, |world| {
        let refused = (0..REQUESTS_MAX).find_map(|number| {
            let asked = match number % SIGN_UP_EVERY {
                0 => world.sign_up(address),
                _ => world.ask_in_vain(address),
            };
            let answer = asked.expect("an answer");
            (answer.status >= 500).then_some(answer)
        });
        for _ in 0..REQUESTS_AFTER {
            let answer = world.in_vain(address).expect("an answer");
            assert_eq!((answer.status, answer.problem()), (503, "journal-full"), "{}", answer.body);
        }
        refused.expect("a bound")
    });
    eprintln!("full after {} requests, with {most} bytes at most: {}", world.told.len(), refused.body);
    assert_eq!((refused.status, refused.problem()), (503, "journal-full"), "{}", refused.body);
    assert!(refused.detail().contains("--journal-bytes-max"), "{}", refused.body);
    assert!(refused.detail().contains("--idempotency-age-s-min"), "{}", refused.body);
    assert!(most <= JOURNAL_BYTES_MAX, "{most}");
    let fresh = world.sign_up(address).expect("an answer");
    assert_eq!((fresh.status, fresh.problem()), (503, "journal-full"), "{}", fresh.body);
    for told in world.told.iter().step_by(REPEATED_EVERY) {
        assert_eq!(told.repeated(address).as_ref(), Some(&told.answer));
    }
    assert_eq!(get(address, "/health/live").map(|live| live.status), Some(200));
    process.kill();
    assert!(world.logged().is_empty(), "Kafka was away");
    // Kafka is there again, and keys are old enough.
    let flags = ["--journal-bytes-max", &bound, "--idempotency-age-s-min", "0"];
    let mut process = world.start(Kafka::There, &flags);
    let address = process.address();
    let (most, ()) = watched(&mut world, |world| {
        wait::until("fresh keys are taken", || match world.unanswered(address).expect("an answer") {
            Answer { status: 201, .. } => Some(()),
            answer => {
                assert_eq!(answer.problem(), "journal-full", "{}", answer.body);
                None
            }
        });
        world.fill(address, 8);
    });
    assert!(most <= JOURNAL_BYTES_MAX, "{most}");
    world.assert_users(process);
}

/// The most bytes that the journal's directory had meanwhile.
fn watched<T>(world: &mut World, work: impl FnOnce(&mut World) -> T) -> (u64, T) {
    let (store, over) = (world.store(), AtomicBool::new(false));
    thread::scope(|scope| {
        let looker = scope.spawn(|| {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                most = most.max(journal_bytes(&store));
                thread::sleep(LOOK_PAUSE);
            }
            most
        });
        // Also where `work` panics: else nobody ends the looking.
        let over = Over(&over);
        let done = work(world);
        drop(over);
        (looker.join().expect("no panic while looking"), done)
    })
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
