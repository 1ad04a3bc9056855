//! Power cuts: what a process writes is recorded, and at any point of it a directory is made as a disk might have it
//! after the power was cut there.
//!
//! Certain is what was written before the begin of a sync that had ended by then, and the names that were changed before
//! a sync of their directory. Of the rest any part may be there: of the contents any pieces of 512 bytes, of the names of
//! a directory the first few changes. Nothing else is assumed of a file system: a file's sync does not make its name
//! certain, and order between files is none.

pub mod disk;
pub mod journal_load;
pub mod log;
pub mod loss;
pub mod notes;
pub mod recorder;
pub mod tree;
