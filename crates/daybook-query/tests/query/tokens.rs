//! Answers that wait for a token.

use serde_json::Value;

use crate::http::{get, get_after, get_with};
use crate::log::place;
use crate::served::{Happened, id, joined, paid_in};
use crate::setting::{Setting, until};

const OWNER: u128 = 1;

fn path() -> String {
    format!("/owners/{}/deposits", id(OWNER))
}

/// The token that the next event like this will have.
fn next_token(event: &Happened, position: u64) -> String {
    let (topic, partition) = place(event);
    format!("{topic}/{partition}@{position}")
}

/// Waits until so many requests wait for a token.
async fn waiting(router: &axum::Router, count: usize) {
    let line = format!("daybook_waiting_requests {count}\n");
    until("waiting requests", async || get(router, "/metrics").await.text.contains(&line).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_waits_until_its_token_is_projected() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let joined_at = setting.log.write(&joined(OWNER));
    // The deposit's token says nothing of the owner, who is in another topic.
    get_after(&service.router(), &path(), &joined_at).await.ok();
    let deposit = paid_in(100, OWNER, 10, 1);
    let token = next_token(&deposit, 0);
    let asking = tokio::spawn({
        let router = service.router();
        async move { get_after(&router, &path(), &token).await }
    });
    waiting(&service.router(), 1).await;
    assert!(!asking.is_finished());
    setting.log.write(&deposit);
    let answer = asking.await.unwrap().ok();
    assert_eq!(answer["deposits"][0]["fund_id"], id(10).to_string());
    waiting(&service.router(), 0).await;
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_deadline_there_is_the_position_and_no_stale_answer() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let event = joined(OWNER);
    let token = setting.log.write(&event);
    get_after(&service.router(), &path(), &token).await.ok();
    let later = next_token(&event, 7);
    let headers = [("daybook-after", later.as_str()), ("daybook-wait-ms", "30")];
    let answer = get_with(&service.router(), &path(), &headers).await;
    let problem = answer.problem(503);
    assert_eq!(problem["type"], "/problems/not-reached-yet");
    assert_eq!((&problem["asked"], &problem["current"]), (&Value::from(later), &Value::from(token)));
    assert_eq!(problem["waited_ms"], 30);
    assert_eq!(answer.header("retry-after"), "1");
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setting_bounds_the_wait() {
    let setting = Setting::new();
    let settings = daybook_query::Settings { wait_ms_max: 20, ..setting.settings() };
    let service = setting.serve_with(&settings).await;
    let token = next_token(&joined(OWNER), 0);
    let headers = [("daybook-after", token.as_str()), ("daybook-wait-ms", "3600000")];
    let problem = get_with(&service.router(), &path(), &headers).await.problem(503);
    assert_eq!((&problem["waited_ms"], &problem["current"]), (&Value::from(20), &Value::from("")));
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_no_longer_counts_as_waiting() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = next_token(&joined(OWNER), 0);
    let asking = tokio::spawn({
        let router = service.router();
        async move { get_after(&router, &path(), &token).await }
    });
    waiting(&service.router(), 1).await;
    asking.abort();
    waiting(&service.router(), 0).await;
    service.stop().await.unwrap();
}
