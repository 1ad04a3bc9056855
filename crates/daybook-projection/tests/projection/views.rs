//! The bank's read model: funds, owners, and each owner's deposits, of which old ones lie in parts.

use daybook_projection::{EventMeta, FoldError, Generation, PartStore, Parts, ReadError, View, load};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::{BankEvent, DepositEvent, FundEvent, OwnerEvent};

/// Deposits of a part, and most deposits of a row.
const PART_DEPOSITS: usize = 128;

pub(crate) struct Funds;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct FundRow {
    /// `None` if nothing but its end is known.
    pub(crate) title: Option<String>,
    sheet: Option<String>,
    price_cents: Option<i64>,
    wound_up: bool,
}

impl View for Funds {
    type Event = BankEvent;
    type Change = FundRow;
    type Row = FundRow;
    const ID: u8 = 1;
    const NAME: &'static str = "funds";

    fn change(event: &BankEvent) -> Option<(Uuid, FundRow)> {
        match event {
            BankEvent::Fund(FundEvent::Launched { fund_id, title, sheet, price_cents }) => {
                let (title, sheet) = (Some(title.clone()), Some(sheet.clone()));
                Some((*fund_id, FundRow { title, sheet, price_cents: *price_cents, wound_up: false }))
            }
            BankEvent::Fund(FundEvent::WoundUp { fund_id }) => {
                Some((*fund_id, FundRow { wound_up: true, ..FundRow::default() }))
            }
            BankEvent::Owner(_) | BankEvent::Deposit(_) => None,
        }
    }

    fn fold(
        row: Option<FundRow>,
        change: FundRow,
        _: &EventMeta<'_>,
        _: &mut Parts<'_>,
    ) -> Result<Option<FundRow>, FoldError> {
        let row = row.unwrap_or_default();
        Ok(Some(match change.wound_up {
            true => FundRow { wound_up: true, ..row },
            false => FundRow { wound_up: row.wound_up, ..change },
        }))
    }
}

pub(crate) struct Owners;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OwnerRow {
    Active,
    /// Whatever comes later.
    Departed,
}

impl View for Owners {
    type Event = BankEvent;
    type Change = OwnerRow;
    type Row = OwnerRow;
    const ID: u8 = 2;
    const NAME: &'static str = "owners";

    fn change(event: &BankEvent) -> Option<(Uuid, OwnerRow)> {
        match event {
            BankEvent::Owner(OwnerEvent::Joined { owner_id, .. }) => Some((*owner_id, OwnerRow::Active)),
            BankEvent::Owner(OwnerEvent::Departed { owner_id }) => Some((*owner_id, OwnerRow::Departed)),
            BankEvent::Fund(_) | BankEvent::Deposit(_) => None,
        }
    }

    fn fold(
        row: Option<OwnerRow>,
        change: OwnerRow,
        _: &EventMeta<'_>,
        _: &mut Parts<'_>,
    ) -> Result<Option<OwnerRow>, FoldError> {
        Ok(Some(if row == Some(OwnerRow::Departed) { OwnerRow::Departed } else { change }))
    }
}

pub(crate) fn owner(generation: &Generation, owner_id: Uuid) -> Option<OwnerRow> {
    load::<Owners>(generation, owner_id).unwrap()
}

