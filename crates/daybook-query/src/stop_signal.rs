//! The request to stop, for all tasks of one process.

use tokio::sync::watch;

/// Tells all tasks to stop.
pub(super) struct Stopper(watch::Sender<bool>);

/// Waits for the request to stop.
#[derive(Clone)]
pub(super) struct StopSignal(watch::Receiver<bool>);

/// A pair that belongs together.
pub(super) fn stop_signal() -> (Stopper, StopSignal) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), StopSignal(receiver))
}

impl Stopper {
    pub(super) fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl StopSignal {
    /// Ends when the request has come, at once if it came before.
    pub(super) async fn requested(&self) {
        let mut receiver = self.0.clone();
        // An error means that the sender is gone, which asks for the same.
        let _gone = receiver.wait_for(|stopped| *stopped).await;
    }
}
