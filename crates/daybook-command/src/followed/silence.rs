//! A partition that was not answered for, until what came meanwhile has been read.

#[derive(Debug, Clone)]
pub(super) struct Silence {
    away: String,
    /// Where it ended when somebody answered for it again.
    back_at: Option<i64>,
}

impl Silence {
    pub(super) fn new(away: String) -> Self {
        Self { away, back_at: None }
    }

    /// Somebody answers for it again, and it ends at `high`. What comes later is as late as it ever is; a log that has lost its
    /// end has nothing up to where it was.
    pub(super) fn answered(&mut self, high: i64) {
        self.back_at = Some(self.back_at.map_or(high, |before| before.min(high)));
    }

    pub(super) fn is_away(&self) -> bool {
        self.back_at.is_none()
    }

    /// Whether everything was read that came meanwhile.
    pub(super) fn is_over(&self, next_offset: i64) -> bool {
        self.back_at.is_some_and(|back_at| next_offset >= back_at)
    }

    pub(super) fn reason(&self) -> String {
        match self.back_at {
            None => self.away.clone(),
            Some(back_at) => {
                format!("it is answered for again, and not yet read up to offset {back_at}: {}", self.away)
            }
        }
    }
}
