//! What services say is wrong, once they say it.

use std::time::Duration;

use serde_json::Value;
use system_tests::site::Site;
use system_tests::wait::DEADLINE;

/// Pause between two looks.
pub(crate) const POLL: Duration = Duration::from_millis(100);

/// What a service that is ready says is wrong with its own topic (`relay`) or those that it follows (`following`), once that
/// names all of `parts`.
pub(crate) async fn trouble(site: &Site, url: &str, with: &str, parts: &[&str]) {
    let said = |status, body: &Value| (status == 200).then(|| text(&body[with]["trouble"]));
    health_says(site, url, said, parts).await;
}

/// Waits until a service is not ready for a reason that names all of `parts`.
pub(crate) async fn not_ready(site: &Site, url: &str, parts: &[&str]) {
    let said = |status, body: &Value| (status == 503).then(|| text(&body["detail"]));
    health_says(site, url, said, parts).await;
}

async fn health_says(site: &Site, url: &str, said: impl Fn(u16, &Value) -> Option<String>, parts: &[&str]) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        let answer = site.client.get(&format!("{url}/health/ready")).send().await.expect("it answers");
        let said = said(answer.status, &answer.body);
        if said.is_some_and(|said| parts.iter().all(|part| said.contains(part))) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{url} does not say {parts:?} but {answer:?}");
        tokio::time::sleep(POLL).await;
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Asserts that a text names all of `parts`.
#[track_caller]
pub(crate) fn names(said: &Value, parts: &[&str]) {
    let text = said.as_str().unwrap_or_default();
    for part in parts {
        assert!(text.contains(part), "{part} in {said}");
    }
}
