//! The command line of a command service, and its `main`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use daybook_journal::PrintError;
use daybook_kafka::KafkaFlags;
pub use daybook_service::program::Defaults;
use daybook_service::program::{self, Served, ServiceFlags};
use daybook_service::{EXIT_FAILED, SettingErrors, shutdown_signal};

use super::aggregate::Aggregate;
use super::directory::{Directory, DirectoryError, journal_in};
use super::http::Routes;
use super::run::{RunError, run};
use super::settings::{AnswerAfter, JOURNAL_BYTES_MIN, Limits, Settings};

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
    #[arg(long, env = "DAYBOOK_ANSWER_AFTER", default_value = "disk", value_name = "WHERE")]
    answer_after: String,
    /// Print what the journal in --data-dir holds, and exit; reads only, also beside a running service
    #[arg(long)]
    journal: bool,
    /// Remove the stores that --recover or an upgrade has put aside in --data-dir, and exit; not beside a running service
    #[arg(long)]
    remove_old_stores: bool,
    #[command(flatten)]
    kafka: KafkaFlags,
    #[command(flatten)]
    limits: LimitFlags,
}

/// Bounds that an operator may move.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Bounds")]
struct LimitFlags {
    /// Commands waiting to be decided; past it 503
    #[arg(long, env = "DAYBOOK_QUEUED_COMMANDS_MAX", default_value = "1024", value_name = "N")]
    queued_commands_max: String,
    /// Requests being worked on; past it 503. Half as many more may wait for Daybook-After or for Kafka
    #[arg(long, env = "DAYBOOK_REQUESTS_MAX", default_value = "4096", value_name = "N")]
    requests_max: String,
    /// How long a client may take to send a body; past it 408
    #[arg(long, env = "DAYBOOK_BODY_TIMEOUT_MS", default_value = "5000", value_name = "MS")]
    body_timeout_ms: String,
    /// Longest work on one request
    #[arg(long, env = "DAYBOOK_REQUEST_TIMEOUT_MS", default_value = "15000", value_name = "MS")]
    request_timeout_ms: String,
    /// Longest wait for Daybook-After, and the wait if a request names none
    #[arg(long, env = "DAYBOOK_AFTER_WAIT_MS_MAX", default_value = "5000", value_name = "MS")]
    after_wait_ms_max: String,
    /// With --answer-after kafka: longest wait for the acknowledgement
    #[arg(long, env = "DAYBOOK_KAFKA_WAIT_MS_MAX", default_value = "10000", value_name = "MS")]
    kafka_wait_ms_max: String,
    /// How long an idempotency key is remembered
    #[arg(long, env = "DAYBOOK_IDEMPOTENCY_AGE_S_MAX", default_value = "86400", value_name = "S")]
    idempotency_age_s_max: String,
    /// Idempotency keys remembered at most; towards it the oldest are forgotten early
    #[arg(long, env = "DAYBOOK_IDEMPOTENCY_KEYS_MAX", default_value = "1000000", value_name = "N")]
    idempotency_keys_max: String,
    /// No idempotency key is forgotten before; if that leaves too many, commands with new keys get 503
    #[arg(long, env = "DAYBOOK_IDEMPOTENCY_AGE_S_MIN", default_value = "600", value_name = "S")]
    idempotency_age_s_min: String,
    /// Events waiting to be sent to Kafka; past it commands get 503
    #[arg(long, env = "DAYBOOK_UNSENT_EVENTS_MAX", default_value = "1000000", value_name = "N")]
    unsent_events_max: String,
    /// Sent events kept per partition, to heal a log that lost its end
    #[arg(long, env = "DAYBOOK_KEPT_EVENTS_MAX", default_value = "20000", value_name = "N")]
    kept_events_max: String,
    /// How long sent events are kept at most
    #[arg(long, env = "DAYBOOK_KEPT_AGE_S_MAX", default_value = "604800", value_name = "S")]
    kept_age_s_max: String,
    /// Bytes of sent events kept, over all partitions; --kept-events-max and --kept-age-s-max bound them as well
    #[arg(long, env = "DAYBOOK_KEPT_BYTES_MAX", default_value = "268435456", value_name = "BYTES")]
    kept_bytes_max: String,
    /// Bytes of the journal: unsent and kept events, and idempotency keys; towards it kept events and old keys go early, past
    /// it commands get 503
    #[arg(long, env = "DAYBOOK_JOURNAL_BYTES_MAX", default_value = "4294967296", value_name = "BYTES")]
    journal_bytes_max: String,
    /// Memory for the store's cache. The store's file may have 16 to 24 times the bytes of its rows, whatever this is
    #[arg(long, env = "DAYBOOK_CACHE_BYTES_MAX", default_value = "134217728", value_name = "BYTES")]
    cache_bytes_max: String,
    /// How long the start waits for a Kafka broker
    #[arg(long, env = "DAYBOOK_START_TIMEOUT_MS", default_value = "30000", value_name = "MS")]
    start_timeout_ms: String,
    /// How long a stopping service goes on handing its outbox to Kafka
    #[arg(long, env = "DAYBOOK_DRAIN_TIMEOUT_MS", default_value = "10000", value_name = "MS")]
    drain_timeout_ms: String,
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
    let mut errors = SettingErrors::default();
    let starts = !(flags.service.is_health_check() || flags.journal || flags.remove_old_stores);
    if starts {
        check_acts(|variable| std::env::var_os(variable), &mut errors);
    }
    let checked = check(&flags, &mut errors);
    let (served, settings) = match (errors.finish(), checked) {
        (Ok(()), Some(checked)) => checked,
        (finished, _) => return program::wrong(&finished.err().unwrap_or_default()),
    };
    if let Some(checked) = served.health_checked() {
        return checked;
    }
    if flags.journal {
        return program::ended(print_journal(&journal_in(&settings.data_dir)), EXIT_FAILED);
    }
    if flags.remove_old_stores {
        return program::ended(remove_old_stores(&settings.data_dir, defaults.name), EXIT_FAILED);
    }
    let listener = match served.bind().await {
        Ok(listener) => listener,
        Err(code) => return code,
    };
    let result = run(settings, listener, shutdown_signal(), routes).await;
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

fn check(flags: &Flags, errors: &mut SettingErrors) -> Option<(Served, Settings)> {
    let served = flags.service.check(errors);
    let answer_after = check_answer_after(&flags.answer_after, errors);
    let kafka = flags.kafka.check(errors);
    let limits = check_limits(&flags.limits, errors);
    if let (Some(limits), Some(answer_after)) = (&limits, answer_after) {
        check_pairs(limits, answer_after, errors);
    }
    let (served, kafka) = (served?, kafka?);
    let settings = Settings {
        kafka: kafka.kafka,
        partitions: kafka.partitions,
        replication_factor: kafka.replication_factor,
        data_dir: PathBuf::from(&flags.service.data_dir),
        recover: flags.recover,
        take_over: flags.take_over,
        adopt_cluster: flags.adopt_cluster,
        answer_after: answer_after?,
        limits: limits?,
        connections: served.connections,
    };
    Some((served, settings))
}

/// Settings that are right each by itself, and together would take effect otherwise than they say.
fn check_pairs(limits: &Limits, answer_after: AnswerAfter, errors: &mut SettingErrors) {
    let (kafka, request) = (limits.kafka_wait_max.as_millis(), limits.request_timeout.as_millis());
    if answer_after == AnswerAfter::Kafka && kafka >= request {
        errors.push(format!(
            "--kafka-wait-ms-max: {kafka} is not below --request-timeout-ms, which is {request}: nobody would be told that the \
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

fn check_answer_after(raw: &str, errors: &mut SettingErrors) -> Option<AnswerAfter> {
    match raw {
        "disk" => Some(AnswerAfter::Disk),
        "kafka" => Some(AnswerAfter::Kafka),
        other => {
            errors.push(format!("--answer-after: {other:?} is not disk or kafka"));
            None
        }
    }
}

/// A day: longer waits are mistakes of unit.
const MS_MAX: u64 = 86_400_000;
/// Ten years.
const S_MAX: u64 = 315_360_000;

fn check_limits(flags: &LimitFlags, errors: &mut SettingErrors) -> Option<Limits> {
    let mut number = |flag, raw: &str, bounds| errors.parse_in::<u64>(flag, raw, bounds);
    let queued = number("--queued-commands-max", &flags.queued_commands_max, 1..=1_000_000);
    let requests = number("--requests-max", &flags.requests_max, 1..=1_000_000);
    let body_ms = number("--body-timeout-ms", &flags.body_timeout_ms, 1..=MS_MAX);
    let request_ms = number("--request-timeout-ms", &flags.request_timeout_ms, 1..=MS_MAX);
    let after_ms = number("--after-wait-ms-max", &flags.after_wait_ms_max, 0..=MS_MAX);
    let kafka_ms = number("--kafka-wait-ms-max", &flags.kafka_wait_ms_max, 1..=MS_MAX);
    let idempotency_s = number("--idempotency-age-s-max", &flags.idempotency_age_s_max, 1..=S_MAX);
    let keys = number("--idempotency-keys-max", &flags.idempotency_keys_max, 1..=1_000_000_000);
    let idempotency_s_min = number("--idempotency-age-s-min", &flags.idempotency_age_s_min, 0..=S_MAX);
    let unsent = number("--unsent-events-max", &flags.unsent_events_max, 1..=1_000_000_000);
    let kept = number("--kept-events-max", &flags.kept_events_max, 0..=1_000_000_000);
    let kept_s = number("--kept-age-s-max", &flags.kept_age_s_max, 0..=S_MAX);
    let kept_bytes = number("--kept-bytes-max", &flags.kept_bytes_max, 0..=1 << 50);
    let journal_bytes = number("--journal-bytes-max", &flags.journal_bytes_max, JOURNAL_BYTES_MIN..=1 << 50);
    let cache = number("--cache-bytes-max", &flags.cache_bytes_max, 1 << 20..=1 << 40);
    let start_ms = number("--start-timeout-ms", &flags.start_timeout_ms, 1..=MS_MAX);
    let drain_ms = number("--drain-timeout-ms", &flags.drain_timeout_ms, 0..=MS_MAX);
    Some(Limits {
        queued_commands_max: usize::try_from(queued?).ok()?,
        requests_max: usize::try_from(requests?).ok()?,
        body_timeout: Duration::from_millis(body_ms?),
        request_timeout: Duration::from_millis(request_ms?),
        after_wait_max: Duration::from_millis(after_ms?),
        kafka_wait_max: Duration::from_millis(kafka_ms?),
        idempotency_age_max: Duration::from_secs(idempotency_s?),
        idempotency_keys_max: keys?,
        idempotency_age_min: Duration::from_secs(idempotency_s_min?),
        unsent_events_max: unsent?,
        kept_events_max: kept?,
        kept_age_max: Duration::from_secs(kept_s?),
        kept_bytes_max: kept_bytes?,
        journal_bytes_max: journal_bytes?,
        cache_bytes_max: cache?,
        start_timeout: Duration::from_millis(start_ms?),
        drain_timeout: Duration::from_millis(drain_ms?),
    })
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
