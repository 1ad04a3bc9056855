//! The recorder and its replay, without a journal: nothing is missed, and only what was synced is certain.

use std::process::Command;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use system_tests::power_cut::disk::Disk;
use system_tests::power_cut::log::{self, Entry, Operation};
use system_tests::power_cut::loss::{KINDS, Kept};
use system_tests::power_cut::recorder::Recorder;
use system_tests::power_cut::tree::{self, Inodes, Node, Tree};

/// What coreutils do to files, in a directory that is not empty.
const SCRIPT: &str = r#"
set -e
cd "$1"
mkdir -p made/deep
printf one > made/first
printf two >> made/first
printf longer-than-before > there
mv made/first made/second
cp there made/deep/copied
dd if=/dev/zero of=made/zeros bs=700 count=3 conv=fsync status=none
printf middle | dd of=made/zeros bs=1 seek=1000 conv=notrunc status=none
truncate -s 1500 made/zeros
fallocate -l 4000 made/zeros
sync made
rm made/second
rm -r gone
printf again > made/second
rmdir empty
"#;

#[test]
fn a_replay_of_all_that_was_recorded_equals_the_directory() {
    let work = tempfile::tempdir().unwrap();
    let (directory, log) = (work.path().join("recorded"), work.path().join("log"));
    std::fs::create_dir(&directory).unwrap();
    let file = |content: &str| Node::File(content.as_bytes().to_vec());
    let before = Tree::from(
        [
            ("there", file("before")),
            ("gone", Node::Directory),
            ("gone/file", file("x")),
            ("empty", Node::Directory),
        ]
        .map(|(name, node)| (name.to_owned(), node)),
    );
    tree::write(&before, &directory);
    let (_, inodes) = tree::read(&directory);
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "sh"]).arg(&directory);
    Recorder::compile(work.path()).record(&mut command, &directory, &log, None);
    assert!(command.status().unwrap().success());
    let entries = log::read(&log);
    let mut disk = Disk::new(&before, &inodes);
    entries.iter().for_each(|entry| disk.apply(entry));
    let mut random = StdRng::seed_from_u64(1);
    assert_eq!(disk.cut(Kept::Everything, &mut random), tree::read(&directory).0);
    // Of that only what `dd` has synced is certain, and its name, which `sync` has.
    let certain = disk.cut(Kept::Nothing, &mut random);
    assert_eq!(certain["there"], file("before"));
    assert!(certain.contains_key("gone/file") && !certain.contains_key("made"), "{certain:?}");
}

/// A disk with one file "f" of these bytes, which has inode 2.
fn disk(content: &[u8]) -> Disk {
    let tree = Tree::from([("f".to_owned(), Node::File(content.to_vec()))]);
    Disk::new(&tree, &Inodes::from([(String::new(), 1), ("f".to_owned(), 2)]))
}

fn apply(disk: &mut Disk, operations: impl IntoIterator<Item = Operation>) {
    operations.into_iter().for_each(|operation| disk.apply(&Entry { ns: 0, operation }));
}

fn write(offset: u64, data: &[u8]) -> Operation {
    Operation::Write { inode: 2, offset, data: data.to_vec() }
}

fn cut(disk: &Disk, kept: Kept) -> Tree {
    disk.cut(kept, &mut StdRng::seed_from_u64(7))
}

#[test]
fn what_was_written_before_a_sync_began_is_certain_once_it_has_ended_and_nothing_else() {
    let mut disk = disk(b"....");
    let content = |disk: &Disk| cut(disk, Kept::Nothing)["f"].clone();
    apply(&mut disk, [write(0, b"a"), Operation::SyncBegin { inode: 2, sync: 9 }, write(1, b"b")]);
    assert_eq!(content(&disk), Node::File(b"....".to_vec()));
    apply(&mut disk, [Operation::SyncRange, Operation::SyncEnd { sync: 9 }, write(2, b"c")]);
    assert_eq!(content(&disk), Node::File(b"a...".to_vec()));
    assert_eq!(cut(&disk, Kept::Everything)["f"], Node::File(b"abc.".to_vec()));
    assert_eq!(disk.unsynced_bytes(|name| name == "f"), 2);
}

#[test]
fn a_name_is_certain_by_a_sync_of_its_directory_and_not_by_one_of_its_file() {
    let mut disk = disk(b"x");
    let rename = Operation::Rename { from: "f".to_owned(), to: "g".to_owned() };
    let sync = |inode| [Operation::SyncBegin { inode, sync: 9 }, Operation::SyncEnd { sync: 9 }];
    apply(&mut disk, [rename]);
    apply(&mut disk, sync(2));
    assert!(disk.changes_files() && cut(&disk, Kept::Nothing).contains_key("f"));
    apply(&mut disk, sync(1));
    assert!(!disk.changes_files() && cut(&disk, Kept::Nothing).contains_key("g"));
}

#[test]
fn an_inode_that_is_used_again_is_another_file() {
    let mut disk = disk(b"old");
    let names = [
        Operation::Unlink { name: "f".to_owned() },
        Operation::Create { inode: 2, name: "g".to_owned() },
        write(0, b"new"),
    ];
    apply(&mut disk, names);
    assert_eq!(cut(&disk, Kept::Everything), Tree::from([("g".to_owned(), Node::File(b"new".to_vec()))]));
    assert_eq!(cut(&disk, Kept::Nothing), Tree::from([("f".to_owned(), Node::File(b"old".to_vec()))]));
}

#[test]
fn pieces_of_512_bytes_are_there_or_not_each_by_itself() {
    let mut disk = disk(&[0; 8192]);
    apply(&mut disk, [write(256, &[1; 7000])]);
    let Node::File(content) = &cut(&disk, Kept::Pieces(0.5))["f"] else { panic!("a file") };
    let pieces: Vec<&[u8]> = content[512..7168].chunks(512).collect();
    assert!(pieces.iter().all(|piece| piece.iter().all(|byte| *byte == piece[0])));
    assert!(pieces.iter().any(|piece| piece[0] == 0) && pieces.iter().any(|piece| piece[0] == 1));
}

#[test]
fn what_was_appended_and_what_was_written_over_can_be_lost_by_themselves() {
    let mut disk = disk(&[0; 512]);
    apply(&mut disk, [write(0, &[1; 1024])]);
    let (old, new, lost) = ([0; 512], [1; 512], Vec::new());
    let content = |kept| cut(&disk, kept)["f"].clone();
    assert_eq!(content(Kept::Overwritten), Node::File([&new[..], &lost].concat()));
    assert_eq!(content(Kept::Appended), Node::File([&old[..], &new].concat()));
}

#[test]
fn the_same_seed_makes_the_same_image() {
    let mut disk = disk(&[0; 4096]);
    apply(&mut disk, [write(0, &[1; 4096]), Operation::Truncate { inode: 2, length: 100 }]);
    for kept in KINDS {
        assert_eq!(cut(&disk, kept), cut(&disk, kept));
    }
}
