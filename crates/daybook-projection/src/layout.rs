//! What the rows of a generation mean: their layout version, and which views there are.

use std::fmt;

/// How the kernel stores rows of whatever layout: counts up when that changes.
const STORE_VERSION: u32 = 6;

/// Layout of a generation. Rows of another layout are never read; they are rebuilt by a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Counts up whenever the meaning or the bytes of any row change.
    pub version: u32,
    /// Number and name of every view, in the order of their numbers.
    pub views: Vec<(u8, &'static str)>,
}

impl fmt::Display for Layout {
    /// `1 (products=1, users=2; store 2)`; equally how a generation notes its layout.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (", self.version)?;
        for (index, (id, name)) in self.views.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={id}")?;
        }
        write!(f, "; store {STORE_VERSION})")
    }
}
