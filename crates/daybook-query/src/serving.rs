//! One generation while it is served.

use std::sync::Arc;

use daybook_event::token::{Token, TokenPosition};
use daybook_projection::follower::Repairs;
use daybook_projection::{Checkpoint, Generation, Progress, Quarantine, SourceId};
use daybook_service::Stop;
use daybook_service::http::ApiError;
use tokio::sync::watch;

use super::errors::unreadable;
use super::first_catch_up::FirstCatchUp;
use super::heavy::{Heavy, Length};
use super::limits::READ_INLINE_ROWS_MAX;

/// A generation, and how far its follower has got.
pub struct Serving {
    /// Counts what was served before it in this process.
    pub number: u64,
    pub name: String,
    /// Its rows. A query reads them by [`Serving::read`] or [`Serving::read_many`].
    pub(super) generation: Arc<Generation>,
    /// Its follower's progress; closed once that follower has been stopped.
    pub progress: watch::Receiver<Arc<Progress>>,
    /// Whether it has caught up with the log as it was when it was opened.
    pub(super) first_catch_up: FirstCatchUp,
    /// Releases what waits in it.
    pub repairs: Repairs,
    pub(super) heavy: Arc<Heavy>,
}

impl Serving {
    /// Reads at most about `rows` rows, not more than a page: few at once, because handing them to another thread would take
    /// longer than reading them from memory, unless all threads but this one read already; else on a thread that may block, once
    /// one is free.
    /// Errors: 500 if the read model cannot be read; whatever `read` refuses.
    pub async fn read<T, R>(&self, rows: usize, read: R) -> Result<T, ApiError>
    where
        T: Send + 'static,
        R: FnOnce(&Generation) -> Result<T, ApiError> + Send + 'static,
    {
        let length = if rows <= READ_INLINE_ROWS_MAX { Length::Few } else { Length::Page };
        if length == Length::Few
            && let Some(_leave) = self.heavy.inline()
        {
            return read(&self.generation);
        }
        self.read_heavy(length, |generation, _| read(generation)).await
    }

    /// Reads any number of rows on a thread that may block, once one is free. `read` has to check its [`Stop`] so often that
    /// it ends soon after its request; nobody sees what it returns then.
    pub async fn read_many<T, R>(&self, read: R) -> Result<T, ApiError>
    where
        T: Send + 'static,
        R: FnOnce(&Generation, &Stop) -> Result<T, ApiError> + Send + 'static,
    {
        self.read_heavy(Length::Whole, read).await
    }

    async fn read_heavy<T, R>(&self, length: Length, read: R) -> Result<T, ApiError>
    where
        T: Send + 'static,
        R: FnOnce(&Generation, &Stop) -> Result<T, ApiError> + Send + 'static,
    {
        let generation = self.generation.clone();
        match self.heavy.run(length, move |stop| read(&generation, stop)).await {
            Ok(result) => result,
            Err(error) => Err(unreadable(&error)),
        }
    }

    /// Ends when all positions of `token` have been projected; never, once the follower has been stopped before.
    pub(super) async fn reached(&self, token: &Token) {
        let mut progress = self.progress.clone();
        let mut missing = 0;
        let reached = |now: &Arc<Progress>| {
            let quarantine = self.generation.last_moment().quarantine.clone();
            let is_there = |at: &TokenPosition| is_projected(&now.checkpoint, &quarantine, at);
            missing = first_missing(token, missing, is_there);
            missing == token.positions.len()
        };
        let gone = progress.wait_for(reached).await.is_err();
        if gone {
            std::future::pending().await
        }
    }
}

/// Whether all positions of a token have been projected. What waits in quarantine has not.
pub fn reached(checkpoint: &Checkpoint, quarantine: &Quarantine, token: &Token) -> bool {
    first_missing(token, 0, |at| is_projected(checkpoint, quarantine, at)) == token.positions.len()
}

pub(super) fn is_projected(checkpoint: &Checkpoint, quarantine: &Quarantine, at: &TokenPosition) -> bool {
    checkpoint.position_reached(&at.topic, at.partition, at.position)
        && quarantine.waiting_at(&at.topic, at.partition, at.position).is_none()
}

/// Which of a token's positions is the first that is not there, if those before `from` are; how many it has, if all are.
/// Many requests wait at once, and each checks every commit: so it continues where it was.
pub(super) fn first_missing(token: &Token, from: usize, is_there: impl Fn(&TokenPosition) -> bool) -> usize {
    from + token.positions.iter().skip(from).take_while(|at| is_there(at)).count()
}

pub fn waiting<'a>(quarantine: &'a Quarantine, token: &'a Token) -> Option<(&'a TokenPosition, &'a str)> {
    let key = |at: &TokenPosition| quarantine.waiting_at(&at.topic, at.partition, at.position);
    token.positions.iter().find_map(|at| Some((at, key(at)?)))
}

/// How far `checkpoint` has got in the partitions that `token` names.
pub fn current(checkpoint: &Checkpoint, token: &Token) -> Token {
    let at = |requested: &TokenPosition| {
        let position = checkpoint.get(&requested.topic, requested.partition)?.next_position.checked_sub(1)?;
        Some(TokenPosition { position, ..requested.clone() })
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
    fn what_was_reached_is_not_checked_again() {
        let token: Token =
            (0..100).map(|at| format!("a/{at}@5")).collect::<Vec<_>>().join(",").parse().unwrap();
        let checks = Cell::new(0);
        let mut from = 0;
        for commit in 0..1_000 {
            let is_there = |at: &TokenPosition| {
                checks.set(checks.get() + 1);
                at.partition < 99 || commit == 999
            };
            from = first_missing(&token, from, is_there);
        }
        assert_eq!((from, checks.get()), (100, 99 + 1_000));
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
