//! A disk without room. On real file systems, which a test has to mount: `system-tests/tests/system/disk.rs`.

use system_tests::broker::TestBroker;
use system_tests::injector::{Action, Injector, Operation, Rule};
use system_tests::process::Process;
use system_tests::wait;
use uuid::Uuid;

use crate::grown::Grown;
use crate::journal::waits_for_the_disk;
use crate::world::{Kafka, World, get, shown};

/// New segments of the journal are files of this name first.
const SPARE: &str = "/journal/spare";
const COMMANDS_MAX: usize = 1_000;
/// Users that are changed one after the other lie so many apart.
const SCATTERED: usize = 97;

fn no_room(path: &str, first: u64, count: u64) -> Rule<'_> {
    Rule { operation: Operation::Write, path, first, count, action: Action::Enospc }
}

/// Commands until they are refused because nothing can be written any more.
fn refuses(world: &mut World, process: &mut Process) {
    let address = process.address();
    let answer = (0..COMMANDS_MAX).find_map(|_| {
        let answer = world.sign_up(address).expect("it stays up");
        (answer.status != 201).then_some(answer)
    });
    let answer = answer.expect("the disk takes everything");
    assert_eq!((answer.status, answer.problem()), (503, "store-fails"), "{}", answer.body);
    wait::until("it says that it is not ready", || {
        (get(address, "/health/ready")?.status == 503).then_some(())
    });
    assert_eq!(get(address, "/health/live").map(|live| live.status), Some(200));
}

/// By itself, once there is room.
fn goes_on(world: &mut World, process: &mut Process, injector: &Injector) {
    injector.heal();
    let address = process.address();
    wait::until("it goes on", || {
        let answer = world.unanswered(address).expect("it stays up");
        assert!(answer.status == 201 || answer.status == 503, "{}", answer.body);
        (answer.status == 201).then_some(())
    });
    world.fill(address, 4);
    assert_eq!(get(address, "/health/ready").map(|ready| ready.status), Some(200));
}

#[test]
fn a_young_store_without_room_refuses_commands_and_goes_on_by_itself() {
    let (mut world, injector) = (World::new(), Injector::new());
    let mut process = world.start_with(Kafka::There, &[], |command| injector.inject(command));
    world.fill(process.address(), 4);
    injector.strike(&[no_room("/index/", 1, 0), no_room(SPARE, 1, 0), no_room("/store/trial", 1, 0)]);
    refuses(&mut world, &mut process);
    goes_on(&mut world, &mut process, &injector);
    world.assert_whole(process);
}

/// Users that a store has, where somebody waits for the tests, and in the ignored test.
const GROWN_USERS: usize = 10_000;
const GROWN_USERS_MANY: usize = 300_000;
/// How often the disk gets full.
const ROUNDS: u64 = 3;
/// Of so many users one is asked for.
const SHOWN_EVERY: usize = 500;

#[test]
fn a_grown_store_without_room_refuses_commands_and_goes_on_by_itself() {
    grown_without_room(TestBroker::embedded(), GROWN_USERS);
}

#[test]
#[ignore = "needs DAYBOOK_TEST_BROKERS"]
fn a_store_of_several_100_000_rows_without_room_refuses_commands_and_goes_on_by_itself() {
    grown_without_room(TestBroker::real(), GROWN_USERS_MANY);
}

/// Commands change rows all over the store, whose pages have to be written anew; each time the disk gets full a little later.
fn grown_without_room(broker: TestBroker, users: usize) {
    let Grown { mut world, users } = Grown::make(broker, users);
    let injector = Injector::new();
    let mut process = world.start_with(Kafka::There, &[], |command| injector.inject(command));
    let address = process.address();
    let mut ids = users.iter().map(Uuid::to_string).cycle().step_by(SCATTERED);
    for round in 1..=ROUNDS {
        injector.strike(&[no_room("/index/", round, 0), no_room(SPARE, 1, 0), no_room("/store/trial", 1, 0)]);
        for (number, id) in (0..COMMANDS_MAX).zip(&mut ids) {
            let answer = world.change(address, &id, number).expect("it stays up");
            if answer.status != 200 {
                assert_eq!((answer.status, answer.problem()), (503, "store-fails"), "{}", answer.body);
                break;
            }
        }
        refuses(&mut world, &mut process);
        goes_on(&mut world, &mut process, &injector);
        for id in users.iter().step_by(SHOWN_EVERY) {
            assert_eq!(shown(address, &id.to_string()).map(|answer| answer.status), Some(200), "{id}");
        }
    }
    assert!(
        !world.store().join("index.aside").exists(),
        "a full disk is no fault of the index: {}",
        process.log()
    );
    world.assert_whole(process);
}

/// The first try to make a whole segment finds no room; the zeros that the old one gives back are enough for a small one.
#[test]
fn a_start_without_room_takes_a_small_segment_twice_and_goes_on_by_itself() {
    let (mut world, injector) = (World::new(), Injector::new());
    let mut process = world.start(Kafka::Away, &[]);
    world.fill(process.address(), 4);
    process.kill();
    for _ in 0..2 {
        for spare in ["spare", "spare.new"].map(|name| world.store().join("journal").join(name)) {
            if spare.exists() {
                std::fs::remove_file(spare).unwrap();
            }
        }
        injector.strike(&[no_room(SPARE, 1, 1), no_room(SPARE, 2, 0), no_room("/store/trial", 1, 0)]);
        process = world.start_with(Kafka::There, &[], |command| injector.inject(command));
        refuses(&mut world, &mut process);
        process.kill();
    }
    injector.strike(&[no_room(SPARE, 1, 1), no_room(SPARE, 2, 0), no_room("/store/trial", 1, 0)]);
    process = world.start_with(Kafka::There, &[], |command| injector.inject(command));
    refuses(&mut world, &mut process);
    goes_on(&mut world, &mut process, &injector);
    world.assert_whole(process);
}

#[test]
fn a_start_on_a_disk_that_takes_nothing_claims_nothing_and_goes_on_by_itself() {
    let (mut world, injector) = (World::new(), Injector::new());
    let mut process = world.start(Kafka::Away, &[]);
    world.fill(process.address(), 4);
    process.kill();
    let mut process = waits_for_the_disk(&world, &injector, "/data/", Action::Enospc);
    world.fill(process.address(), 2);
    world.assert_whole(process);
}
