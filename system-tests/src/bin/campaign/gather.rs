//! What is left when everybody has gone home: the log, D's last answers, C's tables, and D's rows against a replay. What
//! cannot be gathered, because a service has stopped, is evidence too.

mod questions;

use std::collections::{BTreeMap, BTreeSet};

use quickstart::client::Client;
use schemas::ShopEvent;
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::Fallible;
use crate::evidence::{Evidence, Logged, Quiet, split_repeats};
use crate::faults::read_model;
use crate::history::History;
use crate::log;
use crate::world::service::Service;
use crate::world::{ORDERS, QUERY, World};
use questions::{Answers, Questions};

/// Brings everything to rest and looks at it.
pub(crate) fn evidence(
    world: &mut World,
    history: History,
    quiet: Vec<Quiet>,
    client: &Client,
    handle: &Handle,
) -> Fallible<Evidence> {
    let mut missing = Vec::new();
    let mut noted = |done: Fallible<()>| missing.extend(done.err().map(|error| error.to_string()));
    // SIGTERM drains the outboxes: what is in the log then is all that there will ever be.
    for service in world.services.iter_mut().take(QUERY) {
        noted(service.stop());
    }
    let whole = log::read(&world.kafka())?;
    let (log, repeats) = split_repeats(whole.in_force);
    world.service(ORDERS)?.start();
    // A and B are no longer needed.
    for index in [ORDERS, QUERY] {
        noted(world.service(index)?.ready());
    }
    let questions =
        Questions { client, after: ends(&log), urls: world.urls(), answer_max: world.patience.answer };
    let (asked_users, asked_products) = (subjects(&log, is_user), subjects(&log, is_product));
    let answers = handle.block_on(questions.answers(&asked_users, &asked_products));
    for index in [ORDERS, QUERY] {
        noted(world.service(index)?.stop());
    }
    let Answers { users, products, standing, unanswered } = answers;
    missing.extend(unanswered);
    let mut verified = std::mem::take(&mut world.verified);
    verified.push(read_model::verified(world));
    let unasked = std::mem::take(&mut world.unasked);
    let disk_faults = std::mem::take(&mut world.disk_faults);
    let indexes_built = world.services.iter().map(Service::indexes_built).sum();
    let (superseded, unreadable) = (whole.superseded, whole.unreadable);
    Ok(Evidence {
        history,
        log,
        repeats,
        superseded,
        unreadable,
        users,
        products,
        standing,
        verified,
        unasked,
        disk_faults,
        quiet,
        indexes_built,
        missing,
    })
}

fn is_user(event: &ShopEvent) -> bool {
    matches!(event, ShopEvent::User(_))
}

fn is_product(event: &ShopEvent) -> bool {
    matches!(event, ShopEvent::Product(_))
}

fn subjects(log: &[Logged], of: fn(&ShopEvent) -> bool) -> BTreeSet<Uuid> {
    log.iter().filter(|record| of(&record.event)).map(|record| record.aggregate).collect()
}

/// The last position of every partition.
fn ends(log: &[Logged]) -> BTreeMap<(String, i32), u64> {
    log.iter().map(|record| ((record.topic.clone(), record.partition), record.position)).collect()
}
