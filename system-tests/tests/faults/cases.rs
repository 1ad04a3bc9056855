//! How many cases of a kind there are, and the random numbers of each.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// Cases of each kind, unless `FAULT_CASES` says otherwise: 12 in `.ci/run`.
const CASES: u64 = 3;
const SEED: u64 = 9;
/// Cases of a kind that are under way together.
const AT_ONCE: usize = 4;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Does every case of a kind, from `FAULT_FIRST` on, some at once: most of their time they wait. The random numbers of each
/// follow from `FAULT_SEED`, the kind and its number.
pub(crate) fn each(kind: u64, case: impl Fn(u64, &mut StdRng) + Sync) {
    let seed = setting("FAULT_SEED", SEED);
    let (first, end) = (setting("FAULT_FIRST", 0), setting("FAULT_CASES", CASES));
    let next = AtomicU64::new(first);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= end {
                return;
            }
            let random = StdRng::seed_from_u64(seed << 40 | kind << 32 | number);
            let done = catch_unwind(AssertUnwindSafe(|| case(number, &mut { random })));
            if let Err(panic) = done {
                eprintln!(
                    "kind {kind}, case {number} failed; FAULT_SEED={seed} FAULT_FIRST={number} FAULT_CASES={} repeats it",
                    number + 1
                );
                next.store(end, Ordering::Relaxed);
                resume_unwind(panic);
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        let ends: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        ends.into_iter().for_each(|end| end.unwrap_or_else(|panic| resume_unwind(panic)));
    });
}
