//! Collects what is wrong with the settings, so that one run shows everything.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// One sentence per wrong setting; empty if all are right.
#[derive(Debug, Default)]
pub struct SettingErrors(Vec<String>);

impl SettingErrors {
    /// Parses one setting. `what_is_expected` finishes the sentence "expected …". None if it was wrong.
    pub fn parse<T: FromStr>(&mut self, flag: &str, raw: &str, what_is_expected: &str) -> Option<T> {
        let parsed = raw.trim().parse().ok();
        if parsed.is_none() {
            self.push(format!("{flag}: {raw:?} is not {what_is_expected}"));
        }
        parsed
    }

    /// Parses a number and checks its bounds. None if it was wrong.
    pub fn parse_in<T>(&mut self, flag: &str, raw: &str, bounds: RangeInclusive<T>) -> Option<T>
    where
        T: FromStr + PartialOrd + fmt::Display,
    {
        let parsed = raw.trim().parse().ok().filter(|number| bounds.contains(number));
        if parsed.is_none() {
            self.push(format!("{flag}: {raw:?} is not a number from {} to {}", bounds.start(), bounds.end()));
        }
        parsed
    }

    /// Adds a sentence.
    pub fn push(&mut self, sentence: String) {
        self.0.push(sentence);
    }

    /// The sentences so far.
    #[must_use]
    pub fn sentences(&self) -> &[String] {
        &self.0
    }

    /// Ends the collecting.
    ///
    /// # Errors
    /// Itself, if anything was wrong.
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
    use super::*;

    #[test]
    fn wrong_settings_gather_until_the_end() {
        let mut errors = SettingErrors::default();
        assert_eq!(errors.parse::<u16>("--port", " 80 ", "a port"), Some(80));
        assert_eq!(errors.parse::<u16>("--port", "http", "a port"), None);
        assert_eq!(errors.parse_in("--wait-ms", "10", 0..=10), Some(10));
        assert_eq!(errors.parse_in("--wait-ms", "11", 0..=10), None);
        errors.push("--data-dir: it is a file".to_owned());
        let errors = errors.finish().unwrap_err();
        let expected = "--port: \"http\" is not a port\n--wait-ms: \"11\" is not a number from 0 to 10\n\
                        --data-dir: it is a file";
        assert_eq!(errors.to_string(), expected);
    }

    #[test]
    fn nothing_wrong_is_no_error() {
        SettingErrors::default().finish().unwrap();
    }
}
