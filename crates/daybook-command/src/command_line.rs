//! The command line of a command service, and its `main`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use daybook_journal::PrintError;
use daybook_kafka::{Kafka, TopicFlags};
pub use daybook_service::program::Defaults;
use daybook_service::program::{self, ServiceFlags};
use daybook_service::settings::word;
use daybook_service::{EXIT_FAILED, SettingErrors, shutdown_signal};

use crate::aggregate::Aggregate;
use crate::http::Routes;
use crate::run::{RunError, run};
use crate::settings::{AnswerAfter, Limits, Settings};
use crate::store::directory::{Directory, DirectoryError, journal_in};

/// Flags of a command service. Taken as text and checked together, so that one run shows everything that is wrong.
#[derive(clap::Parser, Clone, Debug)]
#[command(version)]
struct Flags {
    #[command(flatten)]
    service: ServiceFlags,
    /// Rebuild the store from the service's topic first; the old one is kept aside. For one start: the next ones leave it out
    #[arg(long)]
    recover: bool,
    /// Become the writer of the topic in the place of another instance, which is shut out by that. For one start: left in the
    /// command lines of both, they would shut each other out in turns
    #[arg(long)]
    take_over: bool,
    /// Go on although the brokers are of another Kafka cluster than the store was used with. For one start
    #[arg(long)]
    adopt_cluster: bool,
    /// Answer a command when it is on this disk, or when Kafka has it as well: disk or kafka
    #[arg(
        long,
        env = "DAYBOOK_ANSWER_AFTER",
        default_value = "disk",
        value_name = "WHERE",
        value_parser = word(&[("disk", AnswerAfter::Disk), ("kafka", AnswerAfter::Kafka)])
    )]
    answer_after: AnswerAfter,
    /// Print what the journal in --data-dir holds, and exit; reads only, also beside a running service
    #[arg(long)]
    journal: bool,
    /// Remove the stores that --recover or an upgrade has put aside in --data-dir, and exit; not beside a running service
    #[arg(long)]
    remove_old_stores: bool,
    #[command(flatten)]
    kafka: Kafka,
    #[command(flatten)]
    topics: TopicFlags,
    #[command(flatten)]
    limits: Limits,
}

/// The whole `main` of a command service: reads the command line, runs until a signal, and says how it ended.
pub async fn main<A: Aggregate>(defaults: Defaults, routes: Routes<A>) -> ExitCode {
    main_with(std::env::args_os(), defaults, routes).await
}

/// The same with another command line, of which the first argument is what the program is called.
pub async fn main_with<A: Aggregate>(
    arguments: impl IntoIterator<Item = OsString>,
    defaults: Defaults,
    routes: Routes<A>,
) -> ExitCode {
    let flags = program::parse::<Flags>(arguments, defaults);
    let mut errors = SettingErrors::of_flags();
    if errors.sentences().is_empty() {
        check_pairs(&flags.limits, flags.answer_after, &mut errors);
    }
    if !(flags.service.health_check || flags.journal || flags.remove_old_stores) {
        check_acts(|variable| std::env::var_os(variable), &mut errors);
    }
    flags.kafka.check(&mut errors);
    if let Err(errors) = errors.finish() {
        return program::wrong(&errors);
    }
    let (served, data_dir) = (flags.service.clone(), flags.service.data_dir.clone());
    if let Some(checked) = served.health_checked() {
        return checked;
    }
    if flags.journal {
        return program::ended(print_journal(&journal_in(&data_dir)), EXIT_FAILED);
    }
    if flags.remove_old_stores {
        let removed = remove_old_stores(&data_dir, defaults.name);
        let code = removed.as_ref().map_or_else(DirectoryError::exit_code, |()| EXIT_FAILED);
        return program::ended(removed, code);
    }
    let listener = match served.bind().await {
        Ok(listener) => listener,
        Err(code) => return code,
    };
    let result = run(flags.settings(), listener, shutdown_signal(), routes).await;
    let code = result.as_ref().map_or_else(RunError::exit_code, |()| 0);
    let leaves_threads = result.as_ref().is_err_and(RunError::leaves_threads);
    let ended = program::ended(result, code);
    if leaves_threads {
        std::process::exit(i32::from(code));
    }
    ended
}

