//! Answers as they were kept under idempotency keys before outcomes were: read only, and as outcomes.
//!
//! Status, version, `Location`, positions written, dependencies, body; big-endian, the body up to the end. An answer that
//! showed no version, as that to a deletion, has none, which stays unknown. The key outlives the program that wrote it by
//! `--idempotency-age-s-max` at most; then nothing needs this any more.

use daybook_event::problem::Problem;
use uuid::Uuid;

use crate::fields::{Damaged, Fields};
use crate::outcome::{Accepted, DependsOn, Outcome, Written, is_json};

/// Whether a record that begins so is an answer: its status is below 512.
pub(super) fn begins_with(first: u8) -> bool {
    first < 2
}

/// Reads what stands behind the first byte.
pub(super) fn decode(first: u8, mut fields: Fields<'_>) -> Result<Outcome, Damaged> {
    let [second] = fields.array()?;
    let status = u16::from_be_bytes([first, second]);
    let damaged = fields.damaged();
    let version = fields.u64()?;
    let created = created(fields.text()?).ok_or_else(|| damaged.clone())?;
    let written = (0..fields.u16()?).map(|_| written(&mut fields)).collect::<Result<_, _>>()?;
    let depends_on = (0..fields.u16()?).map(|_| depends_on(&mut fields)).collect::<Result<_, _>>()?;
    let body = fields.rest();
    match status {
        200..=299 => {
            let state = Some(body.to_vec()).filter(|body| !body.is_empty());
            let is_readable = state.as_ref().is_none_or(|state| is_json(state));
            let accepted = Accepted { version, created, state, written, depends_on, stands_at: None };
            is_readable.then_some(Outcome::Accepted(accepted)).ok_or(damaged)
        }
        400.. => problem(status, body).map(Outcome::Rejected).ok_or(damaged),
        _ => Err(damaged),
    }
}

fn problem(status: u16, body: &[u8]) -> Option<Problem> {
    let problem: Problem = serde_json::from_slice(body).ok()?;
    let named = Problem::new(status, problem.slug(), problem.title.clone(), problem.detail.clone());
    let is_one = problem.status == status && problem.kind != problem.slug();
    is_one.then_some(Problem { extensions: problem.extensions, ..named })
}

/// What a `Location` names; none if it cannot have been one.
fn created(location: &str) -> Option<Option<Uuid>> {
    if location.is_empty() {
        return Some(None);
    }
    let (_, id) = location.rsplit_once('/')?;
    Uuid::try_parse(id).ok().map(Some)
}

fn depends_on(fields: &mut Fields<'_>) -> Result<DependsOn, Damaged> {
    Ok(DependsOn { table: fields.u16()?, at: written(fields)? })
}

fn written(fields: &mut Fields<'_>) -> Result<Written, Damaged> {
    let partition = i32::try_from(fields.u32()?).map_err(|_| fields.damaged())?;
    Ok(Written { partition, position: fields.u64()? })
}
