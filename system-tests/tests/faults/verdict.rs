//! What may come of damage: nothing acknowledged is lost; or the service says where the damage is and what helps, and that
//! does help and names what is lost.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::process::ExitStatus;

use system_tests::process::Process;
use system_tests::wait;

use crate::damage::Done;
use crate::world::{Kafka, Told, World, get, shown, stopped};

/// Starts until the service serves: it may end once, to have its index built again.
const STARTS_MAX: usize = 3;
/// What has to stand in a sentence about damage, one of each group: the place, and what helps.
const PLACES: [&str; 3] = ["at byte", " partition ", "lacks segment"];
const REMEDIES: [&str; 1] = ["--recover"];

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// What the service said when it gave up.
    pub(crate) refusals: Vec<String>,
    /// Keys that were answered 503, with the reason.
    pub(crate) unanswered: Vec<String>,
    /// Keys that were decided a second time.
    pub(crate) decided_anew: usize,
    /// Positions of acknowledged users that are gone.
    pub(crate) lost: Vec<(usize, u64)>,
    /// Everything that was said.
    pub(crate) said: String,
    /// Positions of everybody who had signed up before the damage was met.
    pub(crate) before: Vec<(usize, u64)>,
    /// Whether it took `--recover`.
    pub(crate) recovered: bool,
}

impl Verdict {
    /// In one line.
    pub(crate) fn short(&self) -> String {
        let Self { refusals, unanswered, decided_anew, lost, recovered, .. } = self;
        let counts = format!("lost {lost:?}, {decided_anew} decided anew, {} unanswered", unanswered.len());
        let recovered = if *recovered { "recovered after: " } else { "" };
        format!("{counts}, {recovered}{}", refusals.join(" | "))
    }

    /// Whether something that was said names this position of this partition as lost.
    fn names(&self, (partition, position): (usize, u64)) -> bool {
        let names = |named: Named| named.partition == partition && named.positions.contains(&position);
        self.said.lines().any(|line| logged(line).into_iter().chain(told(line)).any(names))
    }

    /// Whether it was said that more may have gone from the journal's end than is known.
    fn tells_of_an_unknown_end(&self) -> bool {
        let told = ["with what is no whole record", "may have been decided"];
        told.iter().any(|told| self.said.contains(told))
    }

    /// Whether it was said which record is damaged: if its partitions have nothing behind it and the index does not know
    /// it, nobody knows its positions.
    fn names_a_record(&self) -> bool {
        self.refusals.iter().any(|refusal| refusal.contains("was acknowledged and is damaged"))
    }

    /// Keys that were not answered without a line in the service's log that says where the damage is: clients are told of
    /// no file.
    fn unanswered_without_a_place(&self) -> impl Iterator<Item = &String> {
        let count =
            |words| self.said.lines().filter(|line| line.contains(words) && line.contains("at byte")).count();
        let halted = count("the relay sends nothing more of a partition") > 0;
        let keys = count("what became of a request with an Idempotency-Key cannot be read");
        let unanswered = self
            .unanswered
            .iter()
            .filter(move |it| !(halted && it.contains("can no longer be sent to Kafka")));
        unanswered.skip(keys)
    }

    /// Whether it was said that keys are forgotten with the journal's end.
    fn tells_of_forgotten_keys(&self) -> bool {
        self.said.contains("requests with idempotency keys in it is not known any more")
    }
}

struct Named {
    partition: usize,
    positions: RangeInclusive<u64>,
}

/// The positions that a line names in fields.
fn logged(line: &str) -> Option<Named> {
    let partition = number(line, " partition=")? as usize;
    let positions = number(line, "from_position=")?..=number(line, "to_position=")?;
    Some(Named { partition, positions })
}

/// The positions that a line names in words.
fn told(line: &str) -> impl Iterator<Item = Named> {
    line.split("position").skip(1).filter_map(|told| {
        let partition = number(told, "of partition ")? as usize;
        let from = number(told, " ")?;
        Some(Named { partition, positions: from..=number(told, " to ").unwrap_or(from) })
    })
}

