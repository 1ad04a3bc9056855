//! A whole generation compared with one that was built aside, while it is served and projected.
//!
//! In rounds: the digests of ranges are read there, then a sample is taken, and the other generation follows to its place. A
//! range whose digest is the same here and there was, when it was read, what the log says at that place. The others have
//! changed meanwhile, or are wrong, and are read again in the next round. What is left is compared row by row: few rows at
//! once, each time with the commit that they are as of.

use std::collections::BTreeMap;

use daybook_event::event_data::EventData;
use daybook_kafka::Kafka;
use uuid::Uuid;

use super::ranges::{ANSWER_ROWS_MAX, Range, RangeDigest, RangeRows, Ranges, StoredKey};
use super::sample::parked_differently;
use super::sample::{RowsAt, Sample};
use super::served::Served;
use super::whole::{Difference, RowName, Unreadable, VerifyError, VerifyReport};
use crate::catch_up::catch_up;
use crate::generation::Generation;
use crate::keys;
use crate::projection::Projection;
use crate::store::StoreError;

/// So often ranges that differ are read again: those in which something is projected all the time are few by then.
const ROUNDS_MAX: u32 = 8;
/// So few are compared row by row at once.
const EXACT_RANGES_MAX: usize = 16;

pub(super) struct Comparing<'c, E: 'static> {
    pub(super) kafka: &'c Kafka,
    pub(super) projection: Projection<E>,
    pub(super) served: &'c Served,
    pub(super) rebuilt: &'c Generation,
    pub(super) limit: usize,
    /// Says when to end early, with any result.
    pub(super) stop: &'c dyn Fn() -> bool,
}

