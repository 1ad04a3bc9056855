//! Projectors at work in D's directory, replays and verifications: one at a time, in the background.

use std::path::Path;

use system_tests::process::Process;

use super::service::last_lines;

/// What a projector says that found other rows than the log makes: a replay, and a verification.
const DIFFERS: [&str; 2] = ["has digest", "is not what the log says"];
/// What it says as soon as it is at work.
const AT_WORK: &str = " records read at ";

/// What a projector does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Builds a generation, and publishes it.
    Replay,
    /// Compares the one that is served with the log.
    Verify,
}

/// The projector at work, and how the earlier ones ended.
pub(crate) struct Projectors {
    flags: Vec<String>,
    at_work: Option<(Task, Process)>,
    /// Generations published, and generations found to be what the log says.
    pub(crate) done: usize,
    /// Ended otherwise: Kafka or D was away.
    pub(crate) gave_up: usize,
}

impl Task {
    /// Flag and name.
    fn flag(self) -> &'static str {
        match self {
            Self::Replay => "--replay",
            Self::Verify => "--verify",
        }
    }
}

impl Projectors {
    pub(crate) fn new(shared: &[String], read_model: &Path) -> Self {
        let mut flags = shared.to_vec();
        flags.extend(["--data-dir".to_owned(), read_model.display().to_string()]);
        Self { flags, at_work: None, done: 0, gave_up: 0 }
    }

    /// Flags with which `projector` does `task` to D's read model.
    pub(crate) fn flags(&self, task: Task) -> Vec<String> {
        [task.flag().to_owned()].into_iter().chain(self.flags.iter().cloned()).collect()
    }

    /// Starts one, unless one is at work.
    pub(crate) fn start(&mut self, task: Task) {
        self.start_with(task, &[]);
    }

    /// The same, at so many records a second.
    pub(crate) fn start_slowly(&mut self, task: Task, rate: u64) {
        self.start_with(task, &["--rate".to_owned(), rate.to_string()]);
    }

    fn start_with(&mut self, task: Task, more: &[String]) {
        if self.at_work.is_none() {
            let flags = [&self.flags(task)[..], more].concat();
            self.at_work = Some((task, Process::start("projector", &flags)));
        }
    }

    /// Whether the one at work has begun to read, or there is none any more.
    pub(crate) fn has_begun(&mut self) -> bool {
        let Some((_, process)) = &mut self.at_work else { return true };
        process.log().contains(AT_WORK) || process.has_ended().is_some()
    }

    /// SIGKILL to the one at work.
    pub(crate) fn kill(&mut self) {
        if let Some((_, process)) = self.at_work.take() {
            process.kill();
            self.gave_up += 1;
        }
    }

    /// Takes note of one that has ended. A sentence, if it found a difference.
    pub(crate) fn look(&mut self) -> Option<String> {
        let (_, process) = self.at_work.as_mut()?;
        process.has_ended()?;
        let (task, mut process) = self.at_work.take()?;
        let (status, log) = process.last_words();
        if status.success() {
            self.done += 1;
            return None;
        }
        self.gave_up += 1;
        let (flag, last) = (task.flag(), log.lines().last().unwrap_or_default());
        crate::report::progress(&format!("projector {flag} gave up: {last}"));
        differs(&log).then(|| format!("projector {flag} found a difference:\n{}", last_lines(&log)))
    }
}

/// Whether a projector that said this has found other rows than the log makes.
pub(crate) fn differs(said: &str) -> bool {
    DIFFERS.iter().any(|differs| said.contains(differs))
}