/// The number behind these words.
fn number(text: &str, before: &str) -> Option<u64> {
    let (_, rest) = text.split_once(before)?;
    rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// What is lost is named. The exception is the journal's end while neither index nor Kafka has it: of its last record
/// nobody can tell whether it was whole once.
pub(crate) fn assert_allowed(done: &Done, verdict: &Verdict) {
    let context = || format!("{}\nafter {done}\n{}", verdict.short(), verdict.said);
    let unnamed: Vec<_> = verdict.lost.iter().filter(|lost| !verdict.names(**lost)).copied().collect();
    let hidden = done.may_hide_the_end() && (verdict.tells_of_an_unknown_end() || done.leaves_no_trace());
    if !unnamed.is_empty() && !verdict.names_a_record() {
        assert!(
            hidden && verdict.before.ends_with(&unnamed),
            "{unnamed:?} is lost without a word: {}",
            context()
        );
        assert!(unnamed.len() == 1 || done.is_a_cut(), "{unnamed:?} is lost: {}", context());
    }
    let silent: Vec<_> = verdict.unanswered_without_a_place().collect();
    assert!(silent.is_empty(), "{silent:?} without a place: {}", context());
    // A key is decided a second time only together with what is lost, or where that is told.
    let told = hidden || verdict.tells_of_forgotten_keys();
    assert!(told || verdict.decided_anew <= verdict.lost.len(), "decided a second time: {}", context());
}

/// Starts the service on its damaged directory, asks for everything, and does what it says if it gives up.
pub(crate) fn judge(world: &mut World) -> Verdict {
    let process = world.start(Kafka::There, &[]);
    judge_from(world, process)
}

/// The same from a process on, which may have been there before the damage.
pub(crate) fn judge_from(world: &mut World, process: Process) -> Verdict {
    let mut verdict = Verdict::default();
    let mut process = Some(process);
    for _ in 0..STARTS_MAX {
        let running = process.take().unwrap_or_else(|| world.start(Kafka::There, &[]));
        match serves_all(world, running, &mut verdict) {
            Served::Wholly => return finish(world, verdict),
            Served::Ended { again: true } => {}
            Served::Ended { again: false } => return recover(world, verdict),
        }
    }
    panic!("it does not come to an end:\n{}", verdict.said);
}

enum Served {
    Wholly,
    Ended { again: bool },
}

fn serves_all(world: &World, mut process: Process, verdict: &mut Verdict) -> Served {
    let Ok(address) = process.listens() else { return ended(process, verdict) };
    for told in &world.told {
        let Some(answer) = told.repeated(address) else { return ended(process, verdict) };
        match answer.status {
            503 => verdict.unanswered.push(format!("{}: {}", told.key, answer.detail())),
            _ if answer == told.answer => {}
            // Its record is gone: judged by whether the user is.
            _ => verdict.decided_anew += 1,
        }
    }
    let gone = gone(world, address);
    let Some(gone) = gone else { return ended(process, verdict) };
    verdict.lost = gone;
    let halted = wait::until("it has sent everything, or says why not", || sent(address));
    let (status, said) = stopped(process);
    verdict.said += &said;
    match halted {
        Ok(()) => {
            assert_eq!(status.code(), Some(0), "{said}");
            Served::Wholly
        }
        Err(reason) => refused(reason, verdict),
    }
}

/// Everything is sent; or why it never will be. None if that is not known yet.
fn sent(address: SocketAddr) -> Option<Result<(), String>> {
    let Some(ready) = get(address, "/health/ready") else { return Some(Err("it has ended".to_owned())) };
    match ready.status {
        200 => (ready.body["relay"]["unsent_events"] == 0).then_some(Ok(())),
        _ => Some(Err(ready.detail().to_owned())),
    }
}

/// Acknowledged users that are not shown; none if the service went away.
fn gone(world: &World, address: SocketAddr) -> Option<Vec<(usize, u64)>> {
    let mut gone = Vec::new();
    for (user, at) in world.users() {
        let answer = shown(address, user.user_id())?;
        match answer.status {
            200 => assert_eq!(answer.body, user.body),
            404 => gone.push(at),
            _ => panic!("{} {}", answer.status, answer.body),
        }
    }
    Some(gone)
}

fn ended(mut process: Process, verdict: &mut Verdict) -> Served {
    let (status, said): (ExitStatus, String) = process.last_words();
    verdict.said += &said;
    assert_eq!(status.code(), Some(1), "{said}");
    let last = said.lines().next_back().unwrap_or_default().to_owned();
    if last.contains("it was put aside as") {
        verdict.refusals.push(last);
        return Served::Ended { again: true };
    }
    refused(last, verdict)
}

fn refused(reason: String, verdict: &mut Verdict) -> Served {
    for needed in [&PLACES[..], &REMEDIES[..]] {
        assert!(needed.iter().any(|part| reason.contains(part)), "{needed:?} in: {reason}\n{}", verdict.said);
    }
    verdict.refusals.push(reason);
    Served::Ended { again: false }
}

fn recover(world: &mut World, mut verdict: Verdict) -> Verdict {
    verdict.recovered = true;
    let mut process = world.start(Kafka::There, &["--recover"]);
    let address = process.address();
    verdict.lost = gone(world, address).expect("it goes on");
    assert_eq!(wait::until("it has sent everything", || sent(address)), Ok(()));
    let (status, said) = stopped(process);
    assert_eq!(status.code(), Some(0), "{said}");
    verdict.said += &said;
    finish(world, verdict)
}

/// Whatever happened, the service goes on, and what it shows is in the log once and in order.
fn finish(world: &mut World, mut verdict: Verdict) -> Verdict {
    let mut process = world.start(Kafka::There, &[]);
    let address = process.address();
    let before = world.told.len();
    world.fill(address, 2);
    assert_eq!(gone(world, address).as_ref(), Some(&verdict.lost), "what was there stays there");
    assert!(world.told[before..].iter().all(|told| repeats(told, address)));
    verdict.before = world.told[..before].iter().filter_map(|told| told.at).collect();
    let (status, said) = stopped(process);
    assert_eq!(status.code(), Some(0), "{said}");
    let logged = world.logged();
    for (user, at) in world.users().filter(|(_, at)| !verdict.lost.contains(at)) {
        assert_eq!(logged.get(&at).map(String::as_str), Some(user.user_id()), "{at:?}\n{}", verdict.said);
    }
    verdict
}

fn repeats(told: &Told, address: SocketAddr) -> bool {
    told.repeated(address).as_ref() == Some(&told.answer)
}
