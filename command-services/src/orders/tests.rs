//! Service C: its rules, what it follows, and its HTTP interface.

mod away;
mod follow;
mod http;
mod not_heard_of;
mod quarantine;
mod reopened;
mod rules;
