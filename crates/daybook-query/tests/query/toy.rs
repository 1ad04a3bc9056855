//! A domain of one view and routes of which some fail: lamps that are switched.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get as on_get;
use daybook_event::Event;
use daybook_event::event_data::{DataError, EventData, read_fields, unknown_type};
use daybook_projection::projection::ViewEntry;
use daybook_projection::{
    EventMeta, FoldError, Generation, Parts, Projection, ReadModel, ReplayOptions, StoreError, Topic, View,
    replay,
};
use daybook_query::Queries;
use daybook_query::api::Api;
use daybook_query::as_of::DependsOn;
use daybook_query::errors::{unknown, unreadable};
use daybook_query::request::QueryRequest;
use daybook_query::responder::Body;
use daybook_query::service::Service;
use daybook_service::Stop;
use daybook_service::http::ApiError;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use crate::http::{get, get_after};
use crate::log::{Log, PARTITIONS};
use crate::served::id;
use crate::setting::{Setting, ready, status, until};

pub(crate) const TOPIC: &str = "lamps.events";
const SWITCHED: &str = "toy.lamp.switched.v1";

/// A lamp was switched.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Switched {
    lamp_id: Uuid,
}

impl EventData for Switched {
    fn event_type(&self) -> &'static str {
        SWITCHED
    }
    fn to_data(&self) -> serde_json::Result<Box<RawValue>> {
        to_raw_value(self)
    }
    fn from_data(event_type: &str, data: &RawValue) -> Result<Self, DataError> {
        if event_type == SWITCHED {
            read_fields(event_type, data)
        } else {
            Err(unknown_type(event_type, &[SWITCHED]))
        }
    }
}

impl Event for Switched {
    const TOPICS: &'static [Topic] = LAMPS.topics;
    const PREFIXES: &'static [&'static str] = &["toy.lamp."];
    const NEWEST: &'static [&'static str] = &[SWITCHED];

    fn key(&self) -> Uuid {
        self.lamp_id
    }
}

/// How often each lamp was switched. To a program for which it breaks, the one of [`BROKEN`] is not.
struct Switches<const BREAKS: bool>;

const BROKEN: u128 = 13;

impl<const BREAKS: bool> View for Switches<BREAKS> {
    type Event = Switched;
    type Change = ();
    type Row = u8;
    const ID: u8 = 9;
    const NAME: &'static str = "switches";

    fn change(event: &Switched) -> Option<(Uuid, ())> {
        Some((event.lamp_id, ()))
    }
    fn fold(
        row: Option<u8>,
        (): (),
        _: &EventMeta<'_>,
        parts: &mut Parts<'_>,
    ) -> Result<Option<u8>, FoldError> {
        if BREAKS && parts.key() == id(BROKEN) {
            return Err(FoldError::Contradiction { key: parts.key(), detail: "broken".to_owned() });
        }
        Ok(Some(row.unwrap_or(0) + 1))
    }
}

pub(crate) const LAMPS: Projection<Switched> = Projection {
    layout_version: 1,
    topics: &[Topic { name: TOPIC, service: "lamps" }],
    views: &[ViewEntry::of::<Switches<false>>()],
};
/// The same of an older program.
const BREAKING: Projection<Switched> = Projection { views: &[ViewEntry::of::<Switches<true>>()], ..LAMPS };

async fn lamp(State(api): State<Arc<Api>>, request: QueryRequest) -> Result<Response, ApiError> {
    let lamp_id = request.id()?;
    let responder = api.respond(&request, &[DependsOn::Topic(TOPIC)]).await?;
    let read = move |generation: &Generation, read_set| {
        let row = generation.row(Switches::<false>::ID, lamp_id).map_err(|error| unreadable(&error))?;
        let row = row.ok_or_else(|| unknown("lamp", lamp_id))?;
        Body::of(&row[0], 1, read_set)
    };
    responder.answer(1, read).await
}

fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/lamps/{lamp_id}", on_get(lamp))
        .route("/panics", on_get(panics))
        .route("/unreadable", on_get(async || Err::<Response, _>(unreadable_row())))
        .route("/stuck", on_get(async || std::future::pending::<Response>().await))
}

async fn panics() -> Response {
    panic!("a panic on purpose")
}

fn unreadable_row() -> ApiError {
    unreadable(&StoreError::new("read", Path::new("/read-model"), "a bad page"))
}

async fn serve(setting: &Setting) -> Service {
    serve_as(LAMPS, setting).await
}

