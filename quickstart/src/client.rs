//! A small HTTP client for the shop's own interfaces: status, token and JSON body of an answer.

use std::error::Error;
use std::io;
use std::time::Duration;

use daybook_event::headers;
use http_body_util::{BodyExt as _, Full};
pub use hyper::Method;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Builder;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;

/// Longest wait for one answer: longer than any wait that a service grants.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A connection that was idle for longer is not used again. Well below the 10 s after which a service closes one: a request that
/// meets the closing is lost, and nobody knows whether it was carried out.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// What a service answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// `Daybook-Token`, if the answer carries one.
    pub token: Option<String>,
    /// `Daybook-As-Of`, if the answer carries one.
    pub as_of: Option<String>,
    /// `ETag`, if the answer carries one: a command service puts the version of what it shows there.
    pub etag: Option<String>,
    /// The body as JSON; null if it is empty, a string if it is plain text.
    pub body: Value,
}

/// Why there is no answer, or not the one that is needed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The request did not get through.
    #[error("{method} {url} got no answer")]
    Request { method: Method, url: String, source: Box<dyn Error + Send + Sync> },
    /// Another status than the caller needs.
    #[error("{url} answered {status}: {body}")]
    Status { url: String, status: u16, body: Value },
}

/// Sends requests; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>,
}

/// One request on its way to be sent.
#[derive(Debug)]
pub struct Request {
    client: Client,
    method: Method,
    url: String,
    head: Builder,
    body: Full<Bytes>,
}

impl Default for Client {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { http }
    }
}

impl Client {
    /// A client with its own pool of connections.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A request of `method` to `url`.
    #[must_use]
    pub fn request(&self, method: Method, url: &str) -> Request {
        let head = hyper::Request::builder().method(method.clone()).uri(url);
        Request { client: self.clone(), method, url: url.to_owned(), head, body: Full::default() }
    }

    #[must_use]
    pub fn get(&self, url: &str) -> Request {
        self.request(Method::GET, url)
    }

    /// `POST url` with a JSON body.
    #[must_use]
    pub fn post(&self, url: &str, body: &Value) -> Request {
        self.request(Method::POST, url).json(body)
    }
}

impl Request {
    /// With a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.json_as_is(&body.to_string())
    }

    /// With a JSON body that is sent as it is spelled.
    #[must_use]
    pub fn json_as_is(mut self, body: &str) -> Self {
        self.body = Full::from(body.to_owned());
        self.header(CONTENT_TYPE.as_str(), "application/json")
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head = self.head.header(name, value);
        self
    }

    /// Answered only once `token`'s positions are there; an empty token asks for nothing.
    #[must_use]
    pub fn after(self, token: &str) -> Self {
        if token.is_empty() { self } else { self.header(headers::AFTER, token) }
    }

    /// Sends it and reads the whole answer, whatever its status.
    /// Errors: [`ClientError::Request`] if there is no answer.
    pub async fn send(self) -> Result<Answer, ClientError> {
        let Self { client, method, url, head, body } = self;
        let answer = tokio::time::timeout(TIMEOUT, answer(&client, head, body)).await;
        answer
            .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
            .map_err(|source| ClientError::Request { method, url, source })
    }

    /// Sends it and insists on a 2xx status.
    /// Errors: As [`Request::send`], and [`ClientError::Status`] with the body.
    pub async fn send_ok(self) -> Result<Answer, ClientError> {
        let url = self.url.clone();
        let answer = self.send().await?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        Err(ClientError::Status { url, status: answer.status, body: answer.body })
    }
}

async fn answer(
    client: &Client,
    head: Builder,
    body: Full<Bytes>,
) -> Result<Answer, Box<dyn Error + Send + Sync>> {
    let (head, body) = client.http.request(head.body(body)?).await?.into_parts();
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (token, as_of, etag) = (header(headers::TOKEN), header(headers::AS_OF), header("etag"));
    let body = json_or_text(&body.collect().await?.to_bytes());
    Ok(Answer { status: head.status.as_u16(), token, as_of, etag, body })
}

fn json_or_text(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()))
}
