//! Positions that requests ask for.

use daybook_event::token::{Token, TokenPosition};
use daybook_projection::{Checkpoint, Progress, Quarantine, SourceId};

use daybook_service::http::ApiError;

/// Whether all positions of a token have been projected. What waits in quarantine has not.
pub fn reached(checkpoint: &Checkpoint, quarantine: &Quarantine, token: &Token) -> bool {
    first_missing(token, 0, |at| is_projected(checkpoint, quarantine, at)) == token.positions.len()
}

pub(super) fn is_projected(checkpoint: &Checkpoint, quarantine: &Quarantine, at: &TokenPosition) -> bool {
    checkpoint.position_reached(&at.topic, at.partition, at.position)
        && quarantine.waiting_at(&at.topic, at.partition, at.position).is_none()
}

/// Which of a token's positions is the first that is not there, if those before `from` are; how many it has, if all are.
/// Many requests wait at once, and each looks at every commit: so it goes on where it was.
pub(super) fn first_missing(token: &Token, from: usize, is_there: impl Fn(&TokenPosition) -> bool) -> usize {
    from + token.positions.iter().skip(from).take_while(|at| is_there(at)).count()
}

pub fn waiting<'a>(quarantine: &'a Quarantine, token: &'a Token) -> Option<(&'a TokenPosition, &'a str)> {
    let key = |at: &TokenPosition| quarantine.waiting_at(&at.topic, at.partition, at.position);
    token.positions.iter().find_map(|at| Some((at, key(at)?)))
}

/// How far `checkpoint` has got in the partitions that `token` names.
pub fn current(checkpoint: &Checkpoint, token: &Token) -> Token {
    let at = |wanted: &TokenPosition| {
        let position = checkpoint.get(&wanted.topic, wanted.partition)?.next_position.checked_sub(1)?;
        Some(TokenPosition { position, ..wanted.clone() })
    };
    Token { positions: token.positions.iter().filter_map(at).collect() }
}

/// The first partition of a token that nobody answers for and whose position has not been projected.
pub(super) fn away(progress: &Progress, token: &Token) -> Option<SourceId> {
    let is_away = |at: &TokenPosition, id: &SourceId| {
        (&*id.topic, id.partition) == (&*at.topic, at.partition)
            && !progress.checkpoint.position_reached(&at.topic, at.partition, at.position)
    };
    token.positions.iter().find_map(|at| progress.away.keys().find(|id| is_away(at, id)).cloned())
}

/// Refuses a token that names what is not projected here, and so would never be reached.
/// Errors: 400 naming the header `header`.
pub fn check_known(checkpoint: &Checkpoint, token: &Token, header: &str) -> Result<(), ApiError> {
    let unknown = |at: &&TokenPosition| checkpoint.get(&at.topic, at.partition).is_none();
    let Some(at) = token.positions.iter().find(unknown) else { return Ok(()) };
    let TokenPosition { topic, partition, .. } = at;
    let detail = match checkpoint.partitions(topic) {
        0 => format!("{header} names topic {topic}, which is not projected here"),
        count => format!(
            "{header} names partition {partition} of {topic}, which has partitions 0 to {}",
            count - 1
        ),
    };
    Err(ApiError::header(header, detail))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use daybook_projection::SourceCheckpoint;

    fn checkpoint(next_positions: &[(&str, i32, u64)]) -> Checkpoint {
        Checkpoint::from_sources(next_positions.iter().map(|&(topic, partition, next_position)| {
            let source = SourceId { topic: topic.into(), partition };
            (source, SourceCheckpoint { next_position, ..SourceCheckpoint::default() })
        }))
    }

    #[test]
    fn a_token_is_reached_when_every_position_is() {
        let at = checkpoint(&[("a", 0, 3), ("b", 1, 9)]);
        let is_reached = |token: &str| reached(&at, &Quarantine::default(), &token.parse().unwrap());
        assert!(is_reached("a/0@2,b/1@8"));
        assert!(!is_reached("a/0@2,b/1@9"));
        assert!(!is_reached("a/0@3"));
        assert_eq!(current(&at, &"b/1@100,a/0@3".parse().unwrap()).to_string(), "b/1@8,a/0@2");
    }

    #[test]
    fn what_was_reached_is_not_looked_at_again() {
        let token: Token =
            (0..100).map(|at| format!("a/{at}@5")).collect::<Vec<_>>().join(",").parse().unwrap();
        let looks = Cell::new(0);
        let mut from = 0;
        for commit in 0..1_000 {
            let is_there = |at: &TokenPosition| {
                looks.set(looks.get() + 1);
                at.partition < 99 || commit == 999
            };
            from = first_missing(&token, from, is_there);
        }
        assert_eq!((from, looks.get()), (100, 99 + 1_000));
    }

    #[test]
    fn what_is_not_projected_is_refused_by_name() {
        let at = checkpoint(&[("a", 0, 3), ("a", 1, 0)]);
        let detail = |token: &str| {
            let refused = check_known(&at, &token.parse().unwrap(), "daybook-after").unwrap_err();
            refused.problem().detail.clone()
        };
        check_known(&at, &"a/1@5".parse().unwrap(), "daybook-after").unwrap();
        assert_eq!(detail("a/2@5"), "daybook-after names partition 2 of a, which has partitions 0 to 1");
        assert_eq!(detail("c/0@5"), "daybook-after names topic c, which is not projected here");
    }
}