async fn serve_as(projection: Projection<Switched>, setting: &Setting) -> Service {
    let settings = daybook_query::Settings { wait_ms_max: 1_000, ..setting.settings() };
    serve_queries(&settings, projection, routes()).await
}

async fn serve_queries(
    settings: &daybook_query::Settings,
    projection: Projection<Switched>,
    queries: impl Into<Queries>,
) -> Service {
    let service = Service::start(settings, projection, queries, "a toy").await.unwrap();
    ready(&service.router()).await;
    service
}

pub(crate) fn setting() -> Setting {
    let log = Log::without_topics();
    log.create_topic(TOPIC);
    Setting::on(log)
}

#[tokio::test(flavor = "multi_thread")]
async fn lamps_are_served() {
    let setting = setting();
    let service = serve(&setting).await;
    let (switched, path) = (Switched { lamp_id: id(5) }, format!("/lamps/{}", id(5)));
    assert_eq!(get(&service.router(), &path).await.problem(404)["type"], "/problems/not-found");
    setting.log.write_to(TOPIC, id(5), &switched);
    let token = setting.log.write_to(TOPIC, id(5), &switched);
    let answer = get_after(&service.router(), &path, &token).await;
    assert_eq!((answer.text.as_str(), answer.header("daybook-as-of")), ("2", token.as_str()));
    let reported = get(&service.router(), "/status").await.ok();
    assert_eq!(reported["layout"], "1 (switches=9; store 6)");
    service.stop().await.unwrap();
}

/// The clock stands still but when everybody waits: nobody really waits for the bound.
#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_is_given_up() {
    let setting = setting();
    let service = serve(&setting).await;
    let answer = get(&service.router(), "/stuck").await;
    assert_eq!(answer.problem(503)["type"], "/problems/timeout");
    assert_eq!(answer.header("retry-after"), "1");
    // The stop has a bound of its own, and is waited for on threads of the service's own, which this clock knows nothing of.
    tokio::time::resume();
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_an_answer_and_is_counted() {
    let setting = setting();
    let service = serve(&setting).await;
    let problem = get(&service.router(), "/panics").await.problem(500);
    assert_eq!(problem["type"], "/problems/fault");
    let metrics = get(&service.router(), "/metrics").await.text;
    let counted = r#"daybook_http_requests_total{method="GET",route="/panics",status="500"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    let at_work = "daybook_http_requests_at_work 0";
    assert!(metrics.contains(at_work), "{metrics}");
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_be_read_are_counted() {
    let setting = setting();
    let service = serve(&setting).await;
    for _ in 0..3 {
        let problem = get(&service.router(), "/unreadable").await.problem(500);
        assert_eq!(problem["type"], "/problems/read-model-unreadable");
        assert!(!problem.to_string().contains("a bad page"), "{problem}");
    }
    let metrics = get(&service.router(), "/metrics").await.text;
    assert!(metrics.contains("daybook_http_unreadable_total 3"), "{metrics}");
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_program_takes_what_waits_when_it_starts() {
    let setting = setting();
    let service = serve_as(BREAKING, &setting).await;
    let (switched, path) = (Switched { lamp_id: id(BROKEN) }, format!("/lamps/{}", id(BROKEN)));
    setting.log.write_to(TOPIC, id(BROKEN), &switched);
    let token = setting.log.write_to(TOPIC, id(BROKEN), &switched);
    status(&service.router(), "both wait", |status| status["quarantine_events"] == 2).await;
    service.stop().await.unwrap();
    let service = serve_as(BREAKING, &setting).await;
    assert_eq!(get(&service.router(), "/status").await.ok()["quarantine_events"], 2);
    service.stop().await.unwrap();

    let service = serve(&setting).await;
    let answer = get_after(&service.router(), &path, &token).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "2"), "{answer:?}");
    assert_eq!(get(&service.router(), "/status").await.ok()["quarantine_events"], 0);
    service.stop().await.unwrap();
}

