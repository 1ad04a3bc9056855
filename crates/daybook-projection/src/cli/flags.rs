//! The command line, as it is written, and checked as a whole.

use std::path::PathBuf;
use std::time::Duration;

use daybook_kafka::{Kafka, TopicFlags};
use daybook_service::settings::{millis, number, setting};
use daybook_service::{LogFlags, LogFormat, SettingErrors};
use uuid::Uuid;

use super::holder;
use crate::ReplayOptions;
use crate::quarantine::{EventName, WHY_CHARS_MAX};
use crate::replay::{KEEP_MAX, MEMORY_BYTES_RANGE};

/// A day.
const START_TIMEOUT_MS_MAX: u64 = 86_400_000;
/// More differing rows than anybody reads.
const LIMIT_MAX: usize = 1_000_000;

/// Rebuild service D's read model from the log, verify it, or inspect it.
///
/// Exit codes: 0 done; 1 failed, refused, or (--verify) different; 2 wrong settings; 3 the directory is in use
#[derive(clap::Parser, Debug)]
#[command(name = "projector", version)]
pub(super) struct Flags {
    /// Build the next generation from offset zero up to the log's present end, compare it with the one that is served,
    /// then publish it; resumes a replay that was stopped or killed
    #[arg(long)]
    pub(super) replay: bool,

    /// Build a generation aside up to where the published one is, and compare all rows; exit 1 if any differs or
    /// cannot be read
    #[arg(long)]
    pub(super) verify: bool,

    /// Serve again what was published before, once it has caught up
    #[arg(long)]
    pub(super) rollback: bool,

    /// Remove what a replay has left unfinished
    #[arg(long)]
    pub(super) discard: bool,

    /// Show the published generation: layout, checkpoint against end offsets, bytes on disk, digest; of one that is
    /// being served bytes and quarantine only (see its GET /status)
    #[arg(long)]
    pub(super) status: bool,

    /// Show the rows of all views with this key
    #[arg(long, value_name = "UUID", value_parser = setting("a UUID", Uuid::nil(), |raw| raw.trim().parse().ok()))]
    pub(super) inspect: Option<Uuid>,

    /// Project all events of this key that wait in quarantine, in order; exit 1 and change nothing if one still fails
    #[arg(long, value_name = "KEY")]
    pub(super) release: Option<String>,

    /// Leave this event, which waits in quarantine, out of this and all later generations: its id, or its position such as
    /// users.events/3@17; needs --why
    #[arg(long, value_name = "EVENT")]
    pub(super) skip_event: Option<String>,

    /// With --skip-event: why it is left out; kept for ever
    #[arg(long, value_name = "TEXT")]
    pub(super) why: Option<String>,

    /// With --replay and --verify: read at most so many events per second; 0 for no limit. Alone: change that of the
    /// replay at work
    #[arg(long, value_name = "EVENTS_PER_S", value_parser = number(0..=u64::from(u32::MAX)))]
    pub(super) rate: Option<u64>,

    /// With --replay: build, but do not publish
    #[arg(long)]
    pub(super) no_publish: bool,

    /// With --replay: build in this empty or new directory, and do not publish
    #[arg(long, value_name = "DIR")]
    pub(super) into: Option<PathBuf>,

    /// With --replay: publish even if the new generation differs from the one that is served, for this reason
    #[arg(long, value_name = "WHY")]
    pub(super) accept_difference: Option<String>,

    /// With --replay: stop at the first record that cannot be projected, instead of parking its key; exit 1
    #[arg(long)]
    pub(super) stop_at_quarantine: bool,

    /// With --replay: how many of the generations that were published before are kept
    #[arg(long, env = "DAYBOOK_KEEP", default_value = "1", value_name = "N", value_parser = number(0..=KEEP_MAX))]
    pub(super) keep: usize,

    /// With --replay and --verify: bytes of memory for sorting and merging
    #[arg(long, env = "DAYBOOK_MEMORY", default_value = "536870912", value_name = "BYTES", value_parser = number(MEMORY_BYTES_RANGE))]
    pub(super) memory: usize,

    /// With --verify: how many differing rows are listed
    #[arg(long, default_value = "20", value_name = "ROWS", value_parser = number(1..=LIMIT_MAX))]
    pub(super) limit: usize,

    /// Results and progress as JSON, one object per line
    #[arg(long)]
    pub(super) json: bool,

    /// Directory of the read model
    #[arg(long, env = "DAYBOOK_DATA_DIR", default_value = "data/read-model", value_name = "DIR")]
    pub(super) data_dir: PathBuf,

