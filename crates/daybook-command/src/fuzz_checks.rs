//! What must hold of any bytes where outcomes are kept. Asked by a test with random edits and by a fuzz target, and
//! compiled for them only.

use crate::command::Outcome;
use crate::commit::idempotency::Remembered;

/// Bytes under an idempotency key: no panic, what is read is read again once it is written, and what was accepted has one
/// spelling, unless it is an answer from before.
pub fn remembered(bytes: &[u8]) {
    let Ok(remembered) = Remembered::decode(bytes) else { return };
    let Remembered { fingerprint, expires_ms, outcome } = &remembered;
    let written = Remembered::encode(*fingerprint, *expires_ms, outcome);
    if let Outcome::Accepted(_) = outcome
        && bytes[..Remembered::HEAD_BYTES] == written[..Remembered::HEAD_BYTES]
    {
        assert_eq!(written.escape_ascii().to_string(), bytes.escape_ascii().to_string());
    }
    assert_eq!(Remembered::decode(&written), Ok(remembered));
}
