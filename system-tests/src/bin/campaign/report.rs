//! What is printed: progress on stderr; counts, findings and the command to repeat it on stdout.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is where the program speaks")]

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use uuid::Uuid;

use crate::checks::{CHECKS, Finding, Judged};
use crate::evidence::{Evidence, Logged};
use crate::faults::Counts;
use crate::history::{Command, History, Read};

/// Findings of one check that are shown in full.
const FINDINGS_SHOWN: usize = 3;
/// Lines of history shown around a finding.
const LINES_SHOWN: usize = 25;

/// A line about what is being done.
pub(crate) fn progress(line: &str) {
    eprintln!("campaign: {line}");
}

/// A line of the result.
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// What clients did and what was done to the services.
pub(crate) fn counts(evidence: &Evidence, faults: &Counts, projectors: (usize, usize)) {
    let commands = &evidence.history.commands;
    let count = |is: fn(&Command) -> bool| commands.iter().filter(|command| is(command)).count();
    let attempts: usize = commands.iter().map(|command| command.attempts.len()).sum();
    let refused = |command: &Command| command.accepted().is_none() && !command.may_have_been_taken();
    say(&format!(
        "commands   {} in {attempts} attempts: {} acknowledged, {} refused, {} unclear; {} events in the log",
        commands.len(),
        count(|command| command.accepted().is_some()),
        count(refused),
        count(Command::may_have_been_taken),
        evidence.log.len(),
    ));
    let reads = &evidence.history.reads;
    let with_token = reads.iter().filter(|read| read.after.is_some()).count();
    say(&format!(
        "reads      {} answered, {with_token} of them with a token; {} not answered",
        reads.len(),
        evidence.history.reads_unanswered
    ));
    let (done, gave_up) = projectors;
    say(&format!(
        "repeats    {} records in force say what an earlier one says; {} records of writers that others had superseded",
        evidence.repeats.len(),
        evidence.superseded
    ));
    say(&format!("indexes    {} built again", evidence.indexes_built));
    say(&format!(
        "faults     {} ({done} projectors did their work, {gave_up} gave up)",
        faults.values().sum::<usize>()
    ));
    for (name, count) in faults {
        say(&format!("  {count:>5}  {name}"));
    }
}

/// Judges everything, and says so. A sentence about each check that found something.
pub(crate) fn checks(evidence: &Evidence) -> Vec<String> {
    say("checks");
    let judged: Vec<_> = CHECKS.iter().map(|check| (check.name, (check.judge)(evidence))).collect();
    for (name, Judged { cases, findings }) in &judged {
        let found =
            if findings.is_empty() { "ok".to_owned() } else { format!("FAILED {} times", findings.len()) };
        say(&format!("  {name:<28} {cases:>8} cases  {found}"));
    }
    let failed: Vec<_> = judged.iter().filter(|(_, judged)| !judged.findings.is_empty()).collect();
    for (name, judged) in &failed {
        for found in judged.findings.iter().take(FINDINGS_SHOWN) {
            say(&format!("\n{name}: {}", found.what));
            say(&around(evidence, found));
        }
    }
    let sentence = |name: &str, judged: &Judged| {
        let first = judged.findings.first().map_or("", |found| &found.what);
        format!("{name} FAILED {} times, first: {first}", judged.findings.len())
    };
    failed.iter().map(|(name, judged)| sentence(name, judged)).collect()
}

/// History and log of all that a finding is about.
fn around(evidence: &Evidence, found: &Finding) -> String {
    let about = |id: Uuid| found.about.contains(&id);
    let mut lines: Vec<(u64, String)> = Vec::new();
    for command in &evidence.history.commands {
        if found.about.iter().any(|id| command.is_about(*id)) {
            lines.push((command.began_us(), told(command)));
        }
    }
    let asked = |read: &&Read| found.about.iter().any(|id| read.is_about(*id));
    for read in evidence.history.reads.iter().filter(asked) {
        lines.push((read.began_us, format!("{read:?}")));
    }
    lines.sort();
    let logged = evidence.log.iter().filter(|record| about(record.aggregate) || about(record.correlation_id));
    let mut text = String::new();
    for (_, line) in lines.iter().take(LINES_SHOWN) {
        // Writing to a String cannot fail.
        let _written = writeln!(text, "  history  {line}");
    }
    if lines.len() > LINES_SHOWN {
        let _written = writeln!(text, "  history  … and {} more", lines.len() - LINES_SHOWN);
    }
    for record in logged.take(LINES_SHOWN) {
        let _written = writeln!(text, "  log      {record:?}");
    }
    text
}

fn told(command: &Command) -> String {
    let mut line = format!("client {} command {} {:?}", command.client, command.id, command.asked);
    for attempt in &command.attempts {
        let _written = write!(line, "; {}–{} µs {:?}", attempt.began_us, attempt.ended_us, attempt.outcome);
    }
    line
}

/// The whole history, one line each.
pub(crate) fn keep_history(history: &History, directory: &Path) -> std::io::Result<()> {
    let reads = history.reads.iter().map(|read| format!("{read:?}"));
    let lines = history.commands.iter().map(told).chain(reads);
    keep(directory, "history.txt", lines)
}

/// The whole log, one line each.
pub(crate) fn keep_log(log: &[Logged], directory: &Path) -> std::io::Result<()> {
    keep(directory, "log.txt", log.iter().map(|record| format!("{record:?}")))
}

fn keep(directory: &Path, name: &str, lines: impl Iterator<Item = String>) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(directory.join(name))?);
    for line in lines {
        writeln!(file, "{line}")?;
    }
    file.flush()
}
