//! A bank: owners pay deposits into funds. What the kernel's tests project, on three topics.

use std::num::NonZeroU32;

use daybook_event::Event;
use daybook_projection::{Layout, Projection, ViewEntry};
use uuid::Uuid;

use crate::views::{Deposits, Funds, Owners};

#[derive(Debug, Clone, PartialEq, Eq, Event)]
#[event(service = "owners", topic = "owners.events", prefix = "bank.owner.")]
pub(crate) enum OwnerEvent {
    #[event("joined.v1")]
    Joined {
        #[key]
        owner_id: Uuid,
        email: String,
        name: String,
    },
    #[event("departed.v1")]
    Departed {
        #[key]
        owner_id: Uuid,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Event)]
#[event(service = "funds", topic = "funds.events", prefix = "bank.fund.")]
pub(crate) enum FundEvent {
    #[event("launched.v1")]
    Launched {
        #[key]
        fund_id: Uuid,
        title: String,
        /// The file that describes it.
        sheet: String,
        price_cents: Option<i64>,
    },
    #[event("wound-up.v1")]
    WoundUp {
        #[key]
        fund_id: Uuid,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Event)]
#[event(service = "deposits", topic = "deposits.events", prefix = "bank.deposit.")]
pub(crate) enum DepositEvent {
    #[event("paid-in.v1")]
    PaidIn {
        deposit_id: Uuid,
        #[key]
        owner_id: Uuid,
        fund_id: Uuid,
        amount: NonZeroU32,
    },
    #[event("paid-back.v1")]
    PaidBack {
        deposit_id: Uuid,
        #[key]
        owner_id: Uuid,
        fund_id: Uuid,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Event)]
pub(crate) enum BankEvent {
    Owner(OwnerEvent),
    Fund(FundEvent),
    Deposit(DepositEvent),
}

/// What the log of these tests is made of.
pub(crate) type Happened = BankEvent;

const BANK: Projection<BankEvent> =
    Projection::of(3, &[ViewEntry::of::<Funds>(), ViewEntry::of::<Owners>(), ViewEntry::of::<Deposits>()]);

pub(crate) fn projection() -> Projection<BankEvent> {
    BANK
}

pub(crate) fn layout() -> Layout {
    BANK.layout()
}

pub(crate) fn topic_of(event: &BankEvent) -> &'static str {
    match event {
        BankEvent::Owner(_) => OwnerEvent::TOPICS[0].name,
        BankEvent::Fund(_) => FundEvent::TOPICS[0].name,
        BankEvent::Deposit(_) => DepositEvent::TOPICS[0].name,
    }
}

pub(crate) fn joined(owner_id: Uuid) -> BankEvent {
    let (email, name) = (format!("e-mail of {owner_id}"), format!("name of {owner_id}"));
    BankEvent::Owner(OwnerEvent::Joined { owner_id, email, name })
}

pub(crate) fn departed(owner_id: Uuid) -> BankEvent {
    BankEvent::Owner(OwnerEvent::Departed { owner_id })
}

pub(crate) fn launched(fund_id: Uuid, title: &str, price_cents: Option<i64>) -> BankEvent {
    let (title, sheet) = (title.to_owned(), format!("{title}.pdf"));
    BankEvent::Fund(FundEvent::Launched { fund_id, title, sheet, price_cents })
}

pub(crate) fn wound_up(fund_id: Uuid) -> BankEvent {
    BankEvent::Fund(FundEvent::WoundUp { fund_id })
}

pub(crate) fn paid_in(deposit_id: Uuid, owner_id: Uuid, fund_id: Uuid, amount: u32) -> BankEvent {
    let amount = NonZeroU32::new(amount).unwrap();
    BankEvent::Deposit(DepositEvent::PaidIn { deposit_id, owner_id, fund_id, amount })
}

pub(crate) fn paid_back(deposit_id: Uuid, owner_id: Uuid, fund_id: Uuid) -> BankEvent {
    BankEvent::Deposit(DepositEvent::PaidBack { deposit_id, owner_id, fund_id })
}
