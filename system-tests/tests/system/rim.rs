//! One HTTP rim: what holds for one of the four services holds for all of them.

use std::fmt::Write as _;

use daybook_event::problem::ProblemType;
use daybook_service::http::problem_types::KERNEL;
use serde_json::Value;
use system_tests::binaries::root;
use system_tests::broker::TestBroker;
use system_tests::site::Site;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What came back on a connection of its own.
struct Raw {
    status: u16,
    head: String,
    body: String,
}

impl Raw {
    fn problem(&self) -> String {
        let problem: Value =
            serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body));
        let kind = problem["type"].as_str().unwrap_or_default();
        kind.strip_prefix("/problems/").unwrap_or_else(|| panic!("{}", self.body)).to_owned()
    }

    fn has(&self, header: &str) -> bool {
        self.head.lines().any(|line| line.eq_ignore_ascii_case(header))
    }
}

/// Sends a request as it is written, but for its last lines.
async fn raw(url: &str, request: &str) -> Raw {
    let address = url.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = connection.read_to_string(&mut answer);
    tokio::time::timeout(std::time::Duration::from_secs(30), read).await.expect("an answer in time").unwrap();
    let (head, body) =
        answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{request} was answered {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Raw { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

async fn get(url: &str, path: &str, more: &str) -> Raw {
    raw(url, &format!("GET {path} HTTP/1.1\r\nhost: d\r\nconnection: close\r\n{more}\r\n")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_four_services_speak_alike() {
    let site = Site::start(TestBroker::embedded()).await;
    let (user, product) = (site.sign_up("jill@example.org").await, site.product("pants").await);
    let order = site.order(&user, &product).await;
    let services = [
        (&site.urls.users, format!("/users/{}", user.id)),
        (&site.urls.products, format!("/products/{}", product.id)),
        (&site.urls.orders, format!("/orders/{}", order.id)),
        (&site.urls.query, format!("/products/{}", product.id)),
    ];
    for (url, path) in &services {
        let after = format!("daybook-after: {}\r\n", product.token);
        let waits = if *url == &site.urls.query { after.as_str() } else { "" };
        state(url, path, waits).await;
        refusals(url, path).await;
        operators(url).await;
    }
}

async fn state(url: &str, path: &str, after: &str) {
    let shown = get(url, path, after).await;
    assert_eq!(shown.status, 200, "{path}: {}", shown.body);
    assert!(shown.has("cache-control: no-cache") && shown.has("vary: daybook-after"), "{}", shown.head);
    assert!(shown.head.contains("\ndaybook-as-of: "), "{}", shown.head);
    let tag = shown.head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
    let none = |tags: &str| format!("if-none-match: {tags}\r\n");
    for (more, status) in [
        (none(tag), 304),
        (none(&format!("W/{tag}")), 304),
        (none("*"), 304),
        (format!("if-none-match: \"x\"\r\nif-none-match: , {tag}\r\n"), 304),
        (none("\"x\""), 200),
        (format!("if-match: {tag}\r\n"), 200),
        (format!("if-match: W/{tag}\r\n"), 412),
        ("if-match: \"x\"\r\n".to_owned(), 412),
        ("transfer-encoding: chunked\r\n\r\n0\r\n".to_owned(), 200),
    ] {
        let answer = get(url, path, &more).await;
        assert_eq!(answer.status, status, "{url}{path} with {more}: {}{}", answer.head, answer.body);
        assert!(status != 304 || answer.head.contains("\ndaybook-as-of: "), "{}", answer.head);
    }
}

async fn refusals(url: &str, path: &str) {
    let (before, id) = path.rsplit_once('/').unwrap();
    for (path, more, status, problem) in [
        (format!("{before}/{}", id.replace('-', "")), "", 400, "malformed-id"),
        (format!("{before}/{}", id.to_uppercase()), "", 400, "malformed-id"),
        (format!("{before}/{}", id.replacen('0', "%30", 1)), "", 400, "malformed-id"),
        (format!("{path}?x=1"), "", 400, "malformed-parameter"),
        (format!("{path}/x/y"), "", 404, "no-such-path"),
        (path.to_owned(), "if-match: x\r\n", 400, "malformed-header"),
        (path.to_owned(), "content-length: 1\r\n\r\nx", 400, "unexpected-body"),
        (path.to_owned(), "transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", 400, "unexpected-body"),
    ] {
        let answer = get(url, &path, more).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, problem), "{url}{path} with {more}");
    }
    for request in ["GET /problems HTTP/1.1\r\n", "GET /problems HTTP/1.1\r\nhost: a\r\nhost: b\r\n"] {
        let answer = raw(url, &format!("{request}connection: close\r\n\r\n")).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "malformed-header"), "{request}");
    }
    for path in [path, "/health/live", "/metrics", "/problems"] {
        let request = format!("OPTIONS {path} HTTP/1.1\r\nhost: d\r\nconnection: close\r\n\r\n");
        let answer = raw(url, &request).await;
        assert_eq!((answer.status, answer.problem().as_str()), (405, "method-not-allowed"), "{path}");
        assert!(answer.head.contains("\nallow: "), "{}", answer.head);
    }
}

async fn operators(url: &str) {
    let live = get(url, "/health/live", "").await;
    assert_eq!((live.status, live.body.as_str()), (200, r#"{"status":"live"}"#));
    let ready: Value = serde_json::from_str(&get(url, "/health/ready", "").await.body).unwrap();
    assert_eq!(ready["status"], "ready");
    let figures = get(url, "/metrics", "").await.body;
    for begin in
        ["daybook_http_request_duration_seconds_bucket{", "daybook_http_requests_total{", "daybook_ready 1"]
    {
        assert!(figures.lines().any(|line| line.starts_with(begin)), "{begin} in {figures}");
    }
    let foreign = figures.lines().find(|line| !line.starts_with("daybook_") && !line.starts_with('#'));
    assert_eq!(foreign, None);
    let all: Vec<Value> = serde_json::from_str(&get(url, "/problems", "").await.body).unwrap();
    assert_eq!(all.len(), KERNEL.len() + schemas::PROBLEMS.len());
    for kind in all {
        let one = get(url, kind["type"].as_str().unwrap(), "").await;
        assert_eq!(serde_json::from_str::<Value>(&one.body).unwrap(), kind);
    }
}

#[test]
fn every_kind_of_problem_stands_in_the_document_with_its_status_and_meaning() {
    let document = std::fs::read_to_string(root().join("docs/protocol.md")).unwrap();
    for (whose, kinds) in [("Of Daybook itself", KERNEL), ("Of the shop", schemas::PROBLEMS)] {
        let expected = table(kinds);
        assert!(document.contains(&expected), "{whose} docs/protocol.md must have\n{expected}");
    }
    let rows = document.lines().filter(|line| line.starts_with("| `/problems/")).count();
    assert_eq!(rows, KERNEL.len() + schemas::PROBLEMS.len());
}

fn table(kinds: &[ProblemType]) -> String {
    let mut table = String::new();
    for ProblemType { slug, status, title, meaning } in kinds {
        writeln!(table, "| `/problems/{slug}` | {status} | {title} | {meaning} |").unwrap();
    }
    table
}

#[test]
fn a_kind_of_problem_has_one_slug_and_a_slug_one_status() {
    let mut slugs: Vec<_> = KERNEL.iter().chain(schemas::PROBLEMS).map(|kind| kind.slug).collect();
    let count = slugs.len();
    slugs.sort_unstable();
    slugs.dedup();
    assert_eq!(slugs.len(), count);
    assert!(KERNEL.iter().chain(schemas::PROBLEMS).all(|kind| (400..600).contains(&kind.status)));
}
