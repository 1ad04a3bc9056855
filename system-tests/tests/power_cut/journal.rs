//! A journal on a disk that loses its power.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use system_tests::power_cut::journal_load::RECORD_BYTES_MAX;

use crate::expected::Expected;
use crate::image::{self, Seen};
use crate::points::{Asked, Figures, Images};
use crate::recording::{JOURNAL, Recording};

#[test]
fn whatever_a_power_cut_leaves_all_that_was_acknowledged_is_there_once_and_in_order() {
    let asked = Asked::by_environment();
    let mut random = StdRng::seed_from_u64(asked.seed);
    let recording = Recording::make(asked.eras, &mut random);
    let (mut figures, mut sums) = (Figures::default(), Sums { kills: recording.kills, ..Sums::default() });
    let mut expected = Expected::new(&recording.notes);
    for (number, era) in (0..).zip(&recording.eras) {
        for image in Images::of(era, number, asked.seed, &mut figures) {
            expected.advance(image.ns);
            let looked = image::check(&image.directory.path().join(JOURNAL), &expected);
            figures.add(image, looked.map(|seen| sums.add(seen)));
        }
    }
    let Sums { kills, torn, untold, records } = sums;
    eprintln!(
        "journal: {kills} kills, {torn} images with a torn end, {untold} with a group that nobody was told of, {records} records"
    );
    let figures = figures.end("journal");
    // One record that is being written, or one that a killed process left and the footer behind it.
    assert!(figures.unsynced_journal_bytes_max <= 2 * RECORD_BYTES_MAX, "{figures:?}");
}

/// What was seen in all images.
#[derive(Debug, Default)]
struct Sums {
    /// Processes that were killed.
    kills: usize,
    /// Images with a torn end.
    torn: usize,
    /// Images with a group that nobody was told about.
    untold: usize,
    records: usize,
}

impl Sums {
    fn add(&mut self, seen: Seen) {
        self.torn += usize::from(seen.torn);
        self.untold += usize::from(seen.untold);
        self.records += seen.records;
    }
}
