//! An event type that got a second version: the first one stays in the log for ever, and is read as if it had been the second.
//!
//! `cargo run -p daybook --example upcast` shows it. A version that no `#[upcast]` reads does not compile.

use daybook::event::EventData as _;
use daybook::prelude::*;

#[derive(Debug, PartialEq, Event)]
#[event(service = "accounts", topic = "accounts.events", prefix = "bank.account.", key = account)]
enum Entry {
    /// Version 1 had no currency: there was only one.
    #[event("opened.v2")]
    #[upcast(from = "opened.v1", with = in_euros)]
    Opened { account: Uuid, owner: String, currency: String },
}

/// What version 1 had. It is never written again.
#[derive(Fields)]
struct OpenedV1 {
    account: Uuid,
    owner: String,
}

fn in_euros(OpenedV1 { account, owner }: OpenedV1) -> Entry {
    Entry::Opened { account, owner, currency: "EUR".to_owned() }
}

#[expect(clippy::print_stdout, reason = "what it is for")]
fn main() -> ExitCode {
    let account = Uuid::from_u128(7);
    let old = serde_json::value::to_raw_value(&OpenedV1 { account, owner: "Ada".to_owned() });
    match old.map(|old| Entry::from_data("bank.account.opened.v1", &old)) {
        Ok(Ok(event)) => println!("{event:?}, written as {} from now on", event.event_type()),
        other => println!("not read: {other:?}"),
    }
    ExitCode::SUCCESS
}
