//! A bank: accounts are opened, and money goes in and out, but never more than there is.
//!
//! `cargo run --release -p daybook --example bank` runs it on an embedded broker, without Kafka. Then, in another terminal:
//!
//! ```sh
//! path=$(curl -sD - -o /dev/null http://127.0.0.1:8081/accounts --json '{"owner":"Ada"}' | sed -n 's/^location: \(.*\)\r$/\1/p')
//! curl -i http://127.0.0.1:8081$path/deposit --json '{"cents":500}'
//! curl -i http://127.0.0.1:8081$path/withdraw --json '{"cents":700}'
//! curl -i http://127.0.0.1:8080$path
//! ```
//!
//! The withdrawal is refused by name; the balance comes from the read model, which follows the events. `bank --help` shows how it
//! runs on Kafka, and how its parts run alone: `bank projector --replay` builds the read model again.

use daybook::prelude::*;

#[derive(Debug, Clone, PartialEq, Event)]
#[event(service = "accounts", topic = "accounts.events", prefix = "bank.account.", key = account)]
enum Entry {
    #[event("opened.v1")]
    Opened { account: Uuid, owner: String },
    #[event("deposited.v1")]
    Deposited { account: Uuid, cents: u32 },
    #[event("withdrawn.v1")]
    Withdrawn { account: Uuid, cents: u32 },
}

#[derive(Debug, PartialEq, Rejection)]
enum Refused {
    #[problem(404, "account-unknown", "there is no account with this id")]
    Unknown,
    #[problem(409, "insufficient-funds", "the account has {there} cents, and {asked} were asked for")]
    InsufficientFunds { there: u64, asked: u32 },
}

enum Command {
    Open(Uuid, Owner),
    Deposit(Uuid, Money),
    Withdraw(Uuid, Money),
}

#[derive(Body)]
struct Owner {
    owner: String,
}

#[derive(Body)]
struct Money {
    cents: u32,
}

/// An account as its service knows and shows it.
#[derive(Debug, Default, PartialEq, Fields)]
struct Account {
    owner: String,
    cents: u64,
}

impl Aggregate for Account {
    type State = Self;
    type Command = Command;
    type Event = Entry;
    type Rejection = Refused;
    type Facts = ();
    const UNKNOWN: Refused = Refused::Unknown;

    fn decide(now: Option<&Self>, command: &Command, (): &()) -> Result<Vec<Entry>, Refused> {
        let there = now.map(|account| account.cents).ok_or(Refused::Unknown);
        Ok(vec![match *command {
            Command::Open(account, Owner { ref owner }) => Entry::Opened { account, owner: owner.clone() },
            Command::Deposit(account, Money { cents }) => {
                there.map(|_| Entry::Deposited { account, cents })?
            }
            Command::Withdraw(account, Money { cents }) => match there? {
                there if there >= cents.into() => Entry::Withdrawn { account, cents },
                there => return Err(Refused::InsufficientFunds { there, asked: cents }),
            },
        }])
    }

    fn evolve(now: Option<Self>, event: &Entry) -> Self {
        let now = now.unwrap_or_default();
        match *event {
            Entry::Opened { ref owner, .. } => Self { owner: owner.clone(), cents: 0 },
            Entry::Deposited { cents, .. } => Self { cents: now.cents + u64::from(cents), ..now },
            Entry::Withdrawn { cents, .. } => Self { cents: now.cents - u64::from(cents), ..now },
        }
    }
}

/// What is on each account, in cents.
struct Balance;

impl View for Balance {
    type Event = Entry;
    type Change = i64;
    type Row = i64;
    const ID: u8 = 1;
    const NAME: &'static str = "balance";
    const BY_RECORD_KEY: bool = true;

    fn change(event: &Entry) -> Option<(Uuid, i64)> {
        match *event {
            Entry::Opened { account, .. } => Some((account, 0)),
            Entry::Deposited { account, cents } => Some((account, cents.into())),
            Entry::Withdrawn { account, cents } => Some((account, -i64::from(cents))),
        }
    }

    fn fold(balance: Option<i64>, cents: i64, _: &EventMeta<'_>, _: &mut Parts<'_>) -> Folded<i64> {
        Ok(Some(balance.unwrap_or(0) + cents))
    }
}

const BALANCES: Projection<Entry> = Projection::of(1, &[ViewEntry::of::<Balance>()]);

fn main() -> ExitCode {
    let accounts = Routes::<Account>::of("/accounts", "account")
        .create(Command::Open)
        .action("deposit", Command::Deposit)
        .action("withdraw", Command::Withdraw);
    let queries = Queries::new().row::<Balance>("/accounts/{account}");
    App::new("bank", "Accounts and their balances").commands(accounts).queries(BALANCES, queries).main()
}

#[cfg(test)]
mod tests;