/// Why a journal is not printed.
#[derive(Debug, thiserror::Error)]
enum JournalError {
    #[error("there is no journal in {}; choose another directory with --data-dir", .0.display())]
    Missing(PathBuf),
    #[error(transparent)]
    Print(#[from] PrintError),
}

fn print_journal(journal: &Path) -> Result<(), JournalError> {
    if !journal.exists() {
        return Err(JournalError::Missing(journal.to_owned()));
    }
    let mut out = io::stdout().lock();
    match daybook_journal::print(journal, &mut out) {
        // Whoever reads has read enough.
        Err(PrintError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => Ok(printed?),
    }
}

#[expect(clippy::print_stdout, reason = "what it was asked for")]
fn remove_old_stores(data_dir: &Path, service: &str) -> Result<(), DirectoryError> {
    for removed in Directory::open(data_dir, service)?.remove_old_stores()? {
        println!("removed {}", removed.display());
    }
    Ok(())
}

impl Flags {
    fn settings(self) -> Settings {
        Settings {
            kafka: self.kafka,
            partitions: self.topics.partitions,
            replication_factor: self.topics.replication_factor,
            data_dir: self.service.data_dir,
            recover: self.recover,
            take_over: self.take_over,
            adopt_cluster: self.adopt_cluster,
            answer_after: self.answer_after,
            limits: self.limits,
            connections: self.service.connections,
        }
    }
}

/// Settings that are right each by itself, and together would take effect otherwise than they say.
fn check_pairs(limits: &Limits, answer_after: AnswerAfter, errors: &mut SettingErrors) {
    let (kafka, request) = (limits.kafka_wait_max.as_millis(), limits.request_timeout.as_millis());
    if answer_after == AnswerAfter::Kafka && kafka >= request {
        errors.push(format!(
            "--kafka-wait-ms-max: {kafka} is not below --request-timeout-ms, which is {request}: the client would not learn that the \
             command is stored"
        ));
    }
    let (min, max) = (limits.idempotency_age_min.as_secs(), limits.idempotency_age_max.as_secs());
    if min > max {
        errors.push(format!(
            "--idempotency-age-s-min: {min} is above --idempotency-age-s-max, which is {max}: a key would be forgotten before \
             its least age"
        ));
    }
}

/// What is done once is asked for at one start. In an environment it would be asked for at each; what says no there asks for
/// nothing.
fn check_acts(variable: impl Fn(&str) -> Option<OsString>, errors: &mut SettingErrors) {
    for (name, flag) in [
        ("DAYBOOK_RECOVER", "--recover"),
        ("DAYBOOK_TAKE_OVER", "--take-over"),
        ("DAYBOOK_ADOPT_CLUSTER", "--adopt-cluster"),
    ] {
        if variable(name).is_some_and(|value| !says_no(&value)) {
            errors.push(format!(
                "{name} is read no longer: unset it, and give {flag} on the command line, for one start"
            ));
        }
    }
}

/// What switched such a variable off as long as it was read.
fn says_no(value: &OsStr) -> bool {
    let value = value.to_string_lossy().to_lowercase();
    matches!(value.as_str(), "" | "n" | "no" | "f" | "false" | "off" | "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_in_the_environment_is_refused_only_where_it_is_asked_for() {
        let refused = |value: Option<&str>| {
            let mut errors = SettingErrors::default();
            let set = |name: &str| value.filter(|_| name == "DAYBOOK_TAKE_OVER").map(OsString::from);
            check_acts(set, &mut errors);
            errors.finish().is_err()
        };
        for off in [None, Some(""), Some("false"), Some("FALSE"), Some("0"), Some("no"), Some("off")] {
            assert!(!refused(off), "{off:?}");
        }
        for on in ["true", "1", "yes", "on", " "] {
            assert!(refused(Some(on)), "{on:?}");
        }
    }
}
