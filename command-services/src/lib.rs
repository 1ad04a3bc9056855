//! The shop: services A (users), B (products) and C (orders). Pure rules, and a route table each; everything else is the
//! kernel's, `daybook-command`.

mod fields;

pub mod orders;
pub mod products;
pub mod users;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
