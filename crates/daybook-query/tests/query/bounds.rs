//! Bounds on requests, and the end of a run.

use std::time::Duration;

use axum::Router;
use daybook_query::limits::{REQUESTS_MAX, WAITING_MAX};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::http::{Answer, get, get_after};
use crate::log::place;
use crate::served::{id, joined, projection, queries};
use crate::setting::{Setting, until};

fn first_token() -> String {
    let (topic, partition) = place(&joined(1));
    format!("{topic}/{partition}@0")
}

/// As many requests as are given, all of which wait for the first event.
async fn all_wait(router: &Router, count: usize, gauge: &str) -> Vec<JoinHandle<Answer>> {
    let ask = |_| {
        let router = router.clone();
        tokio::spawn(async move { get_after(&router, "/funds", &first_token()).await })
    };
    let asking = (0..count).map(ask).collect();
    let line = format!("daybook_{gauge} {count}\n");
    until("all wait", async || get(router, "/metrics").await.text.contains(&line).then_some(())).await;
    asking
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_is_behind_keeps_a_bounded_number_waiting_and_nobody_else() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let router = service.router();
    let asking = all_wait(&router, WAITING_MAX, "waiting_requests").await;
    let refused = get_after(&router, "/funds", &first_token()).await;
    assert_eq!(refused.problem(503)["type"], "/problems/overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    get(&router, "/funds").await.ok();
    let token = setting.log.write(&joined(1));
    for answer in asking {
        answer.await.unwrap().ok();
    }
    get_after(&router, "/funds", &token).await.ok();
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_too_many_is_refused_and_health_is_still_answered() {
    let setting = Setting::new();
    setting.serve().await.stop().await.unwrap();
    let mut settings = setting.settings();
    settings.kafka.brokers = "127.0.0.1:1".to_owned();
    settings.catch_up_max = Duration::from_secs(3_600);
    let service = setting.open_with(&settings).await;
    let router = service.router();
    let asking = all_wait(&router, REQUESTS_MAX, "http_requests_at_work").await;
    let refused = get(&router, "/funds").await;
    assert_eq!(refused.problem(503)["type"], "/problems/overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(get(&router, "/health/live").await.status, 200);
    asking.iter().for_each(JoinHandle::abort);
    let quiet = "daybook_http_requests_at_work 0\n";
    until("none is left", async || get(&router, "/metrics").await.text.contains(quiet).then_some(())).await;
    service.stop().await.unwrap();
}

/// A request is waiting when the process is asked to stop: it is answered with what it waited for.
#[tokio::test(flavor = "multi_thread")]
async fn requests_at_work_are_answered_before_the_end() {
    let setting = Setting::new();
    setting.serve().await.stop().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running =
        tokio::spawn(daybook_query::run::run(setting.settings(), projection(), queries(), listener, async {
            stopped.await.unwrap()
        }));
    until("ready", async || metrics(address).await.contains("daybook_ready 1\n").then_some(())).await;
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /owners/{}/deposits HTTP/1.1\r\nhost: d\r\ndaybook-after: {}\r\ndaybook-wait-ms: 60000\r\n\r\n",
        id(1),
        first_token()
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    until("it waits", async || metrics(address).await.contains("waiting_requests 1\n").then_some(())).await;
    stop.send(()).unwrap();
    until("no new connections", async || TcpStream::connect(address).await.err()).await;
    assert!(!running.is_finished());
    setting.log.write(&joined(1));
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    running.await.unwrap().unwrap();
}

async fn metrics(address: std::net::SocketAddr) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(b"GET /metrics HTTP/1.1\r\nhost: d\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(60), connection.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    answer
}
