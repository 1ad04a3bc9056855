//! What a decision may rest on, and what a service hears of partitions that are away.

use daybook_kafka::topics::Watermarks;

use super::*;

const FOLLOWS: &[Followed] = &[Followed::reading("others", |_, _| Ok(None))];

const FOLLOWS_VALUES: &[Followed] = &[Followed { keeps_values: true, ..FOLLOWS_ONE }];
const FOLLOWS_ONE: Followed = Followed::reading("others", |_, _| Ok(None));

/// As after another form of what is kept: rows of years ago are there before those of today.
#[test]
fn no_value_is_decided_on_that_is_being_read_again_when_following_stops() {
    let followed = FollowedPositions::new(FOLLOWS_VALUES);
    followed.publish(0, vec![vec![at(1, false)]]);
    followed.stop("a gap".to_owned());
    assert_eq!(slug(followed.decides(0, Uuid::nil(), true)), "catching up");
    followed.resume();
    followed.publish(0, vec![vec![at(2, true)]]);
    followed.stop("a gap".to_owned());
    assert_eq!(slug(followed.decides(0, Uuid::nil(), true)), "decided", "it was read to its end once");
}

fn slug(decides: Result<(), CommandError>) -> &'static str {
    match decides {
        Ok(()) => "decided",
        Err(CommandError::CatchingUp { .. }) => "catching up",
        Err(CommandError::FollowingStopped { .. }) => "stopped",
        Err(_) => "something else",
    }
}

fn at(next: u32, is_ready: bool) -> FollowedTo {
    FollowedTo { next_position: next.into(), next_offset: next.into(), is_ready, ..FollowedTo::default() }
}

/// By partition: where it ends, or that nobody says.
fn answers<const N: usize>(followed: &FollowedPositions, held: [Result<i64, ()>; N]) {
    let missing = |()| TopicError::Missing { topic: "others".to_owned() };
    let held = held.map(|held| held.map(|high| Watermarks { low: 0, high }).map_err(missing));
    followed.set_answers((0..).map(|partition| (0, partition)).zip(&held));
}

#[test]
fn while_it_catches_up_nothing_is_decided_and_after_a_stop_only_what_is_known() {
    let followed = FollowedPositions::new(FOLLOWS);
    let decides = || [true, false].map(|is_known| followed.decides(0, Uuid::nil(), is_known).is_ok());
    let ready = |opening| followed.publish(opening, vec![vec![at(1, true)]]);
    assert_eq!(decides(), [false, false]);
    followed.stop("a gap".to_owned());
    assert_eq!(decides(), [true, false]);
    followed.resume();
    assert_eq!(decides(), [false, false]);
    ready(0);
    assert_eq!(decides(), [true, true]);
    followed.begin_again();
    assert_eq!(decides(), [false, false]);
    ready(0);
    assert_eq!(decides(), [false, false], "it rests on what the store had before");
    ready(1);
    assert_eq!(decides(), [true, true]);
    followed.stop("a gap".to_owned());
    assert_eq!(decides(), [true, false], "who came since was not heard of");
    assert_eq!(slug(followed.decides(0, Uuid::nil(), false)), "stopped");
}

#[test]
fn a_partition_that_is_not_heard_keeps_those_only_that_lie_in_it() {
    let followed = FollowedPositions::new(FOLLOWS);
    let in_partition = |wanted: i32| {
        let ids = (0..).map(Uuid::from_u128);
        ids.into_iter().find(|id| partition_for_key(id.to_string().as_bytes(), 2) == wanted).unwrap()
    };
    let said = |partition| {
        [true, false].map(|is_known| slug(followed.decides(0, in_partition(partition), is_known)))
    };
    answers(&followed, [Ok(1), Err(())]);
    followed.publish(0, vec![vec![at(1, true), at(0, false)]]);
    assert_eq!(said(0), ["decided", "decided"]);
    assert_eq!(said(1), ["catching up", "catching up"], "it never was heard");
    assert_eq!(followed.not_ready(), None);
    assert!(followed.trouble().unwrap().contains("others"));
    answers(&followed, [Ok(1), Ok(1)]);
    assert!(followed.not_ready().is_some(), "there is something to follow");
    followed.publish(0, vec![vec![at(1, false), at(1, true)]]);
    assert_eq!(said(1), ["decided", "decided"]);
    assert_eq!(followed.not_ready(), None, "what was followed once stays so");
    answers(&followed, [Ok(1), Err(())]);
    assert_eq!(said(1), ["decided", "stopped"], "who came since was not heard of");
    assert_eq!(said(0), ["decided", "decided"]);
}

#[test]
fn a_partition_that_is_back_is_heard_once_what_came_meanwhile_was_read() {
    let followed = FollowedPositions::new(FOLLOWS);
    let said = || slug(followed.decides(0, Uuid::nil(), false));
    followed.publish(0, vec![vec![at(5, true)]]);
    assert_eq!(said(), "decided");
    answers(&followed, [Err(())]);
    answers(&followed, [Ok(7)]);
    assert!(!followed.is_away((0, 0)), "it can be read");
    assert_eq!(said(), "stopped", "two events of it were not read");
    assert!(followed.trouble().unwrap().contains("up to offset 7"));
    // What comes from now on is as late as ever.
    answers(&followed, [Ok(9)]);
    followed.publish(0, vec![vec![at(6, true)]]);
    assert_eq!(said(), "stopped");
    followed.publish(0, vec![vec![at(7, true)]]);
    assert_eq!((said(), followed.trouble()), ("decided", None));
    answers(&followed, [Err(())]);
    answers(&followed, [Ok(7)]);
    assert_eq!(said(), "decided", "nothing came meanwhile");
    // A log that has lost its end has nothing up to where it was.
    answers(&followed, [Err(())]);
    answers(&followed, [Ok(9)]);
    answers(&followed, [Ok(7)]);
    assert_eq!(said(), "decided");
}
