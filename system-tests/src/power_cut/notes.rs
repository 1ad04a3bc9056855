//! What a process that loads the journal has been told, in an order that can be compared with the recorder's.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use super::journal_load::{Attempt, PARTITIONS};

/// One line of the notes. Times are CLOCK_MONOTONIC in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// A group is going to be appended.
    Try(Attempt),
    /// It was appended: it may not get lost any more.
    Done {
        /// When that was known.
        ns: u64,
        /// Number of its record.
        number: u64,
        /// Which group.
        attempt: Attempt,
    },
    /// The journal was opened: nothing that it has may get lost any more.
    Begun {
        /// When that was known.
        ns: u64,
        /// Its first record.
        first: u64,
        /// Its last one.
        last: u64,
        /// What the last one holds, if it is a group.
        group: Option<Attempt>,
    },
    /// Segments may go now, as long as Kafka is said to have what lies before these positions.
    Retire {
        /// When.
        ns: u64,
        /// The first record before it.
        first: u64,
        /// Per partition: what Kafka has.
        acknowledged: [u64; PARTITIONS],
    },
    /// They have gone.
    Retired {
        /// When that was known.
        ns: u64,
        /// The first record behind it.
        first: u64,
    },
}

/// CLOCK_MONOTONIC in nanoseconds, as the recorder reads it.
pub fn now_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists, and the pointer is to a place of the right type.
    #[allow(unsafe_code)]
    let code = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    assert_eq!(code, 0, "the clock can be read");
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Writes notes, each at once and as a whole: a process that is killed has written it or has not.
pub struct Notes(File);

impl Notes {
    /// Goes on with a file.
    pub fn open(path: &Path) -> Self {
        Self(OpenOptions::new().create(true).append(true).open(path).expect("a file for notes"))
    }

    /// Writes one.
    pub fn write(&mut self, note: Note) {
        self.0.write_all(note.line().as_bytes()).expect("room for notes");
    }
}

/// All notes of a file, in their order.
pub fn read(path: &Path) -> Vec<Note> {
    std::fs::read_to_string(path).expect("notes").lines().map(Note::of_line).collect()
}

impl Note {
    fn line(self) -> String {
        let numbers: Vec<u64> = match self {
            Self::Try(attempt) => [&[0][..], &attempt.numbers()].concat(),
            Self::Done { ns, number, attempt } => [&[1, ns, number][..], &attempt.numbers()].concat(),
            Self::Begun { ns, first, last, group: Some(attempt) } => {
                [&[2, ns, first, last][..], &attempt.numbers()].concat()
            }
            Self::Begun { ns, first, last, group: None } => vec![2, ns, first, last],
            Self::Retire { ns, first, acknowledged } => [&[3, ns, first][..], &acknowledged].concat(),
            Self::Retired { ns, first } => vec![4, ns, first],
        };
        let words: Vec<String> = numbers.iter().map(u64::to_string).collect();
        words.join(" ") + "\n"
    }

    fn of_line(line: &str) -> Self {
        let numbers: Vec<u64> = line.split(' ').map(|word| word.parse().expect("a number")).collect();
        match numbers[..] {
            [0, ref attempt @ ..] => Self::Try(Attempt::of_numbers(attempt)),
            [1, ns, number, ref attempt @ ..] => {
                Self::Done { ns, number, attempt: Attempt::of_numbers(attempt) }
            }
            [2, ns, first, last] => Self::Begun { ns, first, last, group: None },
            [2, ns, first, last, ref attempt @ ..] => {
                Self::Begun { ns, first, last, group: Some(Attempt::of_numbers(attempt)) }
            }
            [3, ns, first, ref acknowledged @ ..] => {
                Self::Retire { ns, first, acknowledged: acknowledged.try_into().expect("all partitions") }
            }
            [4, ns, first] => Self::Retired { ns, first },
            _ => panic!("no note: {line}"),
        }
    }
}
