//! The command line, checked as a whole.

use std::path::PathBuf;
use std::time::Duration;

use crate::ReplayOptions;
use crate::quarantine::{EventName, WHY_CHARS_MAX};
use crate::replay::{KEEP_MAX, MEMORY_BYTES_RANGE};
use daybook_kafka::KafkaSettings;
use daybook_service::LogFormat;
use daybook_service::SettingErrors;
use uuid::Uuid;

use super::flags::Flags;
use super::holder;

/// A day.
const START_TIMEOUT_MS_MAX: u64 = 86_400_000;
/// More differing rows than anybody reads.
const LIMIT_MAX: usize = 1_000_000;

/// What is to be done, and where.
pub(super) struct Settings {
    pub(super) task: Task,
    pub(super) json: bool,
    pub(super) data_dir: PathBuf,
    pub(super) kafka: KafkaSettings,
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
    /// Checks all flags, and reports all that are wrong together.
    pub(super) fn check(self) -> Result<Settings, SettingErrors> {
        let mut errors = SettingErrors::default();
        let kafka = self.kafka.check(&mut errors);
        let log_format = self.log.check(&mut errors);
        let partitions = kafka.as_ref().map(|kafka| kafka.partitions);
        let task = self.task(partitions, &mut errors);
        match (task, kafka, log_format) {
            (Some(task), Some(kafka), Some(log_format)) if errors.sentences().is_empty() => {
                Ok(Settings { task, json: self.json, data_dir: self.data_dir, kafka, log_format })
            }
            _ => Err(errors),
        }
    }

    fn task(&self, partitions: Option<i32>, errors: &mut SettingErrors) -> Option<Task> {
        if !self.replay && (self.no_publish || self.into.is_some() || self.accept_difference.is_some()) {
            errors.push("--no-publish, --into and --accept-difference go with --replay only".to_owned());
        }
        if self.stop_at_quarantine && !self.replay {
            errors.push("--stop-at-quarantine goes with --replay only".to_owned());
        }
        if self.accept_difference.as_ref().is_some_and(|why| why.trim().is_empty()) {
            errors.push("--accept-difference: say why".to_owned());
        }
        let options = self.options(partitions, errors);
        let limit = errors.parse_in("--limit", &self.limit, 1..=LIMIT_MAX);
        let key = self.inspect.as_ref().map(|key| errors.parse("--inspect", key, "a UUID"));
        let skip = self.skip_event(errors);
        let quarantine = [self.release.is_some(), self.skip_event.is_some()];
        let asked = [self.replay, self.verify, self.rollback, self.discard, self.status, key.is_some()];
        let asked: Vec<bool> = asked.into_iter().chain(quarantine).collect();
        match (asked.iter().filter(|asked| **asked).count(), &self.rate) {
            (1, _) => {}
            (0, Some(_)) => return Some(Task::SetRate(options?.rate_max)),
            _ => {
                let tasks = "--replay, --verify, --rollback, --discard, --status, --inspect UUID, --release KEY and --skip-event EVENT";
                errors.push(format!("give exactly one of {tasks}, or --rate alone"));
                return None;
            }
        }
        match () {
            () if self.replay => options.map(Task::Replay),
            () if self.verify => Some(Task::Verify { options: options?, limit: limit? }),
            () if self.rollback => Some(Task::Rollback),
            () if self.discard => Some(Task::Discard),
            () if self.status => Some(Task::Status),
            () if self.skip_event.is_some() => skip,
            () if self.release.is_some() => self.release.clone().map(Task::Release),
            () => key.flatten().map(Task::Inspect),
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

    fn options(&self, partitions: Option<i32>, errors: &mut SettingErrors) -> Option<ReplayOptions> {
        let memory = errors.parse_in("--memory", &self.memory, MEMORY_BYTES_RANGE);
        let keep = errors.parse_in("--keep", &self.keep, 0..=KEEP_MAX);
        let rate = self.rate.as_deref().unwrap_or("0");
        let rate = errors.parse_in("--rate", rate, 0..=u64::from(u32::MAX));
        let timeout_ms =
            errors.parse_in("--start-timeout-ms", &self.start_timeout_ms, 0..=START_TIMEOUT_MS_MAX);
        Some(ReplayOptions {
            publish: !self.no_publish && self.into.is_none(),
            into: self.into.clone(),
            memory_bytes_max: memory?,
            rate_max: rate.map(|rate| (rate != 0).then_some(rate))?,
            keep: keep?,
            accept_difference: self.accept_difference.clone(),
            stop_at_quarantine: self.stop_at_quarantine,
            start_timeout: Duration::from_millis(timeout_ms?),
            ..ReplayOptions::new(partitions?, holder())
        })
    }
}
