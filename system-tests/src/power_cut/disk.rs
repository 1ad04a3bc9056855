//! What a disk has for certain, and what it may have besides, while the recorder's entries are applied one by one. Pure.

use std::collections::{BTreeMap, HashMap};

use super::log::{Entry, Operation};
use super::tree::{Inodes, Node, Tree};

/// A file or directory, whichever inode it had.
pub(super) type Id = usize;

/// A change of a file's content.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write {
        offset: u64,
        data: Vec<u8>,
    },
    /// To this length.
    Truncate(u64),
    /// To at least this length.
    Extend(u64),
}

/// A change of a directory's names.
#[derive(Debug, Clone)]
pub(super) enum Naming {
    Put(String, Id),
    Remove(String),
    Rename { from: String, to: String },
}

/// What is certain, and in their order the changes that are not, each with the number of its entry.
#[derive(Debug, Clone)]
pub(super) struct Settling<State, Step> {
    pub(super) certain: State,
    pub(super) pending: Vec<(u64, Step)>,
}

pub(super) type Names = BTreeMap<String, Id>;

#[derive(Debug, Clone)]
pub(super) enum Stored {
    File(Settling<Vec<u8>, Change>),
    Directory { names: Settling<Names, Naming>, now: Names },
}

/// A disk below the recorded directory.
#[derive(Debug, Clone)]
pub struct Disk {
    pub(super) stored: Vec<Stored>,
    by_inode: HashMap<u64, Id>,
    /// Syncs that have begun: of what, and behind how many entries.
    syncs: HashMap<u64, (Id, u64)>,
    entries: u64,
}

/// The recorded directory itself.
pub(super) const ROOT: Id = 0;

impl Disk {
    /// A disk on which all of `tree` is certain.
    pub fn new(tree: &Tree, inodes: &Inodes) -> Self {
        let mut disk =
            Self { stored: Vec::new(), by_inode: HashMap::new(), syncs: HashMap::new(), entries: 0 };
        disk.add(inodes[""], empty_directory());
        for (name, node) in tree {
            let stored = match node {
                Node::Directory => empty_directory(),
                Node::File(content) => Stored::File(Settling::of(content.clone())),
            };
            let id = disk.add(inodes[name], stored);
            let (parent, last) = disk.parent(name);
            let (names, now) = disk.directory(parent);
            names.certain.insert(last.clone(), id);
            now.insert(last, id);
        }
        disk
    }

    /// Applies the next entry.
    pub fn apply(&mut self, entry: &Entry) {
        self.entries += 1;
        match &entry.operation {
            Operation::Create { inode, name } => {
                let id = self.add(*inode, Stored::File(Settling::of(Vec::new())));
                self.put(name, id);
            }
            Operation::MakeDirectory { inode, name } => {
                let id = self.add(*inode, empty_directory());
                self.put(name, id);
            }
            Operation::Truncate { inode, length } => self.change(*inode, Change::Truncate(*length)),
            Operation::Extend { inode, length } => self.change(*inode, Change::Extend(*length)),
            Operation::Write { inode, offset, data } => {
                self.change(*inode, Change::Write { offset: *offset, data: data.clone() });
            }
            Operation::SyncBegin { inode, sync } => {
                self.syncs.insert(*sync, (self.known(*inode), self.entries));
            }
            Operation::SyncEnd { sync } => {
                let (id, begin) = self.syncs.remove(sync).expect("a sync that has begun");
                self.stored[id].settle(begin);
            }
            Operation::SyncRange => {}
            Operation::Rename { from, to } => self.rename(from, to),
            Operation::Unlink { name } | Operation::RemoveDirectory { name } => {
                let (parent, last) = self.parent(name);
                self.name(parent, Naming::Remove(last));
            }
        }
    }

    /// Whether names or lengths are being changed: a file is made, gets another name, is cut or is removed.
    pub fn changes_files(&self) -> bool {
        self.stored.iter().any(|stored| match stored {
            Stored::File(file) => {
                file.pending.iter().any(|(_, change)| !matches!(change, Change::Write { .. }))
            }
            Stored::Directory { names, .. } => !names.pending.is_empty(),
        })
    }

    /// Bytes written to files whose path at present is one of `wanted`, and not certain. Zeros do not count: they say that a
    /// place is free.
    pub fn unsynced_bytes(&self, wanted: impl Fn(&str) -> bool) -> u64 {
        self.unsynced_bytes_in(ROOT, "", &wanted)
    }

