//! Damage under a service that runs, which goes on for a while, and is then killed or stopped.

use rand::RngExt as _;

use crate::at_rest::lived_in;
use crate::cases;
use crate::damage::{Kind, PLACES, damage};
use crate::verdict::{assert_allowed, judge};
use crate::world::{Kafka, stopped};

/// Commands after the damage.
const COMMANDS: usize = 6;
/// Ends of the problems that a repeated command may meet: its record cannot be read, or the service has noticed and is about
/// to end.
const REFUSALS: [&str; 3] = ["key-unreadable", "store-fails", "stopping"];

#[test]
fn damage_under_a_service_that_runs_loses_nothing_or_is_named() {
    cases::each(20, |case, random| {
        let kind = [Kind::FlippedBit, Kind::ZeroedPage, Kind::Cut, Kind::Lost][case as usize % 4];
        let place = PLACES[random.random_range(0..PLACES.len())];
        let kafka = if random.random_bool(0.5) { Kafka::Away } else { Kafka::There };
        let mut world = lived_in(kafka, random);
        let mut process = world.start(kafka, &[]);
        let address = process.address();
        world.fill(address, 4);
        let done = damage(&world.store(), kind, place, random);
        for _ in 0..COMMANDS {
            // It may have noticed, and ended.
            let answer = world.sign_up(address);
            assert!(answer.is_none_or(|answer| answer.status == 201 || answer.status == 503));
        }
        for told in &world.told {
            if let Some(repeated) = told.repeated(address) {
                let may_be = repeated == told.answer || REFUSALS.contains(&repeated.problem());
                assert!(may_be, "{repeated:?} where {:?} was answered before", told.answer);
            }
        }
        if random.random_bool(0.5) {
            process.kill()
        } else {
            drop(stopped(process))
        }
        eprintln!("case {case}: {done}, Kafka was {kafka:?}");
        let verdict = judge(&mut world);
        eprintln!("case {case}: {}", verdict.short());
        assert_allowed(&done, &verdict);
    });
}
