//! What `/status` says: which generation is served, how far it is, and what is wrong.

use daybook_event::problem::Problem;
use daybook_kafka::topics::TopicError;
use daybook_projection::quarantine::SkippedEvent;
use daybook_projection::read_model::Withdrawn;
use daybook_projection::{
    ParkedKey, PartitionProgress, Phase, Progress, RebuildAtWork, RecordAt, ReplayProgress, SourceCheckpoint,
    SourceId, State, StopReason,
};
use daybook_stream::SetAsideShown;
use jiff::Timestamp;
use serde::Serialize;

use super::api::Api;
use super::first_catch_up::CatchUp;
use super::limits::STATUS_KEYS_MAX;
use super::measuring::Measured;
use super::serving::Serving;

#[derive(Debug, Serialize)]
pub struct Status {
    pub generation: Option<String>,
    pub layout: String,
    /// `opening`, `building`: nothing is served yet; `catching-up`: queries wait until it is where it may have been before;
    /// `following`; `stopped`: served as it was, and not followed at present.
    pub state: &'static str,
    pub stopped: Option<Problem>,
    /// Whether the end offsets seen at the start have been reached, but for partitions that nobody answers for.
    pub ready: bool,
    /// Why the published generation is not the one that is served.
    pub refused: Option<String>,
    pub next: Option<NextStatus>,
    /// Generations that nobody is to serve, as they lay there at the last check, and why; the next replay removes them.
    pub withdrawn: Vec<Withdrawn>,
    /// Why a generation that is to be built is not yet.
    pub build_trouble: Option<String>,
    /// What is wrong, while the directory of the read model was removed or replaced under this process.
    pub directory_gone: Option<String>,
    pub partitions: Vec<PartitionProgress>,
    /// Records that the broker has and the rows do not; none until the broker has answered for all partitions.
    pub lag_total: Option<u64>,
    pub last_event_age_ms: Option<i64>,
    pub events_applied: u64,
    pub duplicates_skipped: u64,
    /// Records of fenced writers that this process has skipped.
    pub fenced_skipped: u64,
    pub rebuild: Option<Rebuild>,
    /// Keys whose events wait because one of them could not be projected; at most [`STATUS_KEYS_MAX`].
    pub quarantine: Vec<ParkedKey>,
    pub quarantine_keys: usize,
    pub quarantine_events: u64,
    /// Events that are left out for ever; at most [`STATUS_KEYS_MAX`], the last ones.
    pub skipped: Vec<SkippedEvent>,
    pub skipped_events: usize,
    /// How many of these the file `SKIPPED` does not name, so that the next replay projects them, or has them wait, and is not
    /// published without `--accept-difference`: it is to be restored from a copy. None until it has been checked.
    pub skipped_unnamed: Option<usize>,
    /// Records that are no events of their topics' services, by partition.
    pub set_aside: Vec<SetAsideShown>,
    pub set_aside_records: u64,
    pub topic_faults: Vec<String>,
    /// Which partitions nobody answers for at present, and why; what they have is not known.
    pub partitions_away: Vec<String>,
    pub digest: Option<String>,
    pub bytes_on_disk: Option<u64>,
    /// The same, for each event in it.
    pub bytes_per_event: Option<f64>,
}

/// A published generation that is not served yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NextStatus {
    pub generation: String,
    /// `opening`; `catching-up` with what is served; `comparing` with it; `waiting`: tried again; `refused` by this process;
    /// `withdrawn`: refused, and what is served is published again.
    pub state: &'static str,
    pub why: Option<String>,
    /// Events that what is served has projected and it has not.
    pub behind_events: Option<u64>,
    pub tries: u32,
}

impl NextStatus {
    pub(super) const REFUSED: &str = "refused";
    pub(super) const WITHDRAWN: &str = "withdrawn";

    /// Why it is not served, if it does not get further.
    pub(super) fn refused(&self) -> Option<String> {
        let is_not = match self.state {
            Self::WITHDRAWN => "was published, and is not served",
            _ => "is published but not served",
        };
        Some(format!("{} {is_not}: {}", self.generation, self.why.as_ref()?))
    }
}

/// Whether queries are answered from a generation that had caught up once. A projection that stopped later does not
/// take that away: its answers are those of the last good state, and to send readers elsewhere would help nobody.
pub fn ready(serving: Option<&Serving>) -> bool {
    serving.is_some_and(|serving| serving.first_catch_up.state().is_ready())
}

