//! Fields of a stored value, as the journal has them, and what is said of one that is damaged.

pub(crate) use daybook_journal::fields::{Fields, put_bytes, put_number, put_sized};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a stored {what} is damaged; rebuild the store from the log with --recover")]
pub struct Damaged {
    pub what: &'static str,
}

impl Damaged {
    pub(crate) fn of(fields: &Fields<'_>) -> Self {
        Self { what: fields.what() }
    }
}

impl From<daybook_journal::Damaged> for Damaged {
    fn from(damaged: daybook_journal::Damaged) -> Self {
        Self { what: damaged.what }
    }
}