pub(crate) struct Deposits;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deposit {
    pub(crate) deposit_id: Uuid,
    pub(crate) fund_id: Uuid,
    amount: u32,
    /// Of the event that paid it in.
    position: u64,
    paid_in_at_us: i64,
    paid_back_at_us: Option<i64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct DepositsRow {
    /// Parts written, each of [`PART_DEPOSITS`].
    parts: u32,
    /// Those after the parts'.
    newest: Vec<Deposit>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum DepositChange {
    In { deposit_id: Uuid, fund_id: Uuid, amount: u32 },
    Back { deposit_id: Uuid },
}

impl View for Deposits {
    type Event = BankEvent;
    type Change = DepositChange;
    type Row = DepositsRow;
    const ID: u8 = 3;
    const NAME: &'static str = "deposits";

    fn change(event: &BankEvent) -> Option<(Uuid, DepositChange)> {
        match event {
            BankEvent::Deposit(DepositEvent::PaidIn { deposit_id, owner_id, fund_id, amount }) => {
                let (deposit_id, fund_id, amount) = (*deposit_id, *fund_id, amount.get());
                Some((*owner_id, DepositChange::In { deposit_id, fund_id, amount }))
            }
            BankEvent::Deposit(DepositEvent::PaidBack { deposit_id, owner_id, .. }) => {
                Some((*owner_id, DepositChange::Back { deposit_id: *deposit_id }))
            }
            BankEvent::Owner(_) | BankEvent::Fund(_) => None,
        }
    }

    fn fold(
        row: Option<DepositsRow>,
        change: DepositChange,
        at: &EventMeta<'_>,
        parts: &mut Parts<'_>,
    ) -> Result<Option<DepositsRow>, FoldError> {
        let mut row = row.unwrap_or_default();
        match change {
            DepositChange::In { deposit_id, fund_id, amount } => {
                if row.newest.len() == PART_DEPOSITS {
                    parts.write(row.parts, packed(&row.newest));
                    row.parts += 1;
                    row.newest.clear();
                }
                let (position, paid_in_at_us) = (at.position, at.time_us);
                row.newest.push(Deposit {
                    deposit_id,
                    fund_id,
                    amount,
                    position,
                    paid_in_at_us,
                    paid_back_at_us: None,
                });
            }
            DepositChange::Back { deposit_id } => pay_back(&mut row, deposit_id, at.time_us, parts)?,
        }
        Ok(Some(row))
    }

    fn heap_bytes(row: &DepositsRow) -> usize {
        row.newest.capacity() * size_of::<Deposit>()
    }

    fn describe(row: &DepositsRow, key: Uuid, parts: &dyn PartStore) -> Result<Value, ReadError> {
        let mut deposits = Vec::new();
        for number in 0..row.parts {
            deposits.extend(unpacked(&parts.part(Self::ID, key, number)?.unwrap()));
        }
        deposits.extend(&row.newest);
        Ok(json!({ "owner_id": key, "parts": row.parts, "deposits": deposits }))
    }
}

/// Of the newest, or of the part that holds it.
fn pay_back(
    row: &mut DepositsRow,
    deposit_id: Uuid,
    at_us: i64,
    parts: &mut Parts<'_>,
) -> Result<(), FoldError> {
    let contradiction =
        |key, what| FoldError::Contradiction { key, detail: format!("deposit {deposit_id} {what}") };
    let again = contradiction(parts.key(), "was paid back before");
    if let Some(found) = find(&mut row.newest, deposit_id) {
        return found.paid_back_at_us.replace(at_us).map_or(Ok(()), |_| Err(again));
    }
    for number in 0..row.parts {
        let mut deposits = unpacked(&parts.read(number)?.unwrap());
        if let Some(found) = find(&mut deposits, deposit_id) {
            found.paid_back_at_us.replace(at_us).map_or(Ok(()), |_| Err(again))?;
            parts.write(number, packed(&deposits));
            return Ok(());
        }
    }
    Err(contradiction(parts.key(), "was never paid in"))
}

fn find(deposits: &mut [Deposit], deposit_id: Uuid) -> Option<&mut Deposit> {
    deposits.iter_mut().find(|deposit| deposit.deposit_id == deposit_id)
}

fn packed(deposits: &[Deposit]) -> Vec<u8> {
    postcard::to_allocvec(deposits).unwrap()
}

fn unpacked(part: &[u8]) -> Vec<Deposit> {
    postcard::from_bytes(part).unwrap()
}

/// An owner's deposits, oldest first.
pub(crate) fn deposits(generation: &Generation, owner_id: Uuid) -> Vec<Deposit> {
    let row = load::<Deposits>(generation, owner_id).unwrap().unwrap_or_default();
    let part = |number| unpacked(generation.part(Deposits::ID, owner_id, number).unwrap().unwrap().as_ref());
    (0..row.parts).flat_map(part).chain(row.newest).collect()
}
