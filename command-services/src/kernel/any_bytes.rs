//! What must hold of any bytes where outcomes are kept. Asked by a test with random edits and by a fuzz target, and
//! compiled for them only.

use super::idempotency::Remembered;

/// Bytes under an idempotency key: no panic, and what is read is read again once it is written.
pub fn remembered(bytes: &[u8]) {
    let Ok(remembered) = Remembered::decode(bytes) else { return };
    let Remembered { fingerprint, expires_ms, outcome } = &remembered;
    let written = Remembered::encode(*fingerprint, *expires_ms, outcome);
    assert_eq!(Remembered::decode(&written), Ok(remembered));
}