    fn unsynced_bytes_in(&self, id: Id, prefix: &str, wanted: &impl Fn(&str) -> bool) -> u64 {
        let Stored::Directory { now, .. } = &self.stored[id] else { panic!("a file has no names") };
        let bytes = |(name, id): (&String, &Id)| {
            let path = format!("{prefix}{name}");
            match &self.stored[*id] {
                Stored::Directory { .. } => self.unsynced_bytes_in(*id, &format!("{path}/"), wanted),
                file @ Stored::File(_) if wanted(&path) => file.pending_bytes(),
                Stored::File(_) => 0,
            }
        };
        now.iter().map(bytes).sum()
    }

    /// Whether a file or directory has this path at present.
    pub fn has(&self, path: &str) -> bool {
        let step = |id: Id, part: &str| match &self.stored[id] {
            Stored::Directory { now, .. } => now.get(part).copied(),
            Stored::File(_) => None,
        };
        path.split('/').try_fold(ROOT, step).is_some()
    }

    fn add(&mut self, inode: u64, stored: Stored) -> Id {
        self.stored.push(stored);
        let id = self.stored.len() - 1;
        self.by_inode.insert(inode, id);
        id
    }

    fn known(&self, inode: u64) -> Id {
        *self.by_inode.get(&inode).expect("the recorder has seen how each of its files was made")
    }

    fn change(&mut self, inode: u64, change: Change) {
        let (id, entry) = (self.known(inode), self.entries);
        match &mut self.stored[id] {
            Stored::File(file) => file.pending.push((entry, change)),
            Stored::Directory { .. } => panic!("a directory has no content"),
        }
    }

    /// The directory that has the name, and the name's last part.
    fn parent(&self, name: &str) -> (Id, String) {
        let mut parts: Vec<&str> = name.split('/').collect();
        let last = parts.pop().expect("a name").to_owned();
        let step = |id: Id, part: &&str| match &self.stored[id] {
            Stored::Directory { now, .. } => now[*part],
            Stored::File(_) => panic!("{name} lies below a file"),
        };
        (parts.iter().fold(ROOT, step), last)
    }

    fn directory(&mut self, id: Id) -> (&mut Settling<Names, Naming>, &mut Names) {
        match &mut self.stored[id] {
            Stored::Directory { names, now } => (names, now),
            Stored::File(_) => panic!("a file has no names"),
        }
    }

    fn put(&mut self, name: &str, id: Id) {
        let (parent, last) = self.parent(name);
        self.name(parent, Naming::Put(last, id));
    }

    fn rename(&mut self, from: &str, to: &str) {
        let ((parent, from), (other, to)) = (self.parent(from), self.parent(to));
        // Two directories would have to be synced for it.
        assert_eq!(parent, other, "{from} becomes {to} in another directory, which is not replayed");
        self.name(parent, Naming::Rename { from, to });
    }

    fn name(&mut self, directory: Id, naming: Naming) {
        let entry = self.entries;
        let (names, now) = self.directory(directory);
        naming.apply(now);
        names.pending.push((entry, naming));
    }
}

fn empty_directory() -> Stored {
    Stored::Directory { names: Settling::of(Names::new()), now: Names::new() }
}

impl Stored {
    /// What was done before `entry` is certain from now on.
    fn settle(&mut self, entry: u64) {
        match self {
            Self::File(file) => {
                for change in file.settled_before(entry) {
                    change.apply(&mut file.certain);
                }
            }
            Self::Directory { names, .. } => {
                for naming in names.settled_before(entry) {
                    naming.apply(&mut names.certain);
                }
            }
        }
    }

    fn pending_bytes(&self) -> u64 {
        let Self::File(file) = self else { return 0 };
        let bytes = |change: &Change| match change {
            Change::Write { data, .. } if data.iter().any(|byte| *byte != 0) => data.len() as u64,
            Change::Write { .. } | Change::Truncate(_) | Change::Extend(_) => 0,
        };
        file.pending.iter().map(|(_, change)| bytes(change)).sum()
    }
}

impl<State, Step> Settling<State, Step> {
    fn of(certain: State) -> Self {
        Self { certain, pending: Vec::new() }
    }

    fn settled_before(&mut self, entry: u64) -> Vec<Step> {
        let count = self.pending.partition_point(|(number, _)| *number < entry);
        self.pending.drain(..count).map(|(_, step)| step).collect()
    }
}

impl Change {
    /// Does all of it.
    pub(super) fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, data } => {
                let (begin, end) = (*offset as usize, *offset as usize + data.len());
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[begin..end].copy_from_slice(data);
            }
            Self::Truncate(length) => content.resize(*length as usize, 0),
            Self::Extend(length) => content.resize(content.len().max(*length as usize), 0),
        }
    }
}

impl Naming {
    pub(super) fn apply(&self, names: &mut Names) {
        match self {
            Self::Put(name, id) => {
                names.insert(name.clone(), *id);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
            Self::Rename { from, to } => {
                let id = names.remove(from).expect("what is given another name is there");
                names.insert(to.clone(), id);
            }
        }
    }
}
