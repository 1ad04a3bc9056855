//! Where partitions stand, step by step.

use super::*;

fn claimed(state: &mut State, ends: Vec<Result<i64, String>>, now: Instant) {
    state.begin_session();
    state.claimed(&Claimed { epoch: 1, ends }, now);
}

#[test]
fn a_full_partition_keeps_no_other_from_being_sent() {
    let mut state = State::new(&[100, 100], &[0, 0]);
    let mut to_do = |sent: &[u64]| {
        let wait = Wait { sent, in_flight_max: 10, timeout: Duration::ZERO };
        let limits = state.begin_waiting(wait);
        state.something_to_do(wait, &limits)
    };
    assert!(to_do(&[10, 0]), "the second one has room");
    assert!(!to_do(&[10, 10]));
}

#[test]
fn a_partition_that_stands_still_is_named_whatever_the_others_do() {
    let mut state = State::new(&[0, 0], &[0, 0]);
    let began = Instant::now();
    let at = |seconds| began + Duration::from_secs(seconds);
    state.set_durable(&[5, 5], began);
    claimed(&mut state, vec![Ok(1), Ok(1)], began);
    for partition in [0, 1] {
        state.partitions[partition].expected.as_mut().unwrap().in_flight += 5;
    }
    for (second, position) in [(4, 0), (8, 1), (12, 2)] {
        state.delivered(1, 0, position, 1 + position as i64, at(second)).unwrap();
    }
    assert_eq!(state.trouble(at(9)), None);
    let named = "partition 1 has acknowledged nothing for 12 s; 5 events of it wait";
    assert_eq!(state.trouble(at(12)).unwrap(), format!("{named}; the other partitions continue"));
    state.set_unanswered(BTreeMap::from([(1, "it has no leader".to_owned())]), at(12));
    let why = format!("{named}: it has no leader; the other partitions continue");
    assert_eq!(state.trouble(at(12)).unwrap(), why);
    let said = state.trouble(at(15)).unwrap();
    assert!(!said.contains("continue"), "the other one has not moved for 3 s: {said}");
    state.set_unanswered(BTreeMap::new(), at(12));
    state.delivered(1, 1, 0, 1, at(13)).unwrap();
    assert_eq!(state.trouble(at(14)), None);
    assert_eq!(state.stalled(at(30)).len(), 2, "both wait for the rest");
    let said = state.trouble(at(30)).unwrap();
    assert!(said.contains("partition 0 has") && !said.contains("continue"), "no other is left: {said}");
}

#[test]
fn a_partition_whose_every_writer_fails_stands_still() {
    let (mut state, began) = (State::new(&[0, 0], &[0, 0]), Instant::now());
    let at = |seconds| began + Duration::from_secs(seconds);
    state.set_durable(&[5, 0], began);
    for second in [0, 5, 11] {
        claimed(&mut state, vec![Ok(1), Ok(1)], at(second));
        state.set_acknowledged(&[Some(0), Some(0)], at(second));
        state.partitions[0].expected.as_mut().unwrap().in_flight += 5;
    }
    assert_eq!(state.stalled(at(12)), BTreeMap::from([(0, Duration::from_secs(12))]));
    assert!(
        state.snapshot(at(12)).stalled.is_empty(),
        "the last one has just begun: what stopped it is told"
    );
    assert_eq!(state.snapshot(at(21)).stalled.len(), 1);
    state.set_acknowledged(&[Some(5), Some(0)], at(22));
    assert!(state.stalled(at(60)).is_empty());
}

#[test]
fn a_topic_of_which_nothing_can_be_sent_takes_no_events() {
    let mut state = State::new(&[5, 5], &[5, 5]);
    claimed(&mut state, vec![Err("does not fit".to_owned()), Ok(1)], Instant::now());
    assert!(state.snapshot(Instant::now()).takes_events_since(&[5, 5]), "the other one has all");
    claimed(&mut state, vec![Err("does not fit".to_owned()), Err("nor this".to_owned())], Instant::now());
    assert!(!state.snapshot(Instant::now()).takes_events_since(&[5, 5]));
    assert!(state.snapshot(Instant::now()).takes_events_since(&[4, 5]), "it took one");
}

#[test]
fn what_is_wrong_with_the_topic_is_said_beside_what_comes_of_it() {
    let (mut state, began) = (State::new(&[0, 0], &[0, 0]), Instant::now());
    state.set_durable(&[5, 0], began);
    claimed(&mut state, vec![Ok(1), Ok(1)], began);
    state.log_fault = Some("the topic does not exist".to_owned());
    let said = state.trouble(began + Duration::from_secs(12)).unwrap();
    let stands = "partition 0 has acknowledged nothing for 12 s; 5 events of it wait";
    assert_eq!(said, format!("the topic does not exist; {stands}"));
    state.trouble = Some(Failure { partition: None, reason: "no broker answers".to_owned() });
    let said = state.trouble(began + Duration::from_secs(12)).unwrap();
    assert_eq!(said, "no broker answers; the topic does not exist", "all stand still then");
    state.trouble = Some(Failure { partition: None, reason: "the topic does not exist".to_owned() });
    assert_eq!(state.trouble(began).as_deref(), Some("the topic does not exist"));
}

