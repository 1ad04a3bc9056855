//! An index whose writes or syncs fail: it is put aside and built again, and nothing is lost with it.

use rand::RngExt as _;
use rand::rngs::StdRng;
use system_tests::injector::{Action, Injector, Operation, Rule};
use system_tests::process::Process;
use system_tests::wait;

use crate::cases;
use crate::world::{Kafka, World};

/// The call that fails is one of so many.
const CALLS: u64 = 6;
const INDEX: &str = "/index/";

#[test]
fn an_index_that_fails_is_put_aside_and_built_again() {
    cases::each(4, |case, random| {
        let (mut world, injector) = (World::new(), Injector::new());
        let operation = [Operation::Write, Operation::Sync][case as usize % 2];
        // For a while, or until the process has ended.
        let count = if case % 4 < 2 { 1 } else { 0 };
        let mut process = world.start_with(Kafka::There, &[], |command| injector.inject(command));
        let address = process.address();
        world.fill(address, 4);
        strike(&injector, operation, count, random);
        let said = ends(&mut world, &mut process);
        injector.heal();
        assert!(!injector.struck().is_empty());
        assert!(said.contains("it was put aside as") && said.contains("which loses nothing"), "{said}");
        assert!(!world.store().join("index").exists() && world.store().join("index.aside").exists());
        process = world.start_with(Kafka::There, &[], |command| injector.inject(command));
        process.address();
        assert!(process.log().contains("the store's index was built again"), "{}", process.log());
        settled(&mut world, &mut process);
        world.assert_whole(process);
    });
}

fn strike(injector: &Injector, operation: Operation, count: u64, random: &mut StdRng) {
    let first = random.random_range(1..=CALLS);
    injector.strike(&[Rule { operation, path: INDEX, first, count, action: Action::Eio }]);
}

/// Commands until the process ends: what it said.
fn ends(world: &mut World, process: &mut Process) -> String {
    let address = process.address();
    wait::until("the index fails, and the service ends", || {
        let Some(answer) = world.sign_up(address) else { return Some(()) };
        let refused = ["store-fails", "stopping"].contains(&answer.problem());
        assert!(answer.status == 201 || refused, "{}", answer.body);
        process.has_ended().map(drop)
    });
    let (status, said) = process.last_words();
    assert_eq!(status.code(), Some(1), "{said}");
    said
}

/// The command that nobody was told of, if there is one, is decided once.
fn settled(world: &mut World, process: &mut Process) {
    let address = process.address();
    if let Some(answer) = world.unanswered(address) {
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    world.fill(address, 2);
}
