//! The fault that this process was told to have, and when it strikes.

use std::env::{self, VarError};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Fault, STRIKES, VARIABLE};

static CHOSEN: OnceLock<Fault> = OnceLock::new();
/// Occasions that the chosen fault has had.
static OCCASIONS: AtomicU64 = AtomicU64::new(0);

/// Why a process that was built to do harm does not know what harm to do.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// Nothing was asked for.
    #[error("this program was built to do harm and is of no other use; set {VARIABLE} to one of {}", names())]
    NotSet,
    /// There is no such fault.
    #[error("{VARIABLE} is {given:?}, which is no fault; expected one of {}", names())]
    Unknown {
        /// What it was set to.
        given: String,
    },
}

fn names() -> String {
    Fault::ALL.map(Fault::name).join(", ")
}

/// Takes the fault of this process from [`VARIABLE`].
///
/// # Errors
/// [`BeginError`] names all faults.
pub fn begin() -> Result<Fault, BeginError> {
    let given = match env::var(VARIABLE) {
        Ok(given) => given,
        Err(VarError::NotPresent) => return Err(BeginError::NotSet),
        Err(VarError::NotUnicode(given)) => {
            return Err(BeginError::Unknown { given: given.to_string_lossy().into_owned() });
        }
    };
    let fault = Fault::ALL.into_iter().find(|fault| fault.name() == given);
    fault.map(|fault| *CHOSEN.get_or_init(|| fault)).ok_or(BeginError::Unknown { given })
}

pub(super) fn strikes(fault: Fault) -> bool {
    if CHOSEN.get() != Some(&fault) {
        return false;
    }
    let occasion = OCCASIONS.fetch_add(1, Ordering::Relaxed);
    let strikes = is_due(fault, occasion);
    if strikes {
        tracing::warn!(fault = fault.name(), occasion, "{STRIKES}");
    }
    strikes
}

/// Whether a fault strikes at an occasion, counted from 0.
fn is_due(fault: Fault, occasion: u64) -> bool {
    let every = |first: u64, occasions: u64| {
        occasion.checked_sub(first).is_some_and(|since| since.is_multiple_of(occasions))
    };
    match fault {
        // Something sound comes before: what follows from a fault is worth more than the fault by itself.
        Fault::DropRow | Fault::DoubleSend | Fault::Garble | Fault::EndUnasked => every(30, 40),
        Fault::RefuseAndDo | Fault::SameVersion | Fault::OtherCause => every(20, 25),
        Fault::HideRow | Fault::DoubleRow | Fault::ForgetFact => every(10, 15),
        Fault::BackInTime => every(5, 6),
        // Occasions are rare by themselves.
        Fault::Reorder => every(3, 5),
        // One of two is enough to be missed, and the others show that the index was built again all the same.
        Fault::ForgetAggregate | Fault::ForgetKey => every(0, 2),
        Fault::AckBeforeKafka
        | Fault::DecideTwice
        | Fault::TwinKey
        | Fault::TrustStranger
        | Fault::StaleRead
        | Fault::TrustGeneration
        | Fault::SendOnePartition
        | Fault::OldRow
        | Fault::StayFull
        | Fault::TrustDisk => true,
        // Now and then a sync comes through: it is what a kill takes the store back to.
        Fault::SkipSync => !every(0, 10),
    }
}
