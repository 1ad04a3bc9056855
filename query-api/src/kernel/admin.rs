//! Answers those who look after the read model, on a Unix socket in its directory: its own user may ask.
//!
//! `POST`, JSON both ways, asked by [`projector::kernel::verify::Served`]: `/hold` keeps the served generation from moving
//! and says where it is, `/release` lets it go on, `/digests` and `/rows` read its rows; what is below `/quarantine` shows
//! what waits, releases a key, and leaves events out. Queries are answered meanwhile.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use projector::kernel::follower::Repair;
use projector::kernel::quarantine::{EventName, Released, SkippedEvent};
use projector::kernel::read_model::ADMIN_SOCKET;
use projector::kernel::verify::{
    Held, QuarantineShown, RangeDigests, RangeRows, StoredKey, socket_path, unreadable_row,
};
use projector::kernel::{ReadModel, State as Projected, StoreError};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::api::Api;
use super::blocking::blocking;
use super::limits::{ADMIN_BODY_BYTES_MAX, HOLD_TIME, HOLD_WAIT, REPAIR_WAIT};
use super::refusal::Refusal;
use super::serving::Serving;
use super::stop_signal::StopSignal;

/// Rights on the socket: read and write for its owner.
const SOCKET_MODE: u32 = 0o600;

/// Answers until `stopped`. The caller holds the read model's serving lock, so a socket that is there already was left
/// behind.
pub(super) fn serve(
    read_model: &ReadModel,
    api: Arc<Api>,
    stopped: StopSignal,
) -> io::Result<JoinHandle<()>> {
    let (open, path) = socket_path(read_model.directory())?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    // Before anything is accepted: whatever the umask says, only this process's user may ask.
    std::fs::set_permissions(&path, Permissions::from_mode(SOCKET_MODE))?;
    drop(open);
    let socket = read_model.directory().join(ADMIN_SOCKET);
    Ok(tokio::spawn(async move {
        let served = axum::serve(listener, router(api));
        let ended = served.with_graceful_shutdown(async move { stopped.requested().await }).await;
        if let Err(error) = ended {
            tracing::warn!("{} is no longer answered: {error}", socket.display());
        }
        // Gone with this process; the next one would remove it as well.
        drop(std::fs::remove_file(&socket));
    }))
}

fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/hold", post(hold))
        .route("/release", post(release))
        .route("/digests", post(digests))
        .route("/rows", post(rows))
        .route("/quarantine", post(quarantine))
        .route("/quarantine/find", post(find))
        .route("/quarantine/release", post(release_key))
        .route("/quarantine/leave-out", post(leave_out))
        .layer(DefaultBodyLimit::max(ADMIN_BODY_BYTES_MAX))
        .with_state(api)
}

async fn hold(State(api): State<Arc<Api>>) -> Result<Json<Held>, Refusal> {
    let serving = api.serving()?;
    let holding = serving.hold.clone();
    let stands = blocking(move || holding.hold(HOLD_TIME, HOLD_WAIT)).await;
    if !stands.unwrap_or(false) {
        serving.hold.release();
        return Err(Refusal::not_yet(
            "not-held",
            "Not held",
            "the projection did not come to a stand in time",
        ));
    }
    let held = Held::of(&serving.name, &serving.generation, api.layout.clone());
    let unreadable = match &serving.progress.borrow().state {
        Projected::Stopped(reason) => unreadable_row(reason),
        _ => None,
    };
    Ok(Json(Held { unreadable, ..held }))
}

async fn release(State(api): State<Arc<Api>>) -> Result<Json<()>, Refusal> {
    api.serving()?.hold.release();
    Ok(Json(()))
}

async fn quarantine(State(api): State<Arc<Api>>) -> Result<Json<QuarantineShown>, Refusal> {
    Ok(Json(QuarantineShown::of(&api.serving()?.generation.quarantine())))
}

async fn find(
    State(api): State<Arc<Api>>,
    Json((name, why, at)): Json<(EventName, String, String)>,
) -> Result<Json<Option<SkippedEvent>>, Refusal> {
    Ok(Json(api.serving()?.generation.quarantine().find(&name, &why, &at)))
}

async fn release_key(
    State(api): State<Arc<Api>>,
    Json(key): Json<String>,
) -> Result<Json<Result<Released, String>>, Refusal> {
    repair(&api, Repair::Release(key)).await
}

async fn leave_out(
    State(api): State<Arc<Api>>,
    Json(events): Json<Vec<SkippedEvent>>,
) -> Result<Json<Result<Released, String>>, Refusal> {
    repair(&api, Repair::LeaveOut(events)).await
}

/// The follower does it. What it refuses is an answer like any other.
async fn repair(api: &Api, repair: Repair) -> Result<Json<Result<Released, String>>, Refusal> {
    let repairs = api.serving()?.repairs.clone();
    match blocking(move || repairs.ask(repair, REPAIR_WAIT)).await {
        Ok(answer) => Ok(Json(answer.map_err(|error| error.to_string()))),
        Err(error) => {
            tracing::error!(%error, "the quarantine was asked for something that ended without a result");
            Err(Refusal::fault())
        }
    }
}

async fn digests(
    State(api): State<Arc<Api>>,
    Json(borders): Json<Vec<StoredKey>>,
) -> Result<Response, Refusal> {
    let serving = api.serving()?;
    answer(move || RangeDigests::within(&serving.generation, borders)).await
}

async fn rows(
    State(api): State<Arc<Api>>,
    Json((from, to)): Json<(Option<StoredKey>, Option<StoredKey>)>,
) -> Result<Response, Refusal> {
    let serving: Arc<Serving> = api.serving()?;
    answer(move || RangeRows::read(&serving.generation, from.as_deref(), to.as_deref())).await
}

async fn answer<T: serde::Serialize + Send + 'static>(
    read: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<Response, Refusal> {
    match blocking(read).await {
        Ok(Ok(found)) => Ok(Json(found).into_response()),
        Ok(Err(error)) => Err(Refusal::damaged(&error)),
        Err(error) => {
            tracing::error!(%error, "reading rows ended without a result");
            Err(Refusal::fault())
        }
    }
}
