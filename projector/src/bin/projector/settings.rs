//! The command line, checked as a whole.

use std::path::PathBuf;
use std::time::Duration;

use event_log::process::{LogFlags, LogFormat};
use event_log::settings::{KafkaFlags, KafkaSettings, SettingErrors};
use projector::kernel::ReplayOptions;
use uuid::Uuid;

use crate::holder;

/// Below this the cache would be written out all the time.
const MEMORY_BYTES_MIN: usize = 1 << 20;
/// More than any machine has.
const MEMORY_BYTES_MAX: usize = 1 << 44;
/// A day.
const START_TIMEOUT_MS_MAX: u64 = 86_400_000;

/// Rebuild service D's read model from the log, or look at it
#[derive(clap::Parser, Debug)]
#[command(version)]
pub(crate) struct Flags {
    /// Build the next generation from offset zero up to the log's present end, then publish it
    #[arg(long)]
    replay: bool,

    /// Show the published generation: layout, checkpoint against end offsets, bytes on disk, digest
    #[arg(long)]
    status: bool,

    /// Show the rows of all views with this key
    #[arg(long, value_name = "UUID")]
    inspect: Option<String>,

    /// With --replay: build, but do not publish
    #[arg(long)]
    no_publish: bool,

    /// With --replay: build in this empty or new directory, and do not publish
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,

    /// With --replay: bytes of memory for sorting and merging
    #[arg(long, env = "DAYBOOK_MEMORY", default_value = "536870912", value_name = "BYTES")]
    memory: String,

    /// Results and progress as JSON, one object per line
    #[arg(long)]
    json: bool,

    /// Directory of the read model
    #[arg(long, env = "DAYBOOK_DATA_DIR", default_value = "data/read-model", value_name = "DIR")]
    data_dir: PathBuf,

    /// How long to wait for a broker
    #[arg(long, env = "DAYBOOK_START_TIMEOUT_MS", default_value = "30000", value_name = "MS")]
    start_timeout_ms: String,

    #[command(flatten)]
    kafka: KafkaFlags,

    #[command(flatten)]
    log: LogFlags,
}

/// What is to be done, and where.
pub(crate) struct Settings {
    pub(crate) task: Task,
    pub(crate) json: bool,
    pub(crate) data_dir: PathBuf,
    pub(crate) kafka: KafkaSettings,
    pub(crate) log_format: LogFormat,
}

pub(crate) enum Task {
    Replay(ReplayOptions),
    Status,
    Inspect(Uuid),
}

impl Flags {
    /// Checks all flags, and reports all that are wrong together.
    pub(crate) fn check(self) -> Result<Settings, SettingErrors> {
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
        let memory = errors.parse_in("--memory", &self.memory, MEMORY_BYTES_MIN..=MEMORY_BYTES_MAX);
        let timeout_ms =
            errors.parse_in("--start-timeout-ms", &self.start_timeout_ms, 0..=START_TIMEOUT_MS_MAX);
        let key = self.inspect.as_ref().map(|key| errors.parse("--inspect", key, "a UUID"));
        if !self.replay && (self.no_publish || self.into.is_some()) {
            errors.push("--no-publish and --into go with --replay only".to_owned());
        }
        match (self.replay, self.status, key) {
            (true, false, None) => Some(Task::Replay(ReplayOptions {
                publish: !self.no_publish && self.into.is_none(),
                into: self.into.clone(),
                memory_bytes_max: memory?,
                start_timeout: Duration::from_millis(timeout_ms?),
                ..ReplayOptions::new(partitions?, holder())
            })),
            (false, true, None) => Some(Task::Status),
            (false, false, Some(key)) => key.map(Task::Inspect),
            _ => {
                errors.push("give exactly one of --replay, --status and --inspect UUID".to_owned());
                None
            }
        }
    }
}
