//! Replays of D while D serves: one at a time, in the background.

use std::path::Path;

use system_tests::process::Process;

use super::service::last_lines;

/// What a replay says that found other rows than those that are served.
const DIFFERS: &str = "has digest";

/// The replay at work, and how the earlier ones ended.
pub(crate) struct Replays {
    flags: Vec<String>,
    at_work: Option<Process>,
    /// Published.
    pub(crate) done: usize,
    /// Ended otherwise: Kafka or D was away.
    pub(crate) gave_up: usize,
}

impl Replays {
    pub(crate) fn new(shared: &[String], read_model: &Path) -> Self {
        let mut flags = shared.to_vec();
        flags.extend(["--data-dir".to_owned(), read_model.display().to_string()]);
        Self { flags, at_work: None, done: 0, gave_up: 0 }
    }

    /// Flags with which `projector` does `task` to D's read model.
    pub(crate) fn projector_flags(&self, task: &str) -> Vec<String> {
        [task.to_owned()].into_iter().chain(self.flags.iter().cloned()).collect()
    }

    /// Starts one, unless one is at work.
    pub(crate) fn start(&mut self) {
        if self.at_work.is_none() {
            self.at_work = Some(Process::start("projector", &self.projector_flags("--replay")));
        }
    }

    /// SIGKILL to the one at work.
    pub(crate) fn kill(&mut self) {
        if let Some(process) = self.at_work.take() {
            process.kill();
            self.gave_up += 1;
        }
    }

    /// Takes note of one that has ended. A sentence, if it found a difference.
    pub(crate) fn look(&mut self) -> Option<String> {
        let status = self.at_work.as_mut()?.has_ended()?;
        let log = self.at_work.take().map(|process| process.log()).unwrap_or_default();
        if status.success() {
            self.done += 1;
            return None;
        }
        self.gave_up += 1;
        crate::report::progress(&format!("a replay gave up: {}", log.lines().last().unwrap_or_default()));
        log.contains(DIFFERS).then(|| format!("a replay differs from what D serves:\n{}", last_lines(&log)))
    }
}
