//! A generation that nobody serves is brought to a place in the log, and no further.

use std::cell::Cell;

use daybook_projection::{Checkpoint, catch_up};
use uuid::Uuid;

use crate::broker::Broker;
use crate::domain::{self, joined};
use crate::log::{Log, fresh, project, source_of};

const OWNER: Uuid = Uuid::from_u128(0x77);

fn projected(log: &Log) -> Checkpoint {
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    project(&generation, &log.records);
    Checkpoint::clone(&generation.checkpoint())
}

#[test]
fn whoever_gives_up_waits_for_no_partition_that_nobody_answers_for() {
    let mut log = Log::default();
    log.write(&joined(OWNER));
    let broker = Broker::start_two();
    broker.write(&log.records);
    let away = source_of(&joined(OWNER));
    broker.set_leader(away, None);
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    let asked = Cell::new(0);
    let stop = || asked.replace(asked.get() + 1) > 0;
    catch_up(&broker.kafka, &generation, domain::projection(), &projected(&log), &stop).unwrap();
    assert_eq!(generation.checkpoint().events(), 0);

    broker.set_leader(away, Some(1));
    catch_up(&broker.kafka, &generation, domain::projection(), &projected(&log), &|| false).unwrap();
    assert_eq!(generation.checkpoint().events(), 1);
}
