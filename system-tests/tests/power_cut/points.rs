//! Which points of a recording are looked at, and what a disk may have there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use system_tests::power_cut::disk::Disk;
use system_tests::power_cut::log::{Entry, Operation};
use system_tests::power_cut::loss::KINDS;
use system_tests::power_cut::tree;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::recording::{self, Era};

/// Points of a path where nothing else is asked for.
const POINTS: u64 = 20;
const SEED: u64 = 12;
/// Points of one era: more of them make more eras.
const POINTS_OF_ERA: u64 = 20;

/// Eras of one recording of a service.
const ERAS_OF_RECORDING: u64 = 2;
/// So many entries behind a change of files it may still be uncertain.
const NEAR_ENTRIES: usize = 8;

/// Images that are looked at at the same time.
const AT_ONCE: usize = 8;

/// Directories below which a command service builds an index.
const BUILT: [&str; 2] = ["/index.building/", "/store.recovering/"];

/// How much is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) eras: u64,
    pub(crate) seed: u64,
}

impl Asked {
    pub(crate) fn by_environment() -> Self {
        let points = variable("DAYBOOK_POWER_CUTS", POINTS);
        Self { eras: points.div_ceil(POINTS_OF_ERA), seed: variable("DAYBOOK_POWER_CUT_SEED", SEED) }
    }

    /// The same, shared out among recordings that are short enough for the log beside them; with the seed of one of them
    /// and the points of a short run it can be made again.
    pub(crate) fn recordings(self) -> impl Iterator<Item = Self> {
        let count = self.eras.div_ceil(ERAS_OF_RECORDING);
        let eras = move |number| ERAS_OF_RECORDING.min(self.eras - number * ERAS_OF_RECORDING);
        (0..count).map(move |number| Self { eras: eras(number), seed: self.seed + number })
    }
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// A directory as a disk may have it after the power was cut.
pub(crate) struct Image {
    pub(crate) directory: TempDir,
    /// What anybody was told before this rests on what was done before the cut. CLOCK_MONOTONIC in nanoseconds.
    pub(crate) ns: u64,
    /// Which one it is, for people.
    pub(crate) name: String,
    /// Files were being made, renamed, cut or removed.
    pub(crate) while_files_change: bool,
}

/// All images of an era, in the order of time.
pub(crate) struct Images<'e> {
    era: &'e Era,
    number: u64,
    seed: u64,
    random: StdRng,
    changing: Vec<bool>,
    points: std::vec::IntoIter<usize>,
    disk: Disk,
    applied: usize,
}

impl<'e> Images<'e> {
    pub(crate) fn of(era: &'e Era, number: u64, seed: u64, figures: &mut Figures) -> Self {
        let mut random = StdRng::seed_from_u64(seed << 32 | number);
        let changing = figures.walk(era);
        let mut points = points(&changing, &mut random);
        points.sort_unstable();
        let (disk, points) = (Disk::new(&era.base.0, &era.base.1), points.into_iter());
        Self { era, number, seed, random, changing, points, disk, applied: 0 }
    }
}

impl Iterator for Images<'_> {
    type Item = Image;

    fn next(&mut self) -> Option<Image> {
        let point = self.points.next()?;
        let entries = &self.era.entries;
        entries[self.applied..=point].iter().for_each(|entry| self.disk.apply(entry));
        self.applied = point + 1;
        let kept = KINDS[self.random.random_range(0..KINDS.len())];
        let directory = recording::directory();
        tree::write(&self.disk.cut(kept, &mut self.random), directory.path());
        // What was told before the next entry rests on the entries up to this one.
        let ns = entries.get(point + 1).map_or(entries[point].ns, |next| next.ns);
        let Self { number, seed, .. } = self;
        let (count, at) = (entries.len(), short(&entries[point]));
        let name = format!("seed {seed}, era {number}, point {point} of {count}, {kept:?} kept, {at:?}");
        Some(Image { directory, ns, name, while_files_change: self.changing[point] })
    }
}

/// What was seen in all eras.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    entries: usize,
    images: usize,
    while_files_change: usize,
    operations: BTreeMap<&'static str, usize>,
    /// Most bytes that were written and not certain, of the journal's segments and of sled's files that are in use.
    pub(crate) unsynced_journal_bytes_max: u64,
    pub(crate) unsynced_sled_bytes_max: u64,
    failures: Vec<String>,
}

impl Figures {
    /// Counts what there is; of every point whether files are being made, renamed, cut or removed there.
    fn walk(&mut self, era: &Era) -> Vec<bool> {
        let mut disk = Disk::new(&era.base.0, &era.base.1);
        let (mut changing, mut since_change) = (Vec::new(), NEAR_ENTRIES);
        for entry in &era.entries {
            disk.apply(entry);
            since_change = if changes_files(entry) { 0 } else { since_change + 1 };
            changing.push(since_change < NEAR_ENTRIES);
            if matches!(entry.operation, Operation::Write { .. }) {
                let journal = disk.unsynced_bytes(|path| path.ends_with(".journal"));
                self.unsynced_journal_bytes_max = self.unsynced_journal_bytes_max.max(journal);
                let sled = disk.unsynced_bytes(|path| is_sled_in_use(&disk, path));
                self.unsynced_sled_bytes_max = self.unsynced_sled_bytes_max.max(sled);
            }
            *self.operations.entry(short(entry)).or_default() += 1;
        }
        self.entries += era.entries.len();
        changing
    }

