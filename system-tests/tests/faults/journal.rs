//! A journal whose writes or syncs fail, and starts on a disk that still does.

use rand::RngExt as _;
use rand::rngs::StdRng;
use system_tests::injector::{Action, Injector, Operation, Rule};
use system_tests::process::Process;
use system_tests::wait;

use crate::cases;
use crate::world::{Answer, Kafka, World, get};

/// The files of the journal that records are in.
const SEGMENTS: &str = "/journal/0000";
/// Of so many cases in one the disk still fails at the next start.
const STILL_FAILING: u64 = 5;
/// The call that fails is one of so many.
const CALLS: u64 = 24;
/// More commands than there are calls.
const COMMANDS_MAX: usize = 2 * CALLS as usize;
/// Of what the disk refuses everything.
const FAILING_PATHS: [&str; 3] = ["/data/", "/journal/", "/data/writer.json"];

#[test]
fn a_journal_that_fails_once_ends_the_process_and_nothing_acknowledged_is_lost() {
    cases::each(3, |case, random| {
        let (mut world, injector) = (World::new(), Injector::new());
        let operation = [Operation::Write, Operation::Sync][case as usize % 2];
        fails_at(&mut world, &injector, operation, random);
        let mut process = world.start_with(Kafka::There, &[], |command| injector.inject(command));
        if case % STILL_FAILING == 0 {
            drop(process);
            let path = FAILING_PATHS[(case / STILL_FAILING) as usize % FAILING_PATHS.len()];
            process = waits_for_the_disk(&world, &injector, path, Action::Eio);
        }
        settled(&mut world, &mut process);
        world.assert_whole(process);
    });
}

/// A service whose journal fails at a random call: it says why, once, and ends.
fn fails_at(world: &mut World, injector: &Injector, operation: Operation, random: &mut StdRng) {
    let mut process = world.start_with(Kafka::There, &[], |command| injector.inject(command));
    let address = process.address();
    world.fill(address, 2);
    let first = random.random_range(1..=CALLS);
    injector.strike(&[Rule { operation, path: SEGMENTS, first, count: 1, action: Action::Eio }]);
    let refused = (0..COMMANDS_MAX).find_map(|_| match world.sign_up(address) {
        Some(Answer { status: 201, .. }) => None,
        // It may be gone before it has answered.
        refused => Some(refused),
    });
    let refused = refused.expect("a call that fails");
    assert!(refused.is_none_or(|answer| (answer.status, answer.problem()) == (503, "store-fails")));
    assert_eq!(injector.struck().len(), 1);
    let (status, said) = process.last_words();
    assert_eq!(status.code(), Some(1), "{said}");
    let sentences: Vec<_> = said.lines().filter(|line| line.starts_with("the journal cannot be")).collect();
    assert_eq!(sentences.len(), 1, "{said}");
    assert!(sentences[0].contains("what is on the disk is not known"), "{said}");
    assert_eq!(said.lines().next_back(), Some(sentences[0]));
    injector.heal();
}

/// A start on a disk that fails claims nothing and says why it waits.
pub(crate) fn waits_for_the_disk(world: &World, injector: &Injector, path: &str, action: Action) -> Process {
    let before = world.records();
    injector.strike(&[Rule { operation: Operation::Any, path, first: 1, count: 0, action }]);
    let reason = if action == Action::Eio { "os error 5" } else { "os error 28" };
    let mut process = world.start_with(Kafka::There, &[], |command| injector.inject(command));
    let address = process.health_address();
    wait::until("it says what it waits for", || {
        assert_eq!(process.has_ended(), None, "{}", process.log());
        assert_eq!(get(address, "/health/live")?.status, 200);
        let ready = get(address, "/health/ready")?;
        assert_eq!(ready.status, 503, "{}", ready.body);
        ready.detail().contains(reason).then_some(())
    });
    wait::until("it has tried again", || {
        (process.log().matches("the start is tried again").count() > 1).then_some(())
    });
    assert_eq!(world.records(), before, "it has claimed something on a disk that takes nothing");
    injector.heal();
    process
}

/// The command that nobody was told of is decided once.
fn settled(world: &mut World, process: &mut Process) {
    let address = process.address();
    let answer = world.unanswered(address).expect("it serves");
    assert_eq!(answer.status, 201, "{}", answer.body);
    world.fill(address, 2);
}
