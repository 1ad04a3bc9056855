//! One fault after the other, each in a world of its own on the same Kafka, until it is found.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quickstart::client::Client as Http;
use tokio::runtime::Handle;

use super::attempt::{Attempt, Outcome};
use super::{ALL, Sabotage};
use crate::flags::Flags;
use crate::report::{progress, say};
use crate::world::cluster::Cluster;
use crate::{Fallible, STOPPED};

/// How many more strikes are waited for after an attempt in which a check found nothing.
const MORE_STRIKES: usize = 4;

/// What all attempts share.
pub(crate) struct Run<'r> {
    pub(crate) flags: &'r Flags,
    pub(crate) seed: u64,
    pub(crate) directory: &'r Path,
    pub(crate) http: Http,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) handle: &'r Handle,
}

/// Whether every fault that was asked for is found by the checks that are there for it.
pub(crate) fn run(asked: &str, mut cluster: Cluster, run: &Run<'_>) -> Fallible<bool> {
    say(&format!("sabotage   seed {}", run.seed));
    let mut all_found = true;
    for sabotage in ALL.iter().filter(|sabotage| asked == "all" || asked == sabotage.failpoint.name) {
        let found;
        (found, cluster) = until_found(sabotage, cluster, run)?;
        all_found &= found;
    }
    Ok(all_found)
}

fn until_found(sabotage: &Sabotage, mut cluster: Cluster, run: &Run<'_>) -> Fallible<(bool, Cluster)> {
    let began = Instant::now();
    let by = began + run.flags.minutes;
    let mut attempt = Attempt { sabotage, number: 1, strikes: sabotage.strikes, by };
    loop {
        progress(&format!("{}, attempt {}", sabotage.failpoint.name, attempt.number));
        let outcome;
        (outcome, cluster) = attempt.carry_out(cluster, run)?;
        if run.stop.load(Ordering::Relaxed) {
            return Err(STOPPED.into());
        }
        let found = sabotage.is_found_by(&outcome.found_by);
        if found || Instant::now() >= by {
            tell(sabotage, &outcome, found, began.elapsed());
            return Ok((found, cluster));
        }
        attempt.number += 1;
        attempt.strikes *= MORE_STRIKES;
    }
}

fn tell(sabotage: &Sabotage, outcome: &Outcome, found: bool, took: Duration) {
    let (name, seconds) = (sabotage.failpoint.name, took.as_secs());
    let by = outcome.found_by.join(", ");
    let struck = outcome.struck;
    if found {
        say(&format!("  {name:<16} {seconds:>4} s  struck {struck:>4}  found by {by}"));
    } else {
        let expected = sabotage.found_by.join(", ");
        say(&format!(
            "  {name:<16} {seconds:>4} s  struck {struck:>4}  NOT FOUND by all of {expected}; found by {by}"
        ));
    }
    for words in &outcome.said {
        say(&format!("  {:<16} {words}", ""));
    }
}