/// The whole status. What is measured, and the time, come from the caller.
pub fn status(api: &Api, serving: Option<&Serving>, measured: &Measured, now: Timestamp) -> Status {
    // Positions, what waits and digest belong together, and nobody waits for a disk to learn them.
    let moment = serving.map(|serving| serving.generation.last_moment());
    let progress = serving.zip(moment.as_ref()).map(|(serving, moment)| Progress {
        checkpoint: moment.checkpoint.clone(),
        ..Progress::clone(&serving.progress.borrow())
    });
    let progress = progress.as_ref();
    let counts = progress.map(|progress| progress.counts).unwrap_or_default();
    let stopped = progress.and_then(stop_reason);
    let bytes_on_disk = serving.and_then(|serving| measured.bytes_on_disk(serving.number));
    let quarantine = moment.as_ref().map(|moment| moment.quarantine.clone()).unwrap_or_default();
    Status {
        generation: serving.map(|serving| serving.name.clone()),
        layout: api.layout.clone(),
        state: match (serving, stopped) {
            (None, _) => api.absent.load().state(),
            (Some(_), Some(_)) => "stopped",
            (Some(serving), None) => match serving.first_catch_up.state() {
                CatchUp::Over | CatchUp::Partly => "following",
                CatchUp::Waiting | CatchUp::Stopped | CatchUp::GivenUp => "catching-up",
            },
        },
        stopped: stopped.map(problem),
        ready: ready(serving),
        refused: api.refused.load().as_ref().clone(),
        next: api.next.load().as_ref().clone(),
        withdrawn: measured.withdrawn.clone(),
        build_trouble: api.build_trouble.load().as_ref().clone(),
        directory_gone: api.directory_gone.load().as_ref().clone(),
        partitions: progress.map(|progress| progress.partitions().collect()).unwrap_or_default(),
        lag_total: progress.and_then(Progress::lag_total),
        last_event_age_ms: counts
            .last_event_at
            .map(|at| now.as_millisecond().saturating_sub(at.as_millisecond())),
        events_applied: counts.applied,
        duplicates_skipped: counts.duplicates,
        fenced_skipped: counts.fenced,
        rebuild: api.rebuild.load().as_deref().cloned().or_else(|| measured.rebuild.clone()),
        quarantine: quarantine.keys().take(STATUS_KEYS_MAX).cloned().collect(),
        quarantine_keys: quarantine.keys().count(),
        quarantine_events: quarantine.events(),
        skipped: quarantine.skipped().iter().rev().take(STATUS_KEYS_MAX).cloned().collect(),
        skipped_events: quarantine.skipped().len(),
        skipped_unnamed: serving.and_then(|serving| measured.skipped_unnamed(serving.number)),
        set_aside: progress.map(set_aside).unwrap_or_default(),
        set_aside_records: progress.map_or(0, |progress| progress.checkpoint.set_aside()),
        topic_faults: progress.map(topic_faults).unwrap_or_default(),
        partitions_away: progress.map(partitions_away).unwrap_or_default(),
        digest: moment.map(|moment| moment.digest.to_string()),
        bytes_per_event: bytes_per_event(progress, bytes_on_disk),
        bytes_on_disk,
    }
}

fn bytes_per_event(progress: Option<&Progress>, bytes_on_disk: Option<u64>) -> Option<f64> {
    let events = progress?.checkpoint.events();
    (events > 0).then_some(bytes_on_disk? as f64 / events as f64)
}

fn stop_reason(progress: &Progress) -> Option<&StopReason> {
    match &progress.state {
        State::Stopped(reason) => Some(reason),
        State::Building | State::Following => None,
    }
}

fn set_aside(progress: &Progress) -> Vec<SetAsideShown> {
    let shown = |(source, at): (&SourceId, &SourceCheckpoint)| {
        at.set_aside.shown(&source.topic, source.partition, at.resume_offset)
    };
    progress.checkpoint.sources().filter_map(shown).collect()
}

/// A sentence for a partition of which records were set aside.
fn set_aside_said(of: &SetAsideShown) -> String {
    let SetAsideShown { topic, partition, records, last_offset, .. } = of;
    let end = if of.end_unproven { "; its end is unproven until the next event" } else { "" };
    format!(
        "{topic}/{partition}: {records} records are set aside that are no events, the last at offset {last_offset}{end}"
    )
}

fn topic_faults(progress: &Progress) -> Vec<String> {
    progress.topic_faults.iter().map(ToString::to_string).collect()
}

/// A line for everything that is wrong and lasts, as readiness tells it.
pub(super) fn troubles(status: &Status) -> Vec<String> {
    let stopped = status.stopped.as_ref().map(|problem| format!("stopped: {}", problem.detail));
    let single =
        [stopped, status.refused.clone(), status.build_trouble.clone(), status.directory_gone.clone()];
    let several = status.topic_faults.iter().chain(&status.partitions_away).cloned();
    let set_aside = status.set_aside.iter().map(set_aside_said);
    single.into_iter().flatten().chain(several).chain(set_aside).collect()
}

fn partitions_away(progress: &Progress) -> Vec<String> {
    let line = |(source, why): (&SourceId, &TopicError)| match why.is_away() {
        // It names the partition.
        true => why.to_string(),
        false => format!("{source} gets no answer: {why}"),
    };
    progress.away.iter().map(line).collect()
}

/// The reason of a stop as a problem, with the record that caused it.
fn problem(reason: &StopReason) -> Problem {
    let problem = Problem::of(reason.problem_type(), reason.to_string());
    let Some(RecordAt { topic, partition, offset, event_id }) = reason.at() else { return problem };
    let problem = problem.with("topic", topic.clone()).with("partition", *partition).with("offset", *offset);
    match event_id {
        Some(id) => problem.with("event_id", id.to_string()),
        None => problem,
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Rebuild {
    pub generation: Option<String>,
    /// Who is at work, if it is another process.
    pub by: Option<String>,
    /// `reading` the log, or `writing` rows.
    pub phase: Option<Phase>,
    pub done: u64,
    pub total: u64,
    /// Records read per second so far.
    pub events_per_s: f64,
    /// Seconds left at that pace; `None` at the very start.
    pub eta_s: Option<f64>,
    pub memory_bytes: Option<u64>,
}

impl Rebuild {
    pub fn at_work(found: RebuildAtWork) -> Self {
        let RebuildAtWork { holder, progress } = found;
        Self { by: Some(holder), ..progress.map(Self::from).unwrap_or_default() }
    }
}

impl From<ReplayProgress> for Rebuild {
    fn from(progress: ReplayProgress) -> Self {
        Self {
            generation: Some(progress.generation),
            by: None,
            phase: Some(progress.phase),
            done: progress.done,
            total: progress.total,
            events_per_s: progress.events_per_s.round(),
            eta_s: progress.eta_s.map(f64::ceil),
            memory_bytes: progress.memory_bytes,
        }
    }
}
