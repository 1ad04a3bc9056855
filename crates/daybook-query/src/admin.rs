//! Answers operators of the read model, on a Unix socket in its directory: its own user may ask.
//!
//! `POST`, JSON both ways, asked by [`daybook_projection::verify::Served`]: `/sample` says what the served generation is as of one
//! commit, `/digests` and `/rows` read its rows; what is below `/quarantine` shows what waits, releases a key, and leaves events
//! out. Meanwhile queries are answered and events are projected; a client that leaves takes its reading along.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::routing::post;
use axum::{Json, Router};
use daybook_projection::follower::Repair;
use daybook_projection::quarantine::{EventName, Released, SkippedEvent};
use daybook_projection::read_model::ADMIN_SOCKET;
use daybook_projection::verify::{QuarantineShown, Range, RangeDigest, RowsAt, Sample, Serves, socket_path};
use daybook_projection::{Generation, ReadModel, State as Projected, StoreError};
use daybook_service::Stop;
use daybook_store::files;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::api::Api;
use super::errors::damaged;
use super::heavy::{Length, aside};
use super::limits::{ADMIN_BODY_BYTES_MAX, REPAIR_WAIT, SHUTDOWN_GRACE};
use super::serving::Serving;
use daybook_service::http::ApiError;
use tokio::task::spawn_blocking;

/// Rights on the socket: read and write for its owner.
const SOCKET_MODE: u32 = 0o600;

/// Answers until `stopped`. The caller holds the read model's serving lock, so a socket that is there already was left
/// behind.
pub(super) fn serve(read_model: &ReadModel, api: Arc<Api>, stopped: Stop) -> io::Result<JoinHandle<()>> {
    let (open, path) = socket_path(read_model.directory())?;
    files::if_there(std::fs::remove_file(&path))?;
    let listener = UnixListener::bind(&path)?;
    // Before anything is accepted: whatever the umask says, only this process's user may ask.
    std::fs::set_permissions(&path, Permissions::from_mode(SOCKET_MODE))?;
    drop(open);
    let socket = read_model.directory().join(ADMIN_SOCKET);
    Ok(tokio::spawn(async move {
        let to_end = stopped.clone();
        let served = axum::serve(listener, router(api))
            .with_graceful_shutdown(async move { to_end.cancelled().await });
        let too_late = async {
            stopped.cancelled().await;
            sleep(SHUTDOWN_GRACE).await;
        };
        tokio::select! {
            ended = served => {
                if let Err(error) = ended {
                    tracing::warn!("{} is no longer answered: {error}", socket.display());
                }
            }
            // A client that keeps asking does not keep the process from ending.
            () = too_late => {}
        }
    }))
}

fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/sample", post(sample))
        .route("/digests", post(digests))
        .route("/rows", post(rows))
        .route("/quarantine", post(quarantine))
        .route("/quarantine/find", post(find))
        .route("/quarantine/release", post(release_key))
        .route("/quarantine/leave-out", post(leave_out))
        .layer(DefaultBodyLimit::max(ADMIN_BODY_BYTES_MAX))
        .with_state(api)
}

async fn sample(State(api): State<Arc<Api>>) -> Json<Serves> {
    let Some(serving) = api.serving_now() else {
        let trouble = api.next.load().as_ref().as_ref().and_then(|next| next.why.clone());
        return Json(Serves { sample: None, opens: api.is_opening(), trouble });
    };
    // Without waiting for the disk. Rows may be newer by a commit: a comparison reads them again.
    let sample = Sample::of(&serving.name, &api.layout, &serving.generation.last_moment());
    let (unreadable, stopped) = match &serving.progress.borrow().state {
        Projected::Stopped(reason) => (reason.damage(), Some(reason.to_string())),
        _ => (None, None),
    };
    Json(Serves { sample: Some(Sample { unreadable, stopped, ..sample }), opens: false, trouble: None })
}

async fn quarantine(State(api): State<Arc<Api>>) -> Result<Json<QuarantineShown>, ApiError> {
    Ok(Json(QuarantineShown::of(&api.serving()?.generation.last_moment().quarantine)))
}

async fn find(
    State(api): State<Arc<Api>>,
    Json((name, why, at)): Json<(EventName, String, String)>,
) -> Result<Json<Option<SkippedEvent>>, ApiError> {
    Ok(Json(api.serving()?.generation.last_moment().quarantine.find(&name, &why, &at)))
}

async fn release_key(
    State(api): State<Arc<Api>>,
    Json(key): Json<String>,
) -> Result<Json<Result<Released, String>>, ApiError> {
    repair(&api, Repair::Release(key)).await
}

async fn leave_out(
    State(api): State<Arc<Api>>,
    Json(events): Json<Vec<SkippedEvent>>,
) -> Result<Json<Result<Released, String>>, ApiError> {
    repair(&api, Repair::LeaveOut(events)).await
}

/// The follower does it. What it refuses is an answer like any other.
async fn repair(api: &Api, repair: Repair) -> Result<Json<Result<Released, String>>, ApiError> {
    let repairs = api.serving()?.repairs.clone();
    match spawn_blocking(move || repairs.ask(repair, REPAIR_WAIT)).await {
        Ok(answer) => Ok(Json(answer.map_err(|error| error.to_string()))),
        Err(error) => {
            tracing::error!(%error, "the quarantine was asked for something that ended without a result");
            Err(ApiError::fault())
        }
    }
}

async fn digests(
    State(api): State<Arc<Api>>,
    Json(ranges): Json<Vec<Range>>,
) -> Result<Json<Vec<RangeDigest>>, ApiError> {
    let serving = api.serving()?;
    read(&serving, move |generation, stop| RangeDigest::of_all(generation, &ranges, &|| stop.requested()))
        .await
}

async fn rows(
    State(api): State<Arc<Api>>,
    Json((range, limit)): Json<(Range, usize)>,
) -> Result<Json<Option<RowsAt>>, ApiError> {
    let serving = api.serving()?;
    let (name, layout) = (serving.name.clone(), api.layout.clone());
    read(&serving, move |generation, _| RowsAt::read((&name, &layout), generation, &range, limit)).await
}

/// Queries come first.
async fn read<T: Send + 'static>(
    serving: &Serving,
    read: impl Fn(&Generation, &Stop) -> Result<T, StoreError> + Send + Sync + 'static,
) -> Result<Json<T>, ApiError> {
    let generation = serving.generation.clone();
    match serving.heavy.run(Length::Aside, move |stop| aside(|| read(&generation, stop))).await {
        Ok(Ok(found)) => Ok(Json(found)),
        Ok(Err(error)) => Err(damaged(&error)),
        Err(error) => {
            tracing::error!(%error, "reading rows ended without a result");
            Err(ApiError::fault())
        }
    }
}
