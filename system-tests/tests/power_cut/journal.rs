//! A journal on a disk that loses its power.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use system_tests::power_cut::disk::Disk;
use system_tests::power_cut::journal_load::RECORD_BYTES_MAX;
use system_tests::power_cut::log::{Entry, Operation};
use system_tests::power_cut::loss::KINDS;
use system_tests::power_cut::tree;

use crate::expected::Expected;
use crate::image::{self, Seen};
use crate::recording::{self, Era, JOURNAL, Recording};

/// Points of a recording that are looked at where nothing else is asked for.
const POINTS: u64 = 40;
const SEED: u64 = 12;
/// Points of one era: more of them make more eras.
const POINTS_OF_ERA: u64 = 20;

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn whatever_a_power_cut_leaves_all_that_was_acknowledged_is_there_once_and_in_order() {
    let (points, seed) = (variable("DAYBOOK_POWER_CUTS", POINTS), variable("DAYBOOK_POWER_CUT_SEED", SEED));
    let mut random = StdRng::seed_from_u64(seed);
    let recording = Recording::make(points.div_ceil(POINTS_OF_ERA), &mut random);
    let mut figures = Figures { kills: recording.kills, ..Figures::default() };
    let mut expected = Expected::new(&recording.notes);
    for (number, era) in recording.eras.iter().enumerate() {
        figures.look_at(number, era, &mut expected, seed);
    }
    figures.tell();
    assert!(figures.failures.is_empty(), "{}", figures.failures.join("\n"));
    // One record that is being written, or one that a killed process left and the footer behind it.
    assert!(figures.unsynced_bytes_max <= 2 * RECORD_BYTES_MAX, "{figures:?}");
}

/// What was seen in all images.
#[derive(Debug, Default)]
struct Figures {
    /// Processes that were killed.
    kills: usize,
    entries: usize,
    images: usize,
    torn: usize,
    untold: usize,
    records: usize,
    /// Images at points where files were being made, renamed, cut or removed.
    while_files_change: usize,
    /// Most bytes of segments that were written and not certain.
    unsynced_bytes_max: u64,
    operations: BTreeMap<&'static str, usize>,
    failures: Vec<String>,
}

impl Figures {
    fn look_at(&mut self, number: usize, era: &Era, expected: &mut Expected<'_>, seed: u64) {
        let changing = self.walk(era);
        let mut random = StdRng::seed_from_u64(seed << 32 | number as u64);
        let mut points = points(&changing, &mut random);
        points.sort_unstable();
        let mut disk = Disk::new(&era.base.0, &era.base.1);
        let mut applied = 0;
        for point in points {
            era.entries[applied..=point].iter().for_each(|entry| disk.apply(entry));
            applied = point + 1;
            let kept = KINDS[random.random_range(0..KINDS.len())];
            let directory = recording::directory();
            tree::write(&disk.cut(kept, &mut random), directory.path());
            // What was told before the next entry rests on the entries up to this one.
            let ns = era.entries.get(point + 1).map_or(era.entries[point].ns, |next| next.ns);
            expected.advance(ns);
            self.images += 1;
            self.while_files_change += usize::from(changing[point]);
            match image::check(&directory.path().join(JOURNAL), expected) {
                Ok(seen) => self.add(seen),
                Err(failure) => self.failures.push(format!(
                    "seed {seed}, era {number}, point {point} of {}, {kept:?} kept, {:?}: {failure} (in {})",
                    era.entries.len(),
                    short(&era.entries[point]),
                    directory.keep().display(),
                )),
            }
        }
    }

    fn tell(&self) {
        let Self { kills, entries, images, while_files_change, torn, untold, records, .. } = self;
        eprintln!(
            "{kills} processes killed, {entries} entries: {:?}\n{images} images, {while_files_change} of them while files \
             were changed, with {records} records; {torn} had a torn end, {untold} a group that nobody was told about; at \
             most {} bytes of segments were not synced",
            self.operations, self.unsynced_bytes_max
        );
    }

    fn add(&mut self, seen: Seen) {
        self.torn += usize::from(seen.torn);
        self.untold += usize::from(seen.untold);
        self.records += seen.records;
    }

    /// Of every point whether files are being made, renamed, cut or removed there.
    fn walk(&mut self, era: &Era) -> Vec<bool> {
        let mut disk = Disk::new(&era.base.0, &era.base.1);
        let mut changing = Vec::new();
        for entry in &era.entries {
            disk.apply(entry);
            changing.push(disk.changes_files());
            let unsynced = disk.unsynced_bytes(|name| name.ends_with(".journal"));
            self.unsynced_bytes_max = self.unsynced_bytes_max.max(unsynced);
            *self.operations.entry(short(entry)).or_default() += 1;
        }
        self.entries += era.entries.len();
        changing
    }
}

/// Half of the points anywhere, half of them where files change: rotation, a start, a copied end, a removal.
fn points(changing: &[bool], random: &mut StdRng) -> Vec<usize> {
    let special: Vec<usize> = (0..changing.len()).filter(|point| changing[*point]).collect();
    let mut draw = |from: &[usize]| from[random.random_range(0..from.len())];
    let all: Vec<usize> = (0..changing.len()).collect();
    let half = POINTS_OF_ERA / 2;
    let anywhere: Vec<usize> = (half..POINTS_OF_ERA).map(|_| draw(&all)).collect();
    (0..half).map(|_| draw(&special)).chain(anywhere).collect()
}

fn short(entry: &Entry) -> &'static str {
    match entry.operation {
        Operation::Create { .. } => "create",
        Operation::Truncate { .. } => "truncate",
        Operation::Write { .. } => "write",
        Operation::Extend { .. } => "extend",
        Operation::SyncBegin { .. } => "sync begins",
        Operation::SyncEnd { .. } => "sync ends",
        Operation::SyncRange => "sync of a range",
        Operation::Rename { .. } => "rename",
        Operation::Unlink { .. } => "unlink",
        Operation::MakeDirectory { .. } => "mkdir",
        Operation::RemoveDirectory { .. } => "rmdir",
    }
}
