//! Where the records of the present writer come to lie: behind its claims, one after the other, because nobody else writes.
//! Pure.
//!
//! A record that lies further on, or a partition that ends further on, means that somebody else wrote as well.

use super::Claimed;

/// Where acknowledged events lie.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    /// Epoch of the writer that sent them.
    pub(crate) epoch: u32,
    /// Per partition: the offset right behind the last one, if this writer has sent any.
    pub(crate) behind: Vec<Option<i64>>,
}

/// Offsets of the present writer's records, per partition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lying {
    epoch: u32,
    /// None of what is not claimed.
    partitions: Vec<Option<Ends>>,
}

#[derive(Debug, Clone, Copy)]
struct Ends {
    /// Right behind the claim.
    claim: i64,
    /// Right behind the last record that was acknowledged.
    delivered: i64,
    /// Right behind the last record that was sent, once it lies in the log.
    sent: i64,
}

impl Lying {
    /// Nothing was sent since these claims.
    pub(crate) fn behind(claimed: &Claimed) -> Self {
        let ends = |claim: &Result<i64, String>| {
            let claim = *claim.as_ref().ok()?;
            Some(Ends { claim, delivered: claim, sent: claim })
        };
        Self { epoch: claimed.epoch, partitions: claimed.ends.iter().map(ends).collect() }
    }

    /// More records are on their way, or fewer.
    pub(crate) fn sending(&mut self, partition: usize, events: i64) {
        if let Some(Some(ends)) = self.partitions.get_mut(partition) {
            ends.sent += events;
        }
    }

    /// The next record lies at `offset`; the error says that it should lie elsewhere.
    pub(crate) fn delivered(&mut self, partition: usize, offset: i64) -> Result<(), String> {
        let Some(Some(ends)) = self.partitions.get_mut(partition) else { return Ok(()) };
        if offset != ends.delivered {
            let expected = ends.delivered;
            return Err(format!(
                "partition {partition} took an event at offset {offset}, not at {expected}: somebody else writes it, or what an earlier \
                 writer of this service had sent came late"
            ));
        }
        ends.delivered += 1;
        Ok(())
    }

    /// The furthest offset at which a partition can end if nobody else writes it; `None` while it is not known.
    pub(crate) fn end_max(&self, partition: usize) -> Option<i64> {
        self.partitions.get(partition).copied().flatten().map(|ends| ends.sent)
    }

    /// Where the last acknowledged events lie.
    pub(crate) fn places(&self) -> Places {
        let behind =
            |ends: &Option<Ends>| ends.filter(|ends| ends.delivered > ends.claim).map(|ends| ends.delivered);
        Places { epoch: self.epoch, behind: self.partitions.iter().map(behind).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_lie_one_after_the_other_behind_the_claim() {
        let mut lying =
            Lying::behind(&Claimed { epoch: 4, ends: vec![Ok(1), Ok(10), Err("away".to_owned())] });
        assert_eq!((lying.end_max(0), lying.end_max(1), lying.end_max(2)), (Some(1), Some(10), None));
        lying.sending(1, 3);
        lying.sending(1, -1);
        assert_eq!(lying.end_max(1), Some(12));
        lying.delivered(1, 10).unwrap();
        let said = lying.delivered(1, 12).unwrap_err();
        assert!(said.contains("at offset 12, not at 11"), "{said}");
        let places = lying.places();
        assert_eq!((places.epoch, &places.behind[..]), (4, &[None, Some(11), None][..]));
    }
}
