//! The request to stop.

use std::future::poll_fn;
use std::task::Poll;

use tokio::signal;

/// Completes at SIGINT (Ctrl-C) or SIGTERM.
pub async fn shutdown_signal() {
    tokio::select! {
        () = interrupt() => tracing::info!("stopping: interrupted"),
        () = terminate() => tracing::info!("stopping: asked to terminate"),
    }
}

/// Lets `stop` begin to listen, and returns what is left of it: whoever is told afterwards that the process is at work may
/// ask it to stop. Before, a signal ends it at once.
pub async fn listening(stop: impl Future<Output = ()> + Send) -> impl Future<Output = ()> + Send {
    let mut stop = Box::pin(stop);
    let over = poll_fn(|context| Poll::Ready(stop.as_mut().poll(context).is_ready())).await;
    async move {
        if !over {
            stop.await;
        }
    }
}

async fn interrupt() {
    if let Err(error) = signal::ctrl_c().await {
        cannot_listen("SIGINT", &error).await;
    }
}

#[cfg(unix)]
async fn terminate() {
    match signal::unix::signal(signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => {
            terminate.recv().await;
        }
        Err(error) => cannot_listen("SIGTERM", &error).await,
    }
}

#[cfg(not(unix))]
async fn terminate() {
    std::future::pending().await
}

// Without the handler the signal ends the process as it does by default; until then the work goes on.
async fn cannot_listen(name: &str, error: &std::io::Error) {
    tracing::error!("cannot listen for {name}: {error}; it will end the process without an orderly stop");
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_stop_listens_before_anybody_waits_for_it() {
        let polls = AtomicU32::new(0);
        let stop = poll_fn(|_| match polls.fetch_add(1, Ordering::Relaxed) {
            0 => Poll::Pending,
            _ => Poll::Ready(()),
        });
        let stop = listening(stop).await;
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        stop.await;
        // One that is over already is not asked again.
        listening(std::future::ready(())).await.await;
    }
}
