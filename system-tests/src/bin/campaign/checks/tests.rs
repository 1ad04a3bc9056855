//! Sound evidence passes, and each fault is found by the check that is there for it.

mod sample;

use std::collections::BTreeSet;

use uuid::Uuid;

use super::CHECKS;
use crate::evidence::{Evidence, Logged, split_repeats};
use crate::history::{Asked, Attempt, Outcome, Seen};
use crate::{sabotage, spoil};
use sample::{JILL, command, sound};

/// Names of the checks that find something.
fn found(evidence: &Evidence) -> BTreeSet<&'static str> {
    CHECKS
        .iter()
        .filter(|check| !(check.judge)(evidence).findings.is_empty())
        .map(|check| check.name)
        .collect()
}

#[test]
fn sound_evidence_passes_and_every_check_looks_at_something() {
    let evidence = sound();
    assert_eq!(found(&evidence), BTreeSet::new());
    let idle = CHECKS.iter().filter(|check| (check.judge)(&evidence).cases == 0).map(|check| check.name);
    let idle: Vec<_> = idle.collect();
    assert_eq!(idle, ["unacknowledged-at-most-once", "same-key-same-answer"], "which the sample has none of");
}

#[test]
fn spoiled_evidence_is_found_by_the_check_that_is_there_for_it() {
    for spoil in spoil::ALL {
        let mut evidence = sound();
        (spoil.spoil)(&mut evidence).expect(spoil.name);
        let found = found(&evidence);
        assert!(found.contains(spoil.found_by), "{}: found by {found:?}", spoil.name);
    }
}

#[test]
fn every_check_is_seen_to_fail_on_spoiled_evidence_and_on_sabotaged_services() {
    let all: BTreeSet<_> = CHECKS.iter().map(|check| check.name).collect();
    let spoiled: BTreeSet<_> = spoil::ALL.iter().map(|spoil| spoil.found_by).collect();
    assert_eq!(spoiled, all);
    let sabotaged: BTreeSet<_> =
        sabotage::ALL.iter().flat_map(|sabotage| sabotage.found_by).copied().collect();
    assert_eq!(sabotaged, all);
}

#[test]
fn an_unclear_command_may_be_in_the_log_once_and_not_twice() {
    let unclear = || Outcome::Unclear { why: "no answer".to_owned() };
    let mut evidence = sound();
    evidence.history.commands.last_mut().unwrap().attempts.first_mut().unwrap().outcome = unclear();
    assert_eq!(found(&evidence), BTreeSet::new());
    let last = evidence.log.last().unwrap().clone();
    evidence.log.push(Logged { position: 3, version: 3, ..last });
    assert_eq!(found(&evidence), BTreeSet::from(["unacknowledged-at-most-once"]));
}

#[test]
fn an_order_of_whom_c_had_not_heard_may_be_taken_later_and_then_stays() {
    let refused = || Outcome::Refused { status: 422, problem: "buyer-unknown".to_owned() };
    let mut evidence = sound();
    let commands = &mut evidence.history.commands;
    let order = commands.iter_mut().find(|command| matches!(command.asked, Asked::Order { .. })).unwrap();
    let early = Attempt { outcome: refused(), ..order.attempts[0].clone() };
    order.attempts.insert(0, early.clone());
    order.attempts.push(order.attempts[1].clone());
    assert_eq!(found(&evidence), BTreeSet::new());
    evidence.history.commands.iter_mut().for_each(|command| {
        command.attempts.extend(matches!(command.asked, Asked::Order { .. }).then(|| early.clone()));
    });
    assert_eq!(found(&evidence), BTreeSet::from(["same-key-same-answer"]));
}

#[test]
fn an_order_that_was_refused_as_of_somebody_unheard_of_is_not_in_the_log() {
    let mut evidence = sound();
    let commands = &mut evidence.history.commands;
    let order = commands.iter_mut().find(|command| matches!(command.asked, Asked::Order { .. })).unwrap();
    order.attempts[0].outcome = Outcome::Refused { status: 422, problem: "buyer-unknown".to_owned() };
    assert!(found(&evidence).contains("unacknowledged-at-most-once"));
}

#[test]
fn a_user_who_may_be_gone_need_not_be_seen_and_does_not_come_back() {
    let mut evidence = sound();
    let last = evidence.history.reads.last_mut().unwrap();
    last.seen = Seen::Nothing;
    assert_eq!(found(&evidence), BTreeSet::from(["reads-see-their-write"]));
    let unclear = Outcome::Unclear { why: "no answer".to_owned() };
    evidence.history.commands.push(command(6, Asked::DeleteUser, Some(JILL), unclear));
    assert_eq!(found(&evidence), BTreeSet::new());
    let mut back = evidence.history.reads.first().unwrap().clone();
    (back.began_us, back.after) = (90, None);
    back.as_of = evidence.history.reads.last().unwrap().as_of.clone();
    evidence.history.reads.push(back);
    assert_eq!(found(&evidence), BTreeSet::from(["sessions-never-go-back"]));
}

#[test]
fn who_reads_with_an_orders_token_sees_its_user() {
    let mut evidence = sound();
    let mut read = evidence.history.reads.remove(0);
    (read.seen, read.as_of) = (Seen::Nothing, read.after.as_ref().unwrap().token.clone());
    (evidence.history.reads, evidence.quiet) = (vec![read], Vec::new());
    assert_eq!(found(&evidence), BTreeSet::from(["reads-see-their-write"]));
}

#[test]
fn an_orders_token_names_its_user_and_product() {
    let mut evidence = sound();
    let last = evidence.history.commands.last_mut().unwrap();
    let Outcome::Accepted { token, .. } = &mut last.attempts.first_mut().unwrap().outcome else { panic!() };
    token.positions.truncate(2);
    assert_eq!(found(&evidence), BTreeSet::from(["acknowledged-once"]));
}

#[test]
fn a_record_may_not_be_repeated_and_an_other_one_may_not_take_its_place() {
    let mut evidence = sound();
    let first = evidence.log.first().unwrap().clone();
    evidence.log.insert(1, Logged { offset: 7, ..first.clone() });
    (evidence.log, evidence.repeats) = split_repeats(evidence.log);
    assert_eq!(found(&evidence), BTreeSet::from(["in-the-log-once"]));
    evidence.repeats.clear();
    assert_eq!(found(&evidence), BTreeSet::new());
    evidence.log.insert(1, Logged { offset: 7, id: Uuid::nil(), ..first });
    let (log, repeats) = split_repeats(evidence.log.clone());
    assert_eq!((&log, repeats), (&evidence.log, Vec::new()), "a fork is no repeat");
    assert!(found(&evidence).contains("positions-contiguous"));
}
