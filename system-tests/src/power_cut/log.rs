//! What the recorder has noted, read back.

use std::path::Path;

/// Bytes before an entry's names and data, as in `recorder/recorder.c`.
const HEADER_BYTES: usize = 40;

/// One thing that a process has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, as CLOCK_MONOTONIC in nanoseconds.
    pub ns: u64,
    /// What.
    pub operation: Operation,
}

/// What was done. Names are below the recorded directory; the directory itself is "".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A file that was not there before.
    Create {
        /// Its inode, which another file may have had before.
        inode: u64,
        /// Its name.
        name: String,
    },
    /// A file got this length.
    Truncate {
        /// Its inode.
        inode: u64,
        /// In bytes.
        length: u64,
    },
    /// Bytes were written.
    Write {
        /// The file's inode.
        inode: u64,
        /// Where.
        offset: u64,
        /// What.
        data: Vec<u8>,
    },
    /// A file was made at least this long, with zeros.
    Extend {
        /// Its inode.
        inode: u64,
        /// In bytes.
        length: u64,
    },
    /// A sync of a file or directory begins.
    SyncBegin {
        /// Whose.
        inode: u64,
        /// Names this sync.
        sync: u64,
    },
    /// It has ended well.
    SyncEnd {
        /// Which one.
        sync: u64,
    },
    /// `sync_file_range`, which makes nothing certain.
    SyncRange,
    /// A file or directory has another name, and what had that name before is gone.
    Rename {
        /// The old name.
        from: String,
        /// The new one.
        to: String,
    },
    /// A file's name was removed.
    Unlink {
        /// The name.
        name: String,
    },
    /// A directory was made.
    MakeDirectory {
        /// Its inode.
        inode: u64,
        /// Its name.
        name: String,
    },
    /// A directory was removed.
    RemoveDirectory {
        /// Its name.
        name: String,
    },
}

/// All entries of a log, in the order of the operations.
pub fn read(path: &Path) -> Vec<Entry> {
    let bytes = std::fs::read(path).expect("the recorder's log");
    let mut rest = &bytes[..];
    let mut entries = Vec::new();
    while !rest.is_empty() {
        entries.push(entry(&mut rest));
    }
    entries
}

fn entry(rest: &mut &[u8]) -> Entry {
    let header = take(rest, HEADER_BYTES);
    let u32_at = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().expect("four bytes"));
    let u64_at = |at: usize| u64::from_ne_bytes(header[at..at + 8].try_into().expect("eight bytes"));
    let name = text(take(rest, u32_at(4) as usize));
    let other = text(take(rest, u32_at(8) as usize));
    let data = take(rest, u32_at(12) as usize);
    let (ns, inode, a) = (u64_at(16), u64_at(24), u64_at(32));
    let operation = match u32_at(0) {
        1 => Operation::Create { inode, name },
        2 => Operation::Truncate { inode, length: a },
        3 => Operation::Write { inode, offset: a, data: data.to_vec() },
        4 => Operation::Extend { inode, length: a },
        5 => Operation::SyncBegin { inode, sync: a },
        6 => Operation::SyncEnd { sync: a },
        7 => Operation::SyncRange,
        8 => Operation::Rename { from: name, to: other },
        9 => Operation::Unlink { name },
        10 => Operation::MakeDirectory { inode, name },
        11 => Operation::RemoveDirectory { name },
        kind => panic!("the recorder's log has an entry of kind {kind}"),
    };
    Entry { ns, operation }
}

fn take<'b>(rest: &mut &'b [u8], count: usize) -> &'b [u8] {
    let (taken, behind) = rest.split_at_checked(count).expect("the recorder's log ends with a whole entry");
    *rest = behind;
    taken
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("names in UTF-8")
}
