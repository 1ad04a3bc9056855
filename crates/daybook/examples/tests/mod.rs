//! The bank's rules and its view, a line each.

use daybook::testing::{given, history, survives_storage};

use super::*;

const ADA: Uuid = Uuid::from_u128(1);
const BOB: Uuid = Uuid::from_u128(2);

fn opened(account: Uuid) -> Entry {
    Entry::Opened { account, owner: "Ada".to_owned() }
}

/// Of two accounts.
fn story() -> Vec<Entry> {
    let deposited = |account, cents| Entry::Deposited { account, cents };
    let withdrawn = |account, cents| Entry::Withdrawn { account, cents };
    vec![
        opened(ADA),
        deposited(ADA, 500),
        opened(BOB),
        withdrawn(ADA, 200),
        deposited(BOB, 7),
        withdrawn(BOB, 7),
    ]
}

#[test]
fn an_account_is_opened() {
    given::<Account>([]).when(Command::Open(ADA, Owner { owner: "Ada".to_owned() })).then([opened(ADA)]);
}

#[test]
fn money_is_withdrawn_as_long_as_there_is_some() {
    given::<Account>(story()[..2].to_vec())
        .when(Command::Withdraw(ADA, Money { cents: 500 }))
        .then([Entry::Withdrawn { account: ADA, cents: 500 }]);
}

#[test]
fn more_than_there_is_is_refused() {
    given::<Account>(story()[..2].to_vec())
        .when(Command::Withdraw(ADA, Money { cents: 501 }))
        .rejected(Refused::InsufficientFunds { there: 500, asked: 501 });
}

#[test]
fn nothing_is_paid_into_an_account_that_is_not_there() {
    given::<Account>([]).when(Command::Deposit(ADA, Money { cents: 1 })).rejected(Refused::Unknown);
}

#[test]
fn events_and_states_are_what_they_were_when_they_are_read_again() {
    survives_storage::<Account>(story().into_iter().filter(|entry| entry.key() == ADA));
}

#[test]
fn the_view_adds_up() {
    assert_eq!(history(BALANCES, story()).row::<Balance>(ADA), Some(300));
}

#[test]
fn the_view_survives_duplicates() {
    history(BALANCES, story()).survives_duplicates();
}

#[test]
fn the_view_survives_reordering() {
    history(BALANCES, story()).survives_reordering();
}

#[test]
fn the_view_survives_crashes() {
    history(BALANCES, story()).survives_crashes();
}

#[test]
fn the_view_survives_replay() {
    history(BALANCES, story()).survives_replay();
}
