//! The shop: services A, B and C. Pure rules, and a route table each; everything else is the kernel's.

mod fields;

pub mod orders;
pub mod products;
pub mod users;

#[cfg(test)]
mod tests;
