//! Damage to files, chosen by random numbers: which kind, and where.

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rand::RngExt as _;
use rand::rngs::StdRng;

/// What disks write as a whole, and where records of the journal begin.
const BLOCK: u64 = 4096;
/// What a record of the journal begins with.
const RECORD: &[u8] = b"DBJr";

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    FlippedBit,
    ZeroedPage,
    Cut,
    Lost,
}

/// Which file, and which part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Index,
    ClosedSegment,
    LastSegment,
    LastRecord,
}

pub(crate) const PLACES: [Place; 4] =
    [Place::Index, Place::ClosedSegment, Place::LastSegment, Place::LastRecord];

/// Damage that was done.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    kind: Kind,
    place: Place,
    pub(crate) file: PathBuf,
    byte: u64,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, place, file, byte } = self;
        write!(f, "{kind:?} in {place:?}, {} at byte {byte}", file.display())
    }
}

impl Done {
    /// Whether it may be what the journal ended with.
    pub(crate) fn may_hide_the_end(&self) -> bool {
        matches!(self.place, Place::LastSegment | Place::LastRecord)
    }

    /// Whether the file ends, or has zeros, where nothing need have been.
    pub(crate) fn leaves_no_trace(&self) -> bool {
        self.kind != Kind::FlippedBit && self.byte.is_multiple_of(BLOCK)
    }

    pub(crate) fn is_a_cut(&self) -> bool {
        matches!(self.kind, Kind::Cut | Kind::Lost)
    }
}

/// Damages something in the directory `store`.
pub(crate) fn damage(store: &Path, kind: Kind, place: Place, random: &mut StdRng) -> Done {
    let file = file(store, kind, place, random);
    let bytes = fs::read(&file).expect("a file to damage");
    let written = written(&bytes);
    let from = if place == Place::LastRecord { last_record(&bytes) } else { 0 };
    let byte = random.random_range(from..written.max(from + 1));
    let opened = || File::options().write(true).open(&file).expect("a file to damage");
    let byte = match kind {
        Kind::FlippedBit => {
            let flipped = bytes[byte as usize] ^ (1 << random.random_range(0..8));
            opened().write_all_at(&[flipped], byte).expect("a bit is flipped");
            byte
        }
        Kind::ZeroedPage => {
            let page = byte / BLOCK * BLOCK;
            let count = BLOCK.min(bytes.len() as u64 - page);
            opened().write_all_at(&vec![0; count as usize], page).expect("a page is zeroed");
            page
        }
        Kind::Cut => {
            opened().set_len(byte).expect("a file is cut");
            byte
        }
        Kind::Lost => {
            fs::remove_file(&file).expect("a file is lost");
            0
        }
    };
    Done { kind, place, file, byte }
}

fn file(store: &Path, kind: Kind, place: Place, random: &mut StdRng) -> PathBuf {
    let mut segments = files(&store.join("journal"));
    segments.retain(|path| path.extension().is_some_and(|suffix| suffix == "journal"));
    let last = segments.pop().expect("a segment");
    match place {
        Place::LastSegment | Place::LastRecord => last,
        Place::ClosedSegment => segments.swap_remove(random.random_range(0..segments.len())),
        // What it is made of lies in one file; the others are small.
        Place::Index if kind != Kind::Lost && random.random_range(0..4) > 0 => store.join("index/db"),
        Place::Index => {
            let mut files = files(&store.join("index"));
            files.retain(|path| fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0));
            files.swap_remove(random.random_range(0..files.len()))
        }
    }
}

/// The files of a directory, in the order of their names.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = paths.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// Bytes up to the zeros at the end.
fn written(bytes: &[u8]) -> u64 {
    bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last as u64 + 1)
}

/// Where the last record of a segment begins.
fn last_record(bytes: &[u8]) -> u64 {
    let last = bytes.chunks(BLOCK as usize).rposition(|block| block.starts_with(RECORD));
    last.map_or(0, |block| block as u64 * BLOCK)
}
