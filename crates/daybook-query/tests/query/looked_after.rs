//! Those who look after a read model that is served keep nobody from it, and it does not keep them.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use daybook_projection::verify::{VerifyReport, socket_path, verify};
use daybook_projection::{ReadModel, ReplayOptions};
use daybook_service::Stop;
use serde_json::{Value, json};

use crate::http::{get, get_after, get_with};
use crate::log::PARTITIONS;
use crate::served::{id, joined, launched, paid_in, projection};
use crate::setting::{Setting, until};
use crate::swaps::{flood, write_forever};

const OWNER: u128 = 1;
/// Differences to list.
const LIMIT: usize = 10;
/// Verifications in a row.
const VERIFICATIONS: usize = 3;

/// A connection on which something has been asked.
fn ask(setting: &Setting, path: &str, body: &Value) -> UnixStream {
    let (_open, socket) = socket_path(&setting.data_dir()).unwrap();
    let mut stream = UnixStream::connect(socket).unwrap();
    let body = body.to_string();
    let head = "content-type: application/json\r\nconnection: keep-alive";
    let request = format!("POST {path} HTTP/1.0\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn some_of(mut answer: &UnixStream) -> String {
    let mut some = [0; 1 << 16];
    let length = answer.read(&mut some).unwrap();
    String::from_utf8_lossy(&some[..length]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_asks_the_socket_keeps_d_from_moving() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let router = service.router();
    let everything = json!([[null, null]]);
    let asked = [("/hold", &Value::Null), ("/sample", &Value::Null), ("/digests", &everything)];
    let asking = asked.map(|(path, body)| ask(&setting, path, body));
    let answers = asking.each_ref().map(some_of);
    let token = setting.log.write(&joined(OWNER));
    let headers = [("daybook-after", token.as_str()), ("daybook-wait-ms", "2000")];
    get_with(&router, &format!("/owners/{}/deposits", id(OWNER)), &headers).await.ok();
    assert!(answers[0].contains("404"), "{answers:?}");
    assert!(answers[1..].iter().all(|answer| answer.contains("200 OK")), "{answers:?}");
    service.stop().await.unwrap();
    drop(asking);
}

/// Somebody has tidied up.
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_was_removed_is_made_again() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let socket = setting.data_dir().join("ADMIN");
    until("the socket", async || socket.exists().then_some(())).await;
    std::fs::remove_file(&socket).unwrap();
    // It is there a moment before anybody listens on it.
    until("the socket again", async || UnixStream::connect(&socket).ok()).await;
    assert!(some_of(&ask(&setting, "/sample", &Value::Null)).contains("200 OK"));
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_was_taken_away_is_told_while_it_is() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let (router, data_dir) = (service.router(), setting.data_dir());
    until("the socket", async || data_dir.join("ADMIN").exists().then_some(())).await;
    let away = data_dir.with_extension("away");
    let path = data_dir.display().to_string();
    let reported = async |is_gone: bool| {
        let ready = get(&router, "/health/ready").await.text;
        let status = get(&router, "/status").await;
        let gone = status.ok()["directory_gone"].as_str().is_some_and(|reported| reported.contains(&path));
        let figure = format!("daybook_directory_gone {}", u8::from(is_gone));
        let counted = get(&router, "/metrics").await.text.contains(&figure);
        (gone == is_gone && ready.contains("restart this process") == is_gone && counted).then_some(())
    };
    reported(false).await.unwrap();
    std::fs::rename(&data_dir, &away).unwrap();
    until("it to be reported", async || reported(true).await).await;
    std::fs::rename(&away, &data_dir).unwrap();
    until("it to be over", async || reported(false).await).await;
    assert!(some_of(&ask(&setting, "/sample", &Value::Null)).contains("200 OK"));
    // Nobody sees a moment without one.
    let other = data_dir.with_extension("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("SERVING"), b"").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(other.join("ADMIN")).unwrap();
    std::fs::rename(&data_dir, &away).unwrap();
    std::fs::rename(&other, &data_dir).unwrap();
    until("another one in its place to be reported", async || reported(true).await).await;
    std::fs::rename(&data_dir, &other).unwrap();
    std::fs::rename(&away, &data_dir).unwrap();
    until("it to be over again", async || reported(false).await).await;
    service.stop().await.unwrap();
}

fn verified(kafka: &daybook_kafka::Kafka, data_dir: PathBuf) -> VerifyReport {
    let read_model = ReadModel::open(&data_dir).unwrap();
    let options = ReplayOptions::new(PARTITIONS, "a verification".to_owned());
    let never = Stop::default();
    verify(kafka, &read_model, projection(), &options, LIMIT, |_| {}, &never).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_verification_beside_constant_writes_is_sound_and_keeps_no_token_waiting() {
    let setting = Arc::new(Setting::new());
    let service = setting.serve().await;
    let router = service.router();
    let token = setting.log.write_all(&[joined(OWNER), launched(10, "gold", None)]);
    get_after(&router, &format!("/owners/{}/deposits", id(OWNER)), &token).await.ok();
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write_forever(setting.clone(), router.clone(), done.clone()));
    let flooding = tokio::task::spawn_blocking({
        let (setting, done) = (setting.clone(), done.clone());
        move || flood(&setting, &done)
    });
    for _ in 0..VERIFICATIONS {
        let (kafka, data_dir) = (setting.log.kafka(), setting.data_dir());
        let report = tokio::task::spawn_blocking(move || verified(&kafka, data_dir)).await.unwrap();
        assert!(report.is_sound() && report.generation == "gen-000001", "{report:?}");
    }
    done.store(true, Ordering::Relaxed);
    flooding.await.unwrap();
    assert!(writer.await.unwrap() > 0);
    assert!(!setting.data_dir().join("verify").exists());
    service.stop().await.unwrap();
}

/// The digests of a range that is asked for again and again are soon read; whoever has left gets none.
#[tokio::test(flavor = "multi_thread")]
async fn rows_come_with_the_commit_that_they_are_as_of_and_who_leaves_asks_no_more() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let router = service.router();
    let token = setting.log.write_all(&[joined(OWNER), paid_in(100, OWNER, 10, 1)]);
    get_after(&router, &format!("/owners/{}/deposits", id(OWNER)), &token).await.ok();
    let (limit, everything) = (1_000, json!([null, null]));
    let answer = some_of(&ask(&setting, "/rows", &json!([everything, limit])));
    assert!(answer.contains("\"checkpoint\"") && answer.contains("\"more\":false"), "{answer}");
    let many: Vec<UnixStream> =
        (0..50).map(|_| ask(&setting, "/digests", &json!([everything, everything]))).collect();
    drop(many);
    for figure in ["waiting", "at_work"] {
        let line = format!("daybook_heavy_reads_{figure} 0");
        let shown = async || get(&router, "/metrics").await.text.contains(&line).then_some(());
        until(&line, shown).await;
    }
    service.stop().await.unwrap();
}
