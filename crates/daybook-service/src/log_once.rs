//! What is said again and again goes into the log when it begins and once a minute from then on, with how often it was left
//! out.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the same is left out.
const QUIET: Duration = Duration::from_secs(60);
/// What was not said for so long begins again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// Kinds that are kept apart; past it the one that was said longest ago is forgotten.
const KINDS_MAX: usize = 256;
/// Characters that make a kind.
const KIND_CHARS_MAX: usize = 200;

/// When each kind was said last.
#[derive(Debug, Default)]
pub struct LogOnce(Mutex<BTreeMap<String, Logged>>);

#[derive(Debug)]
struct Logged {
    at: Instant,
    left_out: u64,
}

impl LogOnce {
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Whether something of this kind is to be said now: then what is to stand behind the line, of those that were left out
    /// before.
    pub fn say(&self, kind: &str) -> Option<String> {
        self.say_at(kind, Instant::now())
    }

    /// The same of a message of which only numbers and addresses are others each time.
    pub fn say_like(&self, of: &str, message: &str) -> Option<String> {
        self.say_like_at(of, message, Instant::now())
    }

    pub fn say_like_at(&self, of: &str, message: &str, now: Instant) -> Option<String> {
        self.say_at(&kind(of, message), now)
    }

    pub fn say_at(&self, kind: &str, now: Instant) -> Option<String> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = say(&mut kinds, kind, now)?;
        Some(match left_out {
            0 => String::new(),
            _ => format!(" ({left_out} more of this kind before)"),
        })
    }
}

fn say(kinds: &mut BTreeMap<String, Logged>, kind: &str, now: Instant) -> Option<u64> {
    if let Some(said) = kinds.get_mut(kind) {
        let quiet_for = now.saturating_duration_since(said.at);
        if quiet_for < QUIET {
            said.left_out += 1;
            return None;
        }
        let left_out = std::mem::take(&mut said.left_out);
        said.at = now;
        return Some(if quiet_for < FORGOTTEN_AFTER { left_out } else { 0 });
    }
    make_room(kinds);
    kinds.insert(kind.to_owned(), Logged { at: now, left_out: 0 });
    Some(0)
}

fn make_room(kinds: &mut BTreeMap<String, Logged>) {
    if kinds.len() < KINDS_MAX {
        return;
    }
    let oldest = kinds.iter().min_by_key(|(_, said)| said.at).map(|(kind, _)| kind.clone());
    if let Some(oldest) = oldest {
        kinds.remove(&oldest);
    }
}

/// The kind of a message: without addresses and numbers, which are others each time.
fn kind(of: &str, message: &str) -> String {
    let words = message.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
    let kind = words.fold(of.to_owned(), |kind, word| kind + " " + word);
    kind.chars().take(KIND_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_sayings_in_a_minute_are_one_line_and_the_next_says_how_many() {
        let (said, began) = (LogOnce::new(), Instant::now());
        let at = |ms| began + Duration::from_millis(ms);
        let lines: Vec<_> = (0..1_000).filter_map(|number| said.say_at("refused", at(number * 59))).collect();
        assert_eq!(lines, [""]);
        let more = |said: Option<String>| said.map(|more| more.contains("(999 more of this kind before)"));
        assert_eq!(more(said.say_at("refused", at(60_000))), Some(true));
        assert_eq!(said.say_at("refused", at(60_001)), None);
        assert!(said.say_at("refused", at(120_000)).unwrap().contains("(1 more"));
        assert_eq!(said.say_at("refused", at(120_000 + 600_000)).as_deref(), Some(""), "it begins again");
    }

    #[test]
    fn two_kinds_do_not_hide_each_other_and_only_so_many_are_kept() {
        let (said, now) = (LogOnce::new(), Instant::now());
        let is_said = |kind: &str| said.say_at(kind, now).is_some();
        assert!(is_said("one") && is_said("two"));
        assert!(!is_said("one") && !is_said("two"));
        assert!((0..10_000).all(|number: i32| is_said(&number.to_string())));
        assert_eq!(said.0.lock().unwrap().len(), KINDS_MAX);
    }

    #[test]
    fn lines_of_one_kind_differ_in_numbers_and_addresses_only() {
        let line = |broker: &str, why: &str| {
            kind(
                "Error FAIL",
                &format!(
                    "[thrd:{broker}]: {broker}: Connect to ipv4#{broker} failed: {why} (after 3ms in state)"
                ),
            )
        };
        assert_eq!(
            line("127.0.0.1:9092/1", "Connection refused"),
            line("10.0.0.7:19092/2", "Connection refused")
        );
        assert_ne!(
            line("127.0.0.1:9092/1", "Connection refused"),
            line("127.0.0.1:9092/1", "No route to host")
        );
    }
}
