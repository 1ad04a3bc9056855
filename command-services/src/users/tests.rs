//! Service A: its rules, and its HTTP interface.

mod http;
mod rules;
