//! What is said again and again goes into the log when it begins and once a minute from then on, with how often it was left
//! out. Pure: the time is handed in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long the same is left out.
const QUIET: Duration = Duration::from_secs(60);
/// What was not said for so long begins anew.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// Kinds that are kept apart; past it the one that was said longest ago is forgotten.
const KINDS_MAX: usize = 256;

/// Characters that tell a kind.
const KIND_CHARS_MAX: usize = 200;

/// When each kind was said last.
#[derive(Debug, Default)]
pub struct Repeated {
    kinds: HashMap<String, Said>,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    left_out: u64,
}

impl Repeated {
    /// Whether something of this kind is to be said now: with how many of it were left out before, or not at all (none).
    pub fn say(&mut self, kind: &str, now: Instant) -> Option<u64> {
        if let Some(said) = self.kinds.get_mut(kind) {
            let quiet_for = now.saturating_duration_since(said.at);
            if quiet_for < QUIET {
                said.left_out += 1;
                return None;
            }
            let left_out = std::mem::take(&mut said.left_out);
            said.at = now;
            return Some(if quiet_for < FORGOTTEN_AFTER { left_out } else { 0 });
        }
        self.make_room();
        self.kinds.insert(kind.to_owned(), Said { at: now, left_out: 0 });
        Some(0)
    }

    fn make_room(&mut self) {
        if self.kinds.len() < KINDS_MAX {
            return;
        }
        let oldest = self.kinds.iter().min_by_key(|(_, said)| said.at).map(|(kind, _)| kind.clone());
        if let Some(oldest) = oldest {
            self.kinds.remove(&oldest);
        }
    }
}

/// The kind of a message: without addresses and numbers, which are others each time.
#[must_use]
pub fn kind(of: &str, message: &str) -> String {
    let words = message.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
    let kind = words.fold(of.to_owned(), |kind, word| kind + " " + word);
    kind.chars().take(KIND_CHARS_MAX).collect()
}

/// What stands behind a line of which others were left out.
#[must_use]
pub fn and_more(left_out: u64) -> String {
    if left_out == 0 { String::new() } else { format!(" ({left_out} more of this kind before)") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_sayings_in_a_minute_are_one_line_and_the_next_says_how_many() {
        let (mut said, began) = (Repeated::default(), Instant::now());
        let at = |ms| began + Duration::from_millis(ms);
        let lines: Vec<_> = (0..1_000).filter_map(|number| said.say("refused", at(number * 59))).collect();
        assert_eq!(lines, [0]);
        assert_eq!(said.say("refused", at(60_000)), Some(999));
        assert_eq!(said.say("refused", at(60_001)), None);
        assert_eq!(said.say("refused", at(120_000)), Some(1));
        assert_eq!(said.say("refused", at(120_000 + 600_000)), Some(0), "it begins anew");
    }

    #[test]
    fn two_kinds_do_not_hide_each_other_and_only_so_many_are_kept() {
        let (mut said, now) = (Repeated::default(), Instant::now());
        assert_eq!((said.say("one", now), said.say("two", now)), (Some(0), Some(0)));
        assert_eq!((said.say("one", now), said.say("two", now)), (None, None));
        for number in 0..10_000 {
            assert_eq!(said.say(&number.to_string(), now), Some(0));
        }
        assert_eq!(said.kinds.len(), KINDS_MAX);
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
