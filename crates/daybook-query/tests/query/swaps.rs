//! Generations are swapped while requests come: none fails, and nothing goes back in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use daybook_event::token::{Token, TokenPosition};
use daybook_projection::{Checkpoint, Generation, ReadModel, ReplayOptions, replay};
use daybook_service::Stop;
use serde_json::{Value, json};

use crate::http::{get, get_after, get_with};
use crate::log::{PARTITIONS, place};
use crate::served::{id, joined, layout, paid_in, projection};
use crate::setting::{Setting, status};

const OWNER: u128 = 1;
/// The embedded broker forgets the oldest records of a partition beyond some ten thousand.
const FLOOD_EVENTS_MAX: u128 = 5_000;

pub(crate) fn path() -> String {
    format!("/owners/{}/deposits?limit=500", id(OWNER))
}

/// Rebuilds and publishes, as another process would.
pub(crate) async fn rebuild(setting: &Setting) -> String {
    let (kafka, data_dir) = (setting.log.kafka(), setting.data_dir());
    tokio::task::spawn_blocking(move || {
        let read_model = ReadModel::open(&data_dir).unwrap();
        let options = ReplayOptions::new(PARTITIONS, "another test".to_owned());
        let never = Stop::default();
        replay(&kafka, &read_model, projection(), &options, |_| {}, &never).unwrap().generation
    })
    .await
    .unwrap()
}

pub(crate) async fn serving(router: &Router, generation: &str) {
    status(router, generation, |status| status["generation"] == generation).await;
}

/// A client that asks again and again: whatever it has seen is there the next time as well.
async fn read_forever(router: Router, path: String, done: Arc<AtomicBool>) -> u64 {
    let (mut seen, mut deposits_seen) = (Token::default(), 0);
    for reads in 0.. {
        if done.load(Ordering::Relaxed) {
            return reads;
        }
        let answer = get(&router, &path).await;
        let token: Token = answer.header("daybook-as-of").parse().unwrap();
        for before in &seen.positions {
            let same = |at: &&TokenPosition| (&at.topic, at.partition) == (&before.topic, before.partition);
            let now = token.positions.iter().find(same);
            assert!(now.is_some_and(|now| now.position >= before.position), "{token} after {seen}");
        }
        let deposits = answer.ok()["deposits"].as_array().unwrap().len();
        assert!(deposits >= deposits_seen, "{deposits} deposits after {deposits_seen}");
        (seen, deposits_seen) = (token, deposits);
    }
    unreachable!("the loop has no end of its own")
}

/// Writes deposits, and reads each of them back by its token.
pub(crate) async fn write_forever(setting: Arc<Setting>, router: Router, done: Arc<AtomicBool>) -> usize {
    for count in 0.. {
        if done.load(Ordering::Relaxed) || count == 400 {
            return count;
        }
        let deposit = paid_in(1_000 + u128::try_from(count).unwrap(), OWNER, 10, 1);
        let writing = setting.clone();
        let token = tokio::task::spawn_blocking(move || writing.log.write(&deposit)).await.unwrap();
        let deposits = get_after(&router, &path(), &token).await.ok();
        assert_eq!(deposits["deposits"].as_array().unwrap().len(), count + 1, "its own deposit is there");
    }
    unreachable!("the loop has no end of its own")
}

