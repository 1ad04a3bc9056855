//! A service is killed with SIGKILL in the middle of a burst of commands, again and again.
//!
//! Afterwards every acknowledged command is there, in the store and in the log, exactly once; no other one is there
//! twice; and the log's positions are contiguous.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::child::{Service, broker, request, users_on};
use crate::log::signed_up;

const ROUNDS: usize = 8;
const CLIENTS: usize = 8;
/// Commands acknowledged before the kill; more in each round, so that it falls at different moments.
const ACKNOWLEDGED_MIN: usize = 40;

#[test]
fn no_acknowledged_command_is_lost_by_a_kill() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let mut acknowledged = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut service = Service::start(users_on(&broker, &dir.path().join("data")));
        let wanted = ACKNOWLEDGED_MIN + 7 * round;
        acknowledged.extend(burst_until_killed(&mut service, round, wanted));
    }
    let service = Service::start(users_on(&broker, &dir.path().join("data")));
    for (user_id, email) in &acknowledged {
        let (status, body) = request(&service.address, "GET", &format!("/users/{user_id}"), "").unwrap();
        let user: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, user["email"].as_str()), (200, Some(&**email)));
    }
    let (status, said) = service.terminate();
    assert!(status.success(), "{said}");
    let in_log = signed_up(&broker.kafka(""));
    let lost: Vec<_> = acknowledged.iter().filter(|(user_id, _)| !in_log.contains_key(*user_id)).collect();
    assert!(lost.is_empty(), "acknowledged, and not in the log: {lost:?}");
    let emails: BTreeSet<_> = in_log.values().collect();
    assert_eq!(emails.len(), in_log.len(), "no address signed up twice");
}

/// Clients sign users up until enough are acknowledged; then the service is killed under them.
fn burst_until_killed(service: &mut Service, round: usize, wanted: usize) -> BTreeMap<String, String> {
    let (acknowledged, count) = (Mutex::new(BTreeMap::new()), AtomicUsize::new(0));
    let address = service.address.clone();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (acknowledged, count, address) = (&acknowledged, &count, &address);
            scope.spawn(move || {
                for number in 0.. {
                    let email = format!("{round}-{client}-{number}@example.org");
                    let body = json!({"email": email, "name": "Ada", "address": "1 Row"}).to_string();
                    let Some((status, body)) = request(address, "POST", "/users", &body) else { return };
                    assert_eq!(status, 201, "{body}");
                    let user: Value = serde_json::from_str(&body).unwrap();
                    let user_id = user["user_id"].as_str().unwrap().to_owned();
                    acknowledged.lock().unwrap().insert(user_id, email);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while count.load(Ordering::Relaxed) < wanted {
            std::thread::yield_now();
        }
        service.kill();
    });
    acknowledged.into_inner().unwrap()
}
