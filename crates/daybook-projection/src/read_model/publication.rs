//! Which generation is published, and which ones were before it.
//!
//! `CURRENT` names the one to serve. Each generation notes in a file `BEFORE` of its own what `CURRENT` named when it was
//! published, so that a rollback goes to what was served before and not to what has the number before. A generation without
//! that file was never published, or by a program that did not write it yet: then, and where it cannot be read, the numbers say
//! what was before. One that was withdrawn ([`super::removal`]) is passed over.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use daybook_service::LogOnce;
use daybook_store::files;

use super::{DIGITS, PREFIX, ReadModel, ReadModelError, io_error, number_of};
use crate::generation;
use crate::projection::Layout;

pub(super) const CURRENT: &str = "CURRENT";
const BEFORE: &str = "BEFORE";
/// How long another process may take to publish; it writes two small files.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);
const PUBLISH_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// What a process that serves polls.
static SAID: LogOnce = LogOnce::new();

impl ReadModel {
    /// What `CURRENT` says, whether or not it is a generation here; `None` if there is no such file.
    pub fn named(&self) -> Result<Option<String>, ReadModelError> {
        name_in(&self.directory.join(CURRENT))
    }

    /// Name of the generation to serve, such as `gen-000001`; `None` if none has been published. If the one that `CURRENT`
    /// names was withdrawn, it is the one to serve in its place.
    /// Errors: [`ReadModelError::Current`] if that generation is not there, [`ReadModelError::Withdrawn`] if there is none in
    /// its place.
    pub fn current(&self) -> Result<Option<String>, ReadModelError> {
        let Some(name) = self.named()? else { return Ok(None) };
        if !self.has(&name) {
            return Err(ReadModelError::Current { path: self.directory.join(CURRENT), found: name });
        }
        match self.withdrawal_of(&name) {
            Some(withdrawn) => self.in_place_of(withdrawn).map(Some),
            None => Ok(Some(name)),
        }
    }

    /// As [`ReadModel::current`], but also the name of one that is not there or was withdrawn without another in its place.
    fn current_or_named(&self) -> Result<Option<String>, ReadModelError> {
        match self.current() {
            Err(error) if error.is_gone() => self.named(),
            current => current,
        }
    }

    /// Whether the generation to serve is there and has another layout than `layout`, as far as can be said without opening
    /// it.
    pub fn current_is_foreign(&self, layout: &Layout) -> Result<bool, ReadModelError> {
        let Some(name) = self.current_or_named()?.filter(|name| self.has(name)) else { return Ok(false) };
        Ok(generation::layout_of(&self.path_of(&name)).as_deref() != Some(&*layout.to_string()))
    }

    /// Name of the generation to build next: none that is there, and none that was published last.
    pub fn next_name(&self) -> Result<String, ReadModelError> {
        let names = self.names()?.into_iter().chain(self.named()?);
        let last = names.filter_map(|name| number_of(&name)).max().unwrap_or(0);
        Ok(format!("{PREFIX}{:0DIGITS$}", last + 1))
    }

    /// Names the generation to serve from now on. Durable when it returns.
    /// Errors: [`ReadModelError::Io`]; the one named before then stays.
    pub fn publish(&self, name: &str) -> Result<(), ReadModelError> {
        let _one = self.publishing()?;
        let before = self.current_or_named()?;
        if before.as_deref() != Some(name) {
            let path = self.path_of(name).join(BEFORE);
            let before = before.unwrap_or_default();
            files::replace(&path, format!("{before}\n")).map_err(io_error("write", &path))?;
        }
        self.set_current(name)
    }

    /// Names the generation that was published before the current one, to serve that again; returns both names, the new one
    /// first. If the current one is not there, the last one that was published takes its place.
    /// Errors: [`ReadModelError::NothingOlder`] if none was kept.
    pub fn roll_back(&self) -> Result<(String, String), ReadModelError> {
        let _one = self.publishing()?;
        let nothing = || ReadModelError::NothingOlder { path: self.directory.clone() };
        let current = self.current_or_named()?.ok_or_else(nothing)?;
        let older = match self.has(&current) {
            true => self.published_before(&current)?.into_iter().next(),
            false => {
                let mut finished = self.finished()?;
                finished.retain(|name| !self.is_withdrawn(name));
                let published = finished.iter().rfind(|name| self.was_published(name));
                published.or(finished.last()).cloned()
            }
        };
        let older = older.ok_or_else(nothing)?;
        self.set_current(&older)?;
        Ok((older, current))
    }

