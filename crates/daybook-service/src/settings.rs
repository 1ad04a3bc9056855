//! Settings, each written once: a field with its flag, default and bounds. What is wrong with them is collected, so that one run
//! shows everything.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{Resettable, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Args, Command};

thread_local! {
    /// clap ends at the first value that a parser refuses. The parsers of this file refuse none: what is wrong waits here for
    /// [`SettingErrors::of_flags`].
    static WRONG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// For `#[arg(value_parser = …)]`: a value that `parse` understands. `expected` finishes the sentence "… is not …"; `instead`
/// stands where the value is wrong, and is never used.
pub fn setting<T: Clone + Send + Sync + 'static>(
    expected: impl Into<String>,
    instead: T,
    parse: impl Fn(&str) -> Option<T> + Clone + Send + Sync + 'static,
) -> impl TypedValueParser<Value = T> {
    Setting { expected: expected.into(), instead, parse }
}

pub fn number<T>(bounds: RangeInclusive<T>) -> impl TypedValueParser<Value = T>
where
    T: FromStr + PartialOrd + fmt::Display + Copy + Send + Sync + 'static,
{
    let (min, max) = (*bounds.start(), *bounds.end());
    setting(format!("a number from {min} to {max}"), min, move |raw| {
        raw.trim().parse().ok().filter(|number| bounds.contains(number))
    })
}

pub fn millis(bounds: RangeInclusive<u64>) -> impl TypedValueParser<Value = Duration> {
    number(bounds).map(Duration::from_millis)
}

pub fn seconds(bounds: RangeInclusive<u64>) -> impl TypedValueParser<Value = Duration> {
    number(bounds).map(Duration::from_secs)
}

/// One of some words.
pub fn word<T: Copy + Send + Sync + 'static>(
    words: &'static [(&'static str, T)],
) -> impl TypedValueParser<Value = T> {
    let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
    setting(names.join(" or "), words[0].1, move |raw| {
        words.iter().find(|(name, _)| *name == raw).map(|(_, means)| *means)
    })
}

#[derive(Clone)]
struct Setting<T, P> {
    expected: String,
    instead: T,
    parse: P,
}

impl<T, P> TypedValueParser for Setting<T, P>
where
    T: Clone + Send + Sync + 'static,
    P: Fn(&str) -> Option<T> + Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, raw: &OsStr) -> Result<T, clap::Error> {
        let raw = raw.to_str().ok_or_else(|| clap::Error::new(ErrorKind::InvalidUtf8).with_cmd(command))?;
        Ok((self.parse)(raw).unwrap_or_else(|| {
            let flag = arg.and_then(Arg::get_long).unwrap_or_default();
            WRONG.with_borrow_mut(|wrong| wrong.push(format!("--{flag}: {raw:?} is not {}", self.expected)));
            self.instead.clone()
        }))
    }
}

/// Flags with their defaults, whatever the environment says.
pub fn defaults<A: Args>() -> A {
    let command = A::augment_args(Command::new("")).mut_args(|arg| arg.env(Resettable::Reset));
    A::from_arg_matches(&command.get_matches_from([""])).unwrap_or_else(|error| error.exit())
}

/// One sentence per wrong setting; empty if all are right.
#[derive(Debug, Default)]
pub struct SettingErrors(Vec<String>);

impl SettingErrors {
    /// What the parsers of this file found wrong in the command line that this thread has read.
    pub fn of_flags() -> Self {
        Self(WRONG.take())
    }

    pub fn push(&mut self, sentence: impl Into<String>) {
        self.0.push(sentence.into());
    }

    pub fn sentences(&self) -> &[String] {
        &self.0
    }

    /// Ends the collecting: itself, if anything was wrong.
    pub fn finish(self) -> Result<(), SettingErrors> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for SettingErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for SettingErrors {}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(clap::Args, Debug, PartialEq)]
    struct Flags {
        #[arg(long, default_value = "80", value_parser = number::<u16>(1..=80))]
        port: u16,
        // Set wherever a test runs, and no number.
        #[arg(long, env = "PATH", default_value = "9", value_parser = millis(0..=10))]
        wait_ms: Duration,
        #[arg(long, default_value = "text", value_parser = word(&[("text", 1), ("json", 2)]))]
        format: i32,
    }

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        flags: Flags,
    }

    fn read(flags: &[&str]) -> (Flags, Result<(), SettingErrors>) {
        let flags = Program::parse_from([&["program"], flags].concat()).flags;
        (flags, SettingErrors::of_flags().finish())
    }

    #[test]
    fn wrong_settings_gather_until_the_end() {
        let (flags, errors) = read(&["--port= 7 ", "--wait-ms=10", "--format", "json"]);
        errors.unwrap();
        assert_eq!(flags, Flags { port: 7, wait_ms: Duration::from_millis(10), format: 2 });
        let mut errors = read(&["--port", "http", "--wait-ms", "11", "--format", "xml"]).1.unwrap_err();
        errors.push("--data-dir: it is a file");
        let expected = "--port: \"http\" is not a number from 1 to 80\n\
                        --wait-ms: \"11\" is not a number from 0 to 10\n--format: \"xml\" is not text or json\n\
                        --data-dir: it is a file";
        assert_eq!(errors.finish().unwrap_err().to_string(), expected);
        read(&["--wait-ms=0"]).1.expect("what was wrong in a command line before is reported once");
    }

    #[test]
    fn defaults_are_those_of_the_flags_whatever_the_environment_says() {
        assert!(read(&[]).1.unwrap_err().to_string().starts_with("--wait-ms"));
        assert_eq!(defaults::<Flags>(), Flags { port: 80, wait_ms: Duration::from_millis(9), format: 1 });
    }
}
