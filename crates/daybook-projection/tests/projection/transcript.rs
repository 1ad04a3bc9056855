//! Logs of the bank.

use uuid::Uuid;

use crate::domain::{departed, joined, launched, paid_back, paid_in, wound_up};
use crate::log::{Dice, Log};

/// The bank at work: owners, funds, deposits and their ends, before and after one another, with repetitions.
pub(crate) fn transcript(events: usize, seed: u64) -> Log {
    let mut dice = Dice(seed);
    let owners: Vec<Uuid> = (0..8).map(|_| dice.uuid()).collect();
    let funds: Vec<Uuid> = (0..5).map(|_| dice.uuid()).collect();
    let pick = |dice: &mut Dice, ids: &[Uuid]| ids[dice.roll(ids.len() as u64) as usize];
    let (mut log, mut open) = (Log::default(), Vec::new());
    while log.records.len() < events {
        let (owner, fund) = (pick(&mut dice, &owners), pick(&mut dice, &funds));
        match dice.roll(20) {
            0..=1 => drop(log.write(&joined(owner))),
            2..=3 => {
                let price = (dice.roll(2) == 0).then(|| dice.roll(10_000) as i64);
                log.write(&launched(fund, ["bonds", "gold", "Gold 黄金"][dice.roll(3) as usize], price));
            }
            4 => drop(log.write(&wound_up(fund))),
            5 => drop(log.write(&departed(owner))),
            6..=7 if !open.is_empty() => {
                let (deposit, owner, fund) = open.swap_remove(dice.roll(open.len() as u64) as usize);
                log.write(&paid_back(deposit, owner, fund));
            }
            8..=9 if !log.records.is_empty() => {
                let back = dice.roll(log.records.len().min(12) as u64) as usize;
                log.repeat(log.records.len() - 1 - back);
            }
            _ => {
                let deposit = dice.uuid();
                log.write(&paid_in(deposit, owner, fund, 1 + dice.roll(4) as u32));
                open.push((deposit, owner, fund));
            }
        }
    }
    log
}

/// Events of one partition, of which the embedded broker drops the first.
pub(crate) fn more_than_the_embedded_broker_keeps() -> Log {
    let mut log = Log::default();
    // Random, so that they do not compress: more than the five megabytes that a partition may hold.
    let mut dice = Dice(1);
    for _ in 0..500 {
        let noise: String = (0..1_000).map(|_| dice.uuid().simple().to_string()).collect();
        log.write(&launched(Uuid::from_u128(0x99), &noise, None));
    }
    log
}