/// An older program has built a generation in which they wait: a rollback to it takes back nothing that was shown.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_another_generation_and_was_shown_is_projected_before_that_one_is_served() {
    let setting = setting();
    let service = serve_as(BREAKING, &setting).await;
    let (switched, path) = (Switched { lamp_id: id(BROKEN) }, format!("/lamps/{}", id(BROKEN)));
    let token = setting.log.write_to(TOPIC, id(BROKEN), &switched);
    status(&service.router(), "it waits", |status| status["quarantine_events"] == 1).await;
    service.stop().await.unwrap();
    rebuild(&setting).await;
    let service = serve(&setting).await;
    let router = service.router();
    assert_eq!(get_after(&router, &path, &token).await.text, "1");
    let token = setting.log.write_to(TOPIC, id(BROKEN), &switched);
    assert_eq!(get_after(&router, &path, &token).await.text, "2");
    let rolled_back = ReadModel::open(&setting.data_dir()).unwrap().roll_back().unwrap();
    assert_eq!(rolled_back.0, "gen-000001");
    until("the rollback", async || {
        assert_eq!(get_after(&router, &path, &token).await.text, "2");
        (get(&router, "/status").await.ok()["generation"] == "gen-000001").then_some(())
    })
    .await;
    assert_eq!(get_after(&router, &path, &token).await.text, "2");
    assert_eq!(get(&router, "/status").await.ok()["quarantine_events"], 0);
    service.stop().await.unwrap();
}

async fn rebuild(setting: &Setting) {
    let (kafka, data_dir) = (setting.log.kafka(), setting.data_dir());
    let replayed = tokio::task::spawn_blocking(move || {
        let read_model = ReadModel::open(&data_dir).unwrap();
        let why = Some("a newer program".to_owned());
        let options =
            ReplayOptions { accept_difference: why, ..ReplayOptions::new(PARTITIONS, "a test".to_owned()) };
        replay(&kafka, &read_model, LAMPS, &options, |_| {}, &Stop::default()).unwrap()
    });
    assert_eq!(replayed.await.unwrap().generation, "gen-000002");
}

/// Built by a program that can project less than the one before it could.
#[tokio::test(flavor = "multi_thread")]
async fn what_would_take_back_what_was_shown_is_served_only_if_somebody_says_why() {
    let setting = setting();
    let service = serve(&setting).await;
    let path = format!("/lamps/{}", id(BROKEN));
    let token = setting.log.write_to(TOPIC, id(BROKEN), &Switched { lamp_id: id(BROKEN) });
    get_after(&service.router(), &path, &token).await.ok();
    service.stop().await.unwrap();
    let service = serve_as(BREAKING, &setting).await;
    let rebuild = async |accept_difference: Option<String>| {
        let (kafka, data_dir) = (setting.log.kafka(), setting.data_dir());
        let publish = accept_difference.is_some();
        let options = ReplayOptions::new(PARTITIONS, "another test".to_owned());
        let options = ReplayOptions { publish, accept_difference, ..options };
        let replay = move || {
            let (read_model, never) = (ReadModel::open(&data_dir).unwrap(), Stop::default());
            replay(&kafka, &read_model, BREAKING, &options, |_| {}, &never).unwrap().generation
        };
        tokio::task::spawn_blocking(replay).await.unwrap()
    };
    let read_model = ReadModel::open(&setting.data_dir()).unwrap();
    let lacks = rebuild(None).await;
    read_model.publish(&lacks).unwrap();
    let reported =
        status(&service.router(), "withdrawn", |status| status["next"]["state"] == "withdrawn").await;
    assert!(reported["refused"].as_str().unwrap().contains("wait in it"), "{reported}");
    assert_eq!(read_model.current().unwrap().unwrap(), "gen-000001");
    assert_eq!(get_after(&service.router(), &path, &token).await.text, "1");
    let accepted = rebuild(Some("a test says so".to_owned())).await;
    status(&service.router(), "accepted", |status| status["generation"] == *accepted).await;
    service.stop().await.unwrap();
}

/// Its rows may be of any key of the topic, so whatever waits may be of them: of a row that is there, and of one that is not.
#[tokio::test(flavor = "multi_thread")]
async fn the_answer_with_a_row_names_what_waits_also_where_there_is_none() {
    let setting = setting();
    let queries = Queries::new().row::<Switches<true>>("/lamps/{lamp_id}");
    let service = serve_queries(&setting.settings(), BREAKING, queries).await;
    let router = service.router();
    setting.log.write_to(TOPIC, id(BROKEN), &Switched { lamp_id: id(BROKEN) });
    let token = setting.log.write_to(TOPIC, id(5), &Switched { lamp_id: id(5) });
    let waits = async |lamp: u128| {
        let answer = get_after(&router, &format!("/lamps/{}", id(lamp)), &token).await;
        let waiting =
            answer.json()["quarantined"][0].as_str().is_some_and(|key| key == id(BROKEN).to_string());
        (waiting && answer.header("daybook-quarantined") == id(BROKEN).to_string()).then_some(answer.status)
    };
    let there = until("what waits is named", async || waits(5).await).await;
    assert_eq!((there, waits(BROKEN).await), (200, Some(404)));
    service.stop().await.unwrap();
}
