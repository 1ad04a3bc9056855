//! A disk that does not answer.

use system_tests::injector::{Action, Injector, Operation, Rule};
use system_tests::process::Process;
use system_tests::wait;

use crate::world::{Kafka, World, get, stopped};

/// A request is given up after this; far shorter than a disk may take until it counts as stuck.
const FLAGS: [&str; 4] = ["--request-timeout-ms", "1000", "--drain-timeout-ms", "0"];
const SYNCS_HANG: Rule<'static> =
    Rule { operation: Operation::Sync, path: "/journal/0000", first: 1, count: 0, action: Action::Hang };

/// A service whose journal hangs with a command in it that nobody is told of.
fn hanging(world: &mut World, injector: &Injector) -> Process {
    let mut process = world.start_with(Kafka::There, &FLAGS, |command| injector.inject(command));
    let address = process.address();
    world.fill(address, 4);
    injector.strike(&[SYNCS_HANG]);
    let answer = world.sign_up(address).expect("an answer at its deadline");
    assert_eq!((answer.status, answer.problem()), (503, "timeout"), "{}", answer.body);
    assert!(answer.detail().contains("may have been decided all the same"), "{}", answer.body);
    process
}

/// Everything is there after the next start, the command that nobody was told of once.
fn goes_on(world: &mut World, injector: &Injector) {
    injector.heal();
    let mut process = world.start(Kafka::There, &[]);
    let address = process.address();
    assert_eq!(world.unanswered(address).map(|answer| answer.status), Some(201));
    world.fill(address, 2);
    world.assert_whole(process);
}

#[test]
#[ignore = "takes more than a minute"]
fn a_sync_that_never_returns_is_told_and_ends_the_process_after_a_minute() {
    let (mut world, injector) = (World::new(), Injector::new());
    let mut process = hanging(&mut world, &injector);
    let address = process.address();
    let stuck = wait::until("commands are refused at once", || {
        let answer = world.in_vain(address)?;
        assert_eq!(answer.status, 503, "{}", answer.body);
        (answer.problem() == "store-fails").then_some(answer)
    });
    assert!(stuck.detail().contains("the disk has not answered for"), "{}", stuck.body);
    let ready = get(address, "/health/ready").expect("an answer");
    assert_eq!(ready.status, 503, "{}", ready.body);
    assert!(ready.detail().contains("the disk has not answered for"), "{}", ready.body);
    let figures = get(address, "/metrics").expect("an answer").body;
    let figures = figures.as_str().expect("a text");
    for line in ["daybook_ready 0\n", "daybook_not_ready{reason=\"disk-hangs\"} 1\n"] {
        assert!(figures.contains(line), "{line} in {figures}");
    }
    assert_eq!(get(address, "/health/live").map(|live| live.status), Some(200));
    let (status, said) = process.last_words();
    assert_eq!(status.code(), Some(1), "{said}");
    let last = said.lines().next_back().unwrap_or_default();
    assert!(
        last.contains("the process ends without waiting for it; what was acknowledged is on disk"),
        "{said}"
    );
    goes_on(&mut world, &injector);
}

#[test]
fn while_a_sync_hangs_sigterm_ends_the_process() {
    let (mut world, injector) = (World::new(), Injector::new());
    let process = hanging(&mut world, &injector);
    let (status, said) = stopped(process);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(
        said.contains("the process ends without waiting for it; what was acknowledged is on disk"),
        "{said}"
    );
    goes_on(&mut world, &injector);
}

#[test]
fn a_sync_that_returns_late_loses_nothing_and_the_service_goes_on() {
    let (mut world, injector) = (World::new(), Injector::new());
    let mut process = hanging(&mut world, &injector);
    let address = process.address();
    injector.heal();
    let answer = wait::until("the command is decided", || {
        world.unanswered(address).filter(|answer| answer.status != 503 && answer.status != 409)
    });
    assert_eq!(answer.status, 201, "{}", answer.body);
    world.fill(address, 2);
    world.assert_whole(process);
}
