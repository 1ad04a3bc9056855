//! The request to stop.

use tokio::signal;

/// Completes at SIGINT (Ctrl-C) or SIGTERM.
pub async fn shutdown_signal() {
    tokio::select! {
        () = interrupt() => tracing::info!("stopping: interrupted"),
        () = terminate() => tracing::info!("stopping: asked to terminate"),
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