impl<E: EventData> Comparing<'_, E> {
    pub(super) fn report(&self) -> Result<VerifyReport, VerifyError> {
        let ranges = Ranges::choose(self.rebuilt)?;
        let mut left: Vec<usize> = (0..ranges.count()).collect();
        let mut report = self.round(&ranges, &mut left, None)?;
        for _ in 1..ROUNDS_MAX {
            if left.len() <= EXACT_RANGES_MAX {
                break;
            }
            report = self.round(&ranges, &mut left, Some(report))?;
        }
        for index in left {
            self.compare_rows(ranges.range(index), &mut report)?;
            if report.differences.len().max(report.unreadable.len()) > self.limit {
                report.more = true;
                break;
            }
        }
        report.differences.truncate(self.limit);
        report.unreadable.truncate(self.limit);
        Ok(report)
    }

    /// Keeps of `left` the ranges that differ. The report is of the first round's sample.
    fn round(
        &self,
        ranges: &Ranges,
        left: &mut Vec<usize>,
        report: Option<VerifyReport>,
    ) -> Result<VerifyReport, VerifyError> {
        let asked: Vec<Range> = left.iter().map(|index| ranges.range(*index)).collect();
        let theirs = self.digests(&asked, |ranges| Ok(self.served.digests(ranges, self.stop)?))?;
        let sample = self.served.sample_covering(&self.rebuilt.checkpoint(), self.stop)?;
        self.follow(&sample)?;
        let report = match report {
            Some(report) => report,
            None => self.kept(&sample),
        };
        self.check_same(&sample, &report)?;
        let ours =
            self.digests(&asked, |ranges| Ok(RangeDigest::of_all(self.rebuilt, ranges, self.stop)?))?;
        if let Some(RangeDigest::Unreadable(detail)) = ours.iter().find(|ours| is_unreadable(ours)) {
            return Err(self.damaged(detail.clone()));
        }
        let mut differ = theirs.iter().zip(&ours).map(|(theirs, ours)| theirs != ours);
        left.retain(|_| differ.next() == Some(true));
        Ok(report)
    }

    fn digests(
        &self,
        ranges: &[Range],
        read: impl Fn(&[Range]) -> Result<Vec<RangeDigest>, VerifyError>,
    ) -> Result<Vec<RangeDigest>, VerifyError> {
        let mut found = Vec::with_capacity(ranges.len());
        while found.len() < ranges.len() {
            self.check_stop()?;
            let more = read(&ranges[found.len()..])?;
            if more.is_empty() {
                return Err(VerifyError::Moved);
            }
            found.extend(more);
        }
        Ok(found)
    }

    /// The other generation follows to where the served one was; it must not have got further.
    fn follow(&self, sample: &Sample) -> Result<(), VerifyError> {
        self.check_stop()?;
        if !sample.checkpoint.covers(&self.rebuilt.checkpoint()) {
            return Err(VerifyError::Moved);
        }
        catch_up(self.kafka, self.rebuilt, self.projection, &sample.checkpoint, self.stop)?;
        self.check_stop()
    }

    fn kept(&self, sample: &Sample) -> VerifyReport {
        VerifyReport {
            generation: sample.generation.clone(),
            events: sample.checkpoint.events(),
            digest_kept: sample.digest.clone(),
            digest_rebuilt: self.rebuilt.digest().to_string(),
            parked_differently: self.parked_differently(sample),
            differences: Vec::new(),
            unreadable: Vec::new(),
            more: false,
            left_out_unnamed: None,
        }
    }

    /// Rows are compared only as long as nothing but the log changes them: not with another generation, and not across a release.
    fn check_same(&self, sample: &Sample, report: &VerifyReport) -> Result<(), VerifyError> {
        let same = sample.generation == report.generation
            && self.parked_differently(sample) == report.parked_differently;
        if same { Ok(()) } else { Err(VerifyError::Moved) }
    }

    fn parked_differently(&self, sample: &Sample) -> Vec<String> {
        let ours = Sample::of("", "", &self.rebuilt.last_moment());
        parked_differently(&sample.parked, &ours.parked)
    }

    /// Goes through a range, as many rows at once as are read there between two commits.
    fn compare_rows(&self, range: Range, report: &mut VerifyReport) -> Result<(), VerifyError> {
        let (mut from, to) = range;
        let mut limit = ANSWER_ROWS_MAX;
        loop {
            self.check_stop()?;
            let rest = (from.clone(), to.clone());
            let Some(RowsAt { sample, rows: theirs }) = self.served.rows(&rest, limit)? else {
                if limit == 1 {
                    return Err(VerifyError::Moved);
                }
                limit /= 2;
                continue;
            };
            self.follow(&sample)?;
            self.check_same(&sample, report)?;
            let ours = RangeRows::read(self.rebuilt, &rest, limit)?;
            if let Some(detail) = ours.unreadable {
                return Err(self.damaged(detail));
            }
            if let Some(detail) = &theirs.unreadable {
                let named = |key: Option<&StoredKey>| Some(named(&self.projection, key?)?.0);
                let after = named(theirs.rows.last().map(|row| &row.key).or(from.as_ref()));
                report.unreadable.push(Unreadable {
                    after,
                    before: named(to.as_ref()),
                    detail: detail.clone(),
                });
            }
            let ends_here = theirs.unreadable.is_some();
            // What comes behind rows that cannot be read is not missing.
            let end = match (ends_here, theirs.end(), ours.end()) {
                (true, theirs, _) => Some(theirs.unwrap_or_default()),
                (false, theirs, ours) => theirs.into_iter().chain(ours).min(),
            };
            report.differences.extend(differing_rows(&self.projection, theirs, ours, end.as_ref()));
            match end {
                Some(end) if !ends_here && report.differences.len() <= self.limit => from = Some(end),
                _ => return Ok(()),
            }
        }
    }

    fn check_stop(&self) -> Result<(), VerifyError> {
        // The caller that said so knows what it means.
        if (self.stop)() { Err(VerifyError::Moved) } else { Ok(()) }
    }

    fn damaged(&self, detail: String) -> VerifyError {
        StoreError::damaged("read", self.rebuilt.path(), detail).into()
    }
}

fn is_unreadable(digest: &RangeDigest) -> bool {
    matches!(digest, RangeDigest::Unreadable(_))
}

/// The row of a stored key, and the number of its part.
fn named<E>(projection: &Projection<E>, key: &StoredKey) -> Option<(RowName, Option<u32>)> {
    let (view, key, part): (u8, Uuid, Option<u32>) = keys::decode(&hex::decode(key).ok()?).ok()?;
    let name = projection.views.iter().find(|known| known.id == view).map(|known| known.name.to_owned());
    Some((RowName { view: name.unwrap_or_else(|| format!("view {view}")), key }, part))
}

/// Rows before `end` that are not the same.
fn differing_rows<E>(
    projection: &Projection<E>,
    served: RangeRows,
    rebuilt: RangeRows,
    end: Option<&StoredKey>,
) -> Vec<Difference> {
    let mut rows: BTreeMap<StoredKey, (Option<String>, Option<String>)> = BTreeMap::new();
    served.rows.into_iter().for_each(|row| rows.entry(row.key).or_default().0 = Some(row.value));
    rebuilt.rows.into_iter().for_each(|row| rows.entry(row.key).or_default().1 = Some(row.value));
    rows.retain(|key, (served, rebuilt)| served != rebuilt && end.is_none_or(|end| key < end));
    let difference = |(key, (served, rebuilt)): (StoredKey, _)| {
        let (RowName { view, key }, part) = named(projection, &key)?;
        Some(Difference { view, key, part, served, rebuilt })
    };
    rows.into_iter().filter_map(difference).collect()
}