    /// How long to wait for a broker
    #[arg(
        long = "start-timeout-ms",
        env = "DAYBOOK_START_TIMEOUT_MS",
        default_value = "30000",
        value_name = "MS",
        value_parser = millis(0..=START_TIMEOUT_MS_MAX)
    )]
    pub(super) start_timeout: Duration,

    #[command(flatten)]
    pub(super) kafka: Kafka,

    #[command(flatten)]
    topics: TopicFlags,

    #[command(flatten)]
    pub(super) log: LogFlags,
}

pub(super) struct Settings {
    pub(super) task: Task,
    pub(super) json: bool,
    pub(super) data_dir: PathBuf,
    pub(super) kafka: Kafka,
    pub(super) log_format: LogFormat,
}

pub(super) enum Task {
    Replay(ReplayOptions),
    Verify { options: ReplayOptions, limit: usize },
    Rollback,
    Discard,
    Status,
    Inspect(Uuid),
    Release(String),
    SkipEvent { event: EventName, why: String },
    SetRate(Option<u64>),
}

impl Flags {
    pub(super) fn check(self) -> Result<Settings, SettingErrors> {
        let mut errors = SettingErrors::of_flags();
        self.kafka.check(&mut errors);
        let task = self.task(&mut errors);
        errors.finish()?;
        let Self { json, data_dir, kafka, log, .. } = self;
        // Whatever is missing has left its sentence.
        let task = task.ok_or_else(SettingErrors::default)?;
        Ok(Settings { task, json, data_dir, kafka, log_format: log.log_format })
    }

    fn task(&self, errors: &mut SettingErrors) -> Option<Task> {
        if !self.replay && (self.no_publish || self.into.is_some() || self.accept_difference.is_some()) {
            errors.push("--no-publish, --into and --accept-difference go with --replay only".to_owned());
        }
        if self.stop_at_quarantine && !self.replay {
            errors.push("--stop-at-quarantine goes with --replay only".to_owned());
        }
        if self.accept_difference.as_ref().is_some_and(|why| why.trim().is_empty()) {
            errors.push("--accept-difference: say why".to_owned());
        }
        let skip = self.skip_event(errors);
        let quarantine = [self.release.is_some(), self.skip_event.is_some()];
        let asked =
            [self.replay, self.verify, self.rollback, self.discard, self.status, self.inspect.is_some()];
        let asked: Vec<bool> = asked.into_iter().chain(quarantine).collect();
        match (asked.iter().filter(|asked| **asked).count(), &self.rate) {
            (1, _) => {}
            (0, Some(_)) => return Some(Task::SetRate(self.rate_max())),
            _ => {
                let tasks = "--replay, --verify, --rollback, --discard, --status, --inspect UUID, --release KEY and --skip-event EVENT";
                errors.push(format!("give exactly one of {tasks}, or --rate alone"));
                return None;
            }
        }
        match () {
            () if self.replay => Some(Task::Replay(self.options())),
            () if self.verify => Some(Task::Verify { options: self.options(), limit: self.limit }),
            () if self.rollback => Some(Task::Rollback),
            () if self.discard => Some(Task::Discard),
            () if self.status => Some(Task::Status),
            () if self.skip_event.is_some() => skip,
            () if self.release.is_some() => self.release.clone().map(Task::Release),
            () => self.inspect.map(Task::Inspect),
        }
    }

    /// An event and the reason go together.
    fn skip_event(&self, errors: &mut SettingErrors) -> Option<Task> {
        let why = self.why.as_deref().map(str::trim);
        let Some(name) = &self.skip_event else {
            if why.is_some() {
                errors.push("--why goes with --skip-event only".to_owned());
            }
            return None;
        };
        let event = name.parse().map_err(|error| errors.push(format!("--skip-event `{name}`: {error}"))).ok();
        match why {
            Some(why) if !why.is_empty() && why.chars().count() <= WHY_CHARS_MAX => {
                Some(Task::SkipEvent { event: event?, why: why.to_owned() })
            }
            _ => {
                let sentence = format!("--skip-event needs --why with 1 to {WHY_CHARS_MAX} characters");
                errors.push(sentence);
                None
            }
        }
    }

    fn options(&self) -> ReplayOptions {
        ReplayOptions {
            publish: !self.no_publish && self.into.is_none(),
            into: self.into.clone(),
            memory_bytes_max: self.memory,
            rate_max: self.rate_max(),
            keep: self.keep,
            accept_difference: self.accept_difference.clone(),
            stop_at_quarantine: self.stop_at_quarantine,
            start_timeout: self.start_timeout,
            ..ReplayOptions::new(self.topics.partitions, holder())
        }
    }

    fn rate_max(&self) -> Option<u64> {
        self.rate.filter(|rate| *rate != 0)
    }
}