#[test]
fn what_does_not_fit_counts_with_what_is_halted_until_it_fits() {
    let mut state = State::new(&[5, 5, 5], &[5, 5, 5]);
    state.partitions[2].rest = Some(Rest::Halted("a hole".to_owned()));
    state.set_diverged(&BTreeMap::from([(0, 7)]));
    assert_eq!(state.halted(), 2);
    state.set_diverged(&BTreeMap::new());
    assert_eq!(state.halted(), 1);
}

#[test]
fn what_the_relay_met_at_one_partition_is_not_over_because_another_moves() {
    let mut state = State::new(&[5, 5], &[0, 0]);
    claimed(&mut state, vec![Ok(1), Ok(1)], Instant::now());
    state.trouble = Some(Failure { partition: Some(1), reason: "too large".to_owned() });
    state.delivered(1, 0, 0, 1, Instant::now()).unwrap();
    state.set_acknowledged(&[Some(1), None], Instant::now());
    assert_eq!(state.trouble(Instant::now()).as_deref(), Some("too large"));
    state.set_acknowledged(&[None, Some(1)], Instant::now());
    assert_eq!(state.trouble(Instant::now()), None);
}

#[test]
fn a_partition_that_is_away_rests_and_is_told_of_when_it_is_back() {
    let mut state = State::new(&[5, 5], &[0, 5]);
    claimed(&mut state, vec![Err("no leader".to_owned()), Ok(1)], Instant::now());
    let sent = [0, 5];
    let wait = Wait { sent: &sent, in_flight_max: 10, timeout: Duration::ZERO };
    let to_do = |state: &mut State| {
        let limits = state.begin_waiting(wait);
        state.something_to_do(wait, &limits)
    };
    assert!(!to_do(&mut state) && state.is_drained(), "a stop does not wait for it");
    let said = state.trouble(Instant::now());
    assert_eq!(said.as_deref(), Some("no leader; the other partitions continue"));
    assert!(!state.set_unanswered(BTreeMap::from([(0, "still away".to_owned())]), Instant::now()));
    assert!(!to_do(&mut state));
    assert!(state.set_unanswered(BTreeMap::new(), Instant::now()) && to_do(&mut state));
    assert_eq!(state.returned, Some(0));
    state.begin_session();
    assert!(state.partitions[0].rest.is_none() && state.returned.is_none());
}

#[test]
fn a_partition_that_is_there_and_cannot_be_claimed_is_claimed_ever_more_seldom() {
    let mut state = State::new(&[5, 5], &[5, 5]);
    let began = Instant::now();
    let mut claims = Vec::new();
    for second in 0..300 {
        let now = began + Duration::from_secs(second);
        if claims.is_empty() || state.set_unanswered(BTreeMap::new(), now) {
            state.begin_session();
            let ends = vec![Ok(1), Err("takes no writes".to_owned())];
            state.claimed(&Claimed { epoch: 1, ends }, now);
            claims.push(second);
        }
    }
    assert_eq!(claims, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
    state.claimed(&Claimed { epoch: 1, ends: vec![Ok(1); 2] }, began);
    assert!(state.partitions[1].may_be_claimed(began), "it begins with the shortest pause again");
}

#[test]
fn only_a_comparison_makes_a_partition_compared() {
    let mut state = State::new(&[5, 5], &[5, 5]);
    let compared = |state: &State| [0, 1].map(|index: usize| state.partitions[index].is_compared);
    assert_eq!(compared(&state), [false, false]);
    state.set_acknowledged(&[None, Some(3)], Instant::now());
    assert_eq!(compared(&state), [false, true]);
    assert_eq!([0, 1].map(|index: usize| state.partitions[index].acknowledged), [5, 3]);
    claimed(&mut state, vec![Ok(1), Ok(1)], Instant::now());
    assert!(!state.partitions[0].is_compared);
}

#[test]
fn of_a_partition_that_is_not_claimed_nothing_is_to_be_read() {
    let mut state = State::new(&[5, 5], &[5, 5]);
    claimed(&mut state, vec![Ok(1), Err("away".to_owned())], Instant::now());
    assert!(!state.ends(0, 1) && !state.ends(1, 99));
    assert_eq!(state.snapshot(Instant::now()).unexplained, None);
    assert!(state.ends(0, 3));
    let found = state.snapshot(Instant::now()).unexplained;
    assert_eq!(found, Some(Unexplained { partition: 0, from: 1, to: 3 }));
}
