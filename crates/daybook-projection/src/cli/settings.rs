//! The command line, checked as a whole.

use std::path::PathBuf;

use crate::ReplayOptions;
use crate::quarantine::{EventName, WHY_CHARS_MAX};
use daybook_kafka::Kafka;
use daybook_service::LogFormat;
use daybook_service::SettingErrors;
use uuid::Uuid;

use super::flags::Flags;
use super::holder;

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
            ..ReplayOptions::new(self.partitions, holder())
        }
    }

    fn rate_max(&self) -> Option<u64> {
        self.rate.filter(|rate| *rate != 0)
    }
}
