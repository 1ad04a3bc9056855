//! The read model and how it is built from the log.
//!
//! Two halves that do not mix:
//!
//! - the [`kernel`] reads records, checks positions, folds events into rows and commits rows and checkpoint together;
//!   it knows nothing of users, products or orders;
//! - the [`shop`] is three views, each one file of pure functions, and the line that wires it.
//!
//! To add a view, write a file beside `shop/products.rs` and name it in [`shop::projection`].

pub mod kernel;
pub mod shop;