    /// Has all images of a recording looked at, some of them at once: much of it is waiting.
    pub(crate) async fn look_at<R, F>(
        &mut self,
        eras: &[Era],
        seed: u64,
        recorded: R,
        look: impl Fn(Arc<R>, Arc<Image>) -> F,
    ) where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let (recorded, mut at_work) = (Arc::new(recorded), JoinSet::new());
        for (number, era) in (0..).zip(eras) {
            for image in Images::of(era, number, seed, self) {
                if at_work.len() >= AT_ONCE {
                    self.add_next(&mut at_work).await;
                }
                let image = Arc::new(image);
                let looked = look(Arc::clone(&recorded), Arc::clone(&image));
                at_work.spawn(async move { (image, looked.await) });
            }
        }
        while !at_work.is_empty() {
            self.add_next(&mut at_work).await;
        }
    }

    async fn add_next(&mut self, at_work: &mut JoinSet<(Arc<Image>, Result<(), String>)>) {
        let (image, looked) =
            at_work.join_next().await.expect("one at work").expect("no panic while looking");
        self.add(Arc::into_inner(image).expect("nobody looks at it any more"), looked);
    }

    /// An image was looked at. One that is not as it must be is kept.
    pub(crate) fn add(&mut self, image: Image, looked: Result<(), String>) {
        self.images += 1;
        self.while_files_change += usize::from(image.while_files_change);
        if let Err(failure) = looked {
            let Image { name, directory, .. } = image;
            self.failures.push(format!("{name}: {failure} (in {})", directory.keep().display()));
        }
    }

    /// No more is uncertain at any time than a command service allows for, and something is.
    #[track_caller]
    pub(crate) fn gaps_are_bounded(&self, clients: usize) {
        let (journal, sled) = (self.unsynced_journal_bytes_max, self.unsynced_sled_bytes_max);
        let bounds = (unsynced_journal_bytes_max(clients), UNSYNCED_SLED_BYTES_MAX);
        assert!(
            (1..=bounds.0).contains(&journal) && (1..=bounds.1).contains(&sled),
            "{journal}, {sled}: {bounds:?}"
        );
    }

    /// No more of a read model that is served is uncertain at any time than its projector allows for, and something is.
    #[track_caller]
    pub(crate) fn gap_of_a_read_model_is_bounded(&self) {
        let sled = self.unsynced_sled_bytes_max;
        assert!((1..=SLED_SEGMENT_BYTES).contains(&sled), "{sled}");
    }

    /// Says what was seen; fails if any image was not as it must be.
    #[track_caller]
    pub(crate) fn end(self, what: &str) -> Self {
        let Self { entries, images, while_files_change, operations, .. } = &self;
        eprintln!(
            "{what}: {entries} entries: {operations:?}\n{images} images, {while_files_change} of them while files were changed, \
             at most {} bytes of the journal and {} of sled were not synced",
            self.unsynced_journal_bytes_max, self.unsynced_sled_bytes_max,
        );
        assert!(self.failures.is_empty(), "{} images:\n{}", self.failures.len(), self.failures.join("\n"));
        self
    }
}

/// Most bytes of a command service's journal that may be uncertain: one record, with the commands that so many clients sent
/// at once. Each has a state, an event and an outcome, of some two thousand bytes at most.
pub(crate) const fn unsynced_journal_bytes_max(clients: usize) -> u64 {
    clients as u64 * 8 * 1024
}

/// Sled writes over an old segment when there is another one of its log behind what replaces it.
const SLED_SEGMENT_BYTES: u64 = 1024 * 1024;
/// Most bytes of a command service's sled that may be uncertain: half a segment, and one of sled's buffers, a segment, which
/// its own threads write when they come to it.
pub(crate) const UNSYNCED_SLED_BYTES_MAX: u64 = SLED_SEGMENT_BYTES * 3 / 2;

/// Half of the points anywhere, half of them where files change: rotation, a start, a copied end, a removal.
fn points(changing: &[bool], random: &mut StdRng) -> Vec<usize> {
    let special: Vec<usize> = (0..changing.len()).filter(|point| changing[*point]).collect();
    let mut draw = |from: &[usize]| from[random.random_range(0..from.len())];
    let all: Vec<usize> = (0..changing.len()).collect();
    let half = POINTS_OF_ERA / 2;
    let anywhere: Vec<usize> = (half..POINTS_OF_ERA).map(|_| draw(&all)).collect();
    (0..half).map(|_| draw(&special)).chain(anywhere).collect()
}

/// Whether a path is that of a sled which somebody opens again after a power cut. One that is being built has no bound: it
/// is thrown away, or gone on with from what its journal says to be on the disk.
fn is_sled_in_use(disk: &Disk, path: &str) -> bool {
    let Some(directory) = path.strip_suffix("/db") else { return false };
    let generation = directory.strip_suffix("/rows");
    let is_built = generation.is_some_and(|generation| disk.has(&format!("{generation}/BUILDING")));
    !is_built && BUILT.iter().all(|built| !path.contains(built))
}

/// A file is made, gets another name or another length, or is removed.
fn changes_files(entry: &Entry) -> bool {
    !matches!(
        entry.operation,
        Operation::Write { .. }
            | Operation::SyncBegin { .. }
            | Operation::SyncEnd { .. }
            | Operation::SyncRange
    )
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

/// Where a service's own directory lies in an image.
pub(crate) fn data(directory: &Path) -> std::path::PathBuf {
    directory.join("data")
}