    /// Names of the generations that were published before `name`, the last one first, as far as they are there and were not
    /// withdrawn.
    pub(super) fn published_before(&self, name: &str) -> Result<Vec<String>, ReadModelError> {
        let finished = self.finished()?;
        let older = |name: &str| {
            let number = number_of(name);
            finished.iter().filter(move |older| number_of(older) < number)
        };
        let (mut chain, mut last) = (Vec::new(), name.to_owned());
        loop {
            let before = match self.noted_before(&last) {
                // What is gone does not say what was before it.
                Some(gone) if !finished.contains(&gone) => {
                    older(&gone).rfind(|older| self.was_published(older)).cloned()
                }
                Some(noted) => Some(noted),
                None => older(&last).next_back().cloned(),
            };
            // A generation that was published again stands in its own past.
            match before
                .filter(|before| finished.contains(before) && before != name && !chain.contains(before))
            {
                Some(before) => {
                    last.clone_from(&before);
                    chain.push(before);
                }
                None => {
                    chain.retain(|before| !self.is_withdrawn(before));
                    return Ok(chain);
                }
            }
        }
    }

    /// Whether a generation was published at some time, as far as it says so; also if it was withdrawn.
    pub(super) fn was_published(&self, name: &str) -> bool {
        self.path_of(name).join(BEFORE).exists() || self.is_withdrawn(name)
    }

    pub(super) fn finished(&self) -> Result<Vec<String>, ReadModelError> {
        let mut finished = self.names()?;
        finished.retain(|name| !generation::is_unfinished(&self.path_of(name)));
        Ok(finished)
    }

    /// What a generation notes; an empty text for the first one. What cannot be read counts as not noted: else nothing that is
    /// published would be continued, whatever came before it.
    fn noted_before(&self, name: &str) -> Option<String> {
        match name_in(&self.path_of(name).join(BEFORE)) {
            Ok(noted) => noted,
            Err(error) => {
                let warning = format!("{error}. The numbers say what was published before {name}");
                if let Some(more) = SAID.say(&warning) {
                    tracing::warn!("{warning}{more}");
                }
                None
            }
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        number_of(name).is_some() && self.path_of(name).is_dir()
    }

    pub(super) fn set_current(&self, name: &str) -> Result<(), ReadModelError> {
        let path = self.directory.join(CURRENT);
        files::replace(&path, format!("{name}\n")).map_err(io_error("write", &path))
    }

    /// One process at a time, and one thread. The directory itself is locked, so that no file is added to it which an older
    /// program would refuse.
    pub(super) fn publishing(&self) -> Result<File, ReadModelError> {
        let directory = File::open(&self.directory).map_err(io_error("open", &self.directory))?;
        let deadline = Instant::now() + PUBLISH_TIMEOUT;
        loop {
            match directory.try_lock() {
                Ok(()) => return Ok(directory),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(PUBLISH_POLL_INTERVAL);
                }
                Err(error @ TryLockError::WouldBlock) => {
                    return Err(io_error("lock", &self.directory)(error.into()));
                }
                // A file system that locks no directories: two who publish at the same moment are rare.
                Err(TryLockError::Error(error)) => {
                    tracing::warn!("{} cannot be locked while publishing: {error}", self.directory.display());
                    return Ok(directory);
                }
            }
        }
    }
}

/// The name in a file, if there is such a file. One that is damaged names no generation.
fn name_in(path: &Path) -> Result<Option<String>, ReadModelError> {
    let name = files::read_if_there(path).map_err(io_error("read", path))?;
    Ok(name.map(|name| String::from_utf8_lossy(&name).trim_end().to_owned()))
}