/// Moves the positions of the reader's partition without pause, so that a swap always happens between two of them.
pub(crate) fn flood(setting: &Setting, done: &AtomicBool) {
    let partition = place(&paid_in(0, OWNER, 10, 1));
    let neighbour = (2..).find(|owner| place(&paid_in(0, *owner, 10, 1)) == partition).unwrap();
    for number in 0..FLOOD_EVENTS_MAX {
        if done.load(Ordering::Relaxed) {
            return;
        }
        setting.log.write(&paid_in(1_000_000 + number, neighbour, 10, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn swaps_under_constant_reads_and_writes() {
    let setting = Arc::new(Setting::new());
    let service = setting.serve().await;
    let router = service.router();
    let token = setting.log.write(&joined(OWNER));
    get_after(&router, &path(), &token).await.ok();
    let done = Arc::new(AtomicBool::new(false));
    // Short answers come often enough to fall before and after a swap; long ones show that no deposit is lost.
    let paths = [path(), path().replace("500", "1"), path().replace("500", "1")];
    let readers = paths.map(|path| tokio::spawn(read_forever(router.clone(), path, done.clone())));
    let writer = tokio::spawn(write_forever(setting.clone(), router.clone(), done.clone()));
    let flooding = tokio::task::spawn_blocking({
        let (setting, done) = (setting.clone(), done.clone());
        move || flood(&setting, &done)
    });
    for generation in ["gen-000002", "gen-000003", "gen-000004", "gen-000005", "gen-000006"] {
        assert_eq!(rebuild(&setting).await, generation);
        serving(&router, generation).await;
    }
    done.store(true, Ordering::Relaxed);
    flooding.await.unwrap();
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    assert!(writer.await.unwrap() > 0);
    let names = ReadModel::open(&setting.data_dir()).unwrap().names().unwrap();
    assert!(!names.contains(&"gen-000001".to_owned()), "old generations are gone: {names:?}");
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_across_a_swap_is_answered_from_the_new_generation() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let router = service.router();
    let joined_at = setting.log.write(&joined(OWNER));
    get_after(&router, &path(), &joined_at).await.ok();
    let deposit = paid_in(100, OWNER, 10, 1);
    let (topic, partition) = place(&deposit);
    let asking = tokio::spawn({
        let router = router.clone();
        async move { get_after(&router, &path(), &format!("{topic}/{partition}@0")).await }
    });
    let waits = |metrics: String| metrics.contains("daybook_waiting_requests 1\n").then_some(());
    crate::setting::until("a waiting request", async || waits(get(&router, "/metrics").await.text)).await;
    rebuild(&setting).await;
    serving(&router, "gen-000002").await;
    setting.log.write(&deposit);
    assert_eq!(asking.await.unwrap().ok()["deposits"][0]["deposit_id"], id(100).to_string());
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_generation_that_cannot_be_read_is_told_and_not_served() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let router = service.router();
    let read_model = ReadModel::open(&setting.data_dir()).unwrap();
    let mut layout = layout();
    layout.version += 1;
    let zero = Checkpoint::zero([("owners.events", 2)]);
    let foreign = Generation::create(&read_model.path_of("gen-000002"), &layout, &zero, "a test").unwrap();
    foreign.finish().unwrap();
    drop(foreign);
    read_model.publish("gen-000002").unwrap();
    let status = status(&router, "refused", |status| status["refused"] != Value::Null).await;
    assert!(
        status["refused"].as_str().unwrap().contains("gen-000002 is published but not served"),
        "{status}"
    );
    assert_eq!((&status["generation"], &status["state"]), (&json!("gen-000001"), &json!("following")));
    let token = setting.log.write(&joined(OWNER));
    get_after(&router, &path(), &token).await.ok();
    assert_eq!(rebuild(&setting).await, "gen-000003");
    serving(&router, "gen-000003").await;
    assert_eq!(get(&router, "/status").await.ok()["refused"], Value::Null);
    service.stop().await.unwrap();
}

/// A rebuild of a log that has lost its end must not take what clients have seen already.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_is_behind_for_ever_is_not_served() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let router = service.router();
    let token = setting.log.write(&joined(OWNER));
    get_after(&router, &path(), &token).await.ok();
    let read_model = ReadModel::open(&setting.data_dir()).unwrap();
    let topics = projection().topics.iter().map(|topic| (topic.name, 1));
    let (layout, one_partition) = (layout(), Checkpoint::zero(topics));
    let behind =
        Generation::create(&read_model.path_of("gen-000002"), &layout, &one_partition, "a test").unwrap();
    behind.finish().unwrap();
    drop(behind);
    read_model.publish("gen-000002").unwrap();
    let status = status(&router, "refused", |status| status["refused"] != Value::Null).await;
    assert_eq!(status["generation"], "gen-000001");
    let headers = [("daybook-after", token.as_str())];
    get_with(&router, &path(), &headers).await.ok();
    service.stop().await.unwrap();
}

/// It has got as far, and its rows are gone: whatever has happened to it, it is not served.
#[tokio::test(flavor = "multi_thread")]
async fn at_one_place_two_generations_say_the_same_or_the_new_one_is_not_served() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[joined(OWNER), paid_in(100, OWNER, 10, 1)]);
    let before = get_after(&service.router(), &path(), &token).await.ok();
    service.stop().await.unwrap();
    let read_model = ReadModel::open(&setting.data_dir()).unwrap();
    let layout = layout();
    let served = Generation::open(&read_model.path_of("gen-000001"), &layout, "a test").unwrap().checkpoint();
    let service = setting.serve().await;
    let router = service.router();
    let empty = Generation::create(&read_model.path_of("gen-000002"), &layout, &served, "a test").unwrap();
    empty.finish().unwrap();
    drop(empty);
    read_model.publish("gen-000002").unwrap();
    let reported = status(&router, "withdrawn", |status| status["next"]["state"] == "withdrawn").await;
    assert!(reported["refused"].as_str().unwrap().contains("one of the two is damaged"), "{reported}");
    assert_eq!(get_after(&router, &path(), &token).await.ok(), before);
    service.stop().await.unwrap();
    drop(router);
    // What was refused is not served by whoever begins with nothing, either: also if whoever refused it was killed right then.
    std::fs::write(setting.data_dir().join("CURRENT"), "gen-000002\n").unwrap();
    let service = setting.serve().await;
    let router = service.router();
    assert_eq!(get(&router, "/status").await.ok()["generation"], "gen-000001");
    assert_eq!(get_after(&router, &path(), &token).await.ok(), before);
    let token = setting.log.write(&paid_in(101, OWNER, 10, 1));
    get_after(&router, &path(), &token).await.ok();

    let accepted = Generation::create(&read_model.path_of("gen-000003"), &layout, &served, "a test").unwrap();
    accepted.proved(&layout, Some("a test says so"), false).unwrap().finish().unwrap();
    read_model.publish("gen-000003").unwrap();
    serving(&router, "gen-000003").await;
    service.stop().await.unwrap();
}

/// Under load two followers are hardly ever at one place by themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_says_something_else_is_not_served_under_load_either() {
    let setting = Arc::new(Setting::new());
    let service = setting.serve().await;
    let token = setting.log.write(&joined(OWNER));
    get_after(&service.router(), &path(), &token).await.ok();
    service.stop().await.unwrap();
    let read_model = ReadModel::open(&setting.data_dir()).unwrap();
    let layout = layout();
    let served = Generation::open(&read_model.path_of("gen-000001"), &layout, "a test").unwrap().checkpoint();
    let service = setting.serve().await;
    let router = service.router();
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write_forever(setting.clone(), router.clone(), done.clone()));
    let flooding = tokio::task::spawn_blocking({
        let (setting, done) = (setting.clone(), done.clone());
        move || flood(&setting, &done)
    });
    for name in ["gen-000002", "gen-000003", "gen-000004"] {
        let empty = Generation::create(&read_model.path_of(name), &layout, &served, "a test").unwrap();
        empty.finish().unwrap();
        drop(empty);
        read_model.publish(name).unwrap();
        let judged = status(&router, name, |status| {
            status["generation"] == name
                || status["next"]["state"] == "withdrawn" && status["next"]["generation"] == name
        });
        assert_eq!(judged.await["generation"], "gen-000001");
        assert_eq!(read_model.current().unwrap().unwrap(), "gen-000001");
    }
    done.store(true, Ordering::Relaxed);
    flooding.await.unwrap();
    assert!(writer.await.unwrap() > 0);
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_rebuilds_beside_what_is_served() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[joined(OWNER), paid_in(100, OWNER, 10, 1)]);
    let before = get_after(&service.router(), &path(), &token).await.ok();
    service.stop().await.unwrap();
    let settings = daybook_query::Settings { replay: true, ..setting.settings() };
    let service = setting.serve_with(&settings).await;
    serving(&service.router(), "gen-000002").await;
    assert_eq!(get(&service.router(), &path()).await.ok(), before);
    // It is served before the rebuild has put everything away.
    status(&service.router(), "the rebuild's end", |status| status["rebuild"].is_null()).await;
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_and_damaged_is_built_anew_at_the_start() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[joined(OWNER), paid_in(100, OWNER, 10, 1)]);
    let before = get_after(&service.router(), &path(), &token).await.ok();
    service.stop().await.unwrap();
    let rows = setting.settings().data_dir.join("gen-000001/rows");
    let note = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("snap.");
    let note = std::fs::read_dir(rows).unwrap().map(Result::unwrap).find(note).unwrap();
    std::fs::write(note.path(), [0; 100]).unwrap();
    let service = setting.serve().await;
    serving(&service.router(), "gen-000002").await;
    assert_eq!(get_after(&service.router(), &path(), &token).await.ok(), before);
    service.stop().await.unwrap();
}
