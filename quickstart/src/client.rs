//! A small HTTP client for the shop's own interfaces: status, token and JSON body of an answer.

use std::time::Duration;

use daybook_event::headers;
pub use reqwest::Method;
use reqwest::RequestBuilder;
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
    Request { method: Method, url: String, source: reqwest::Error },
    /// Another status than the caller needs.
    #[error("{url} answered {status}: {body}")]
    Status { url: String, status: u16, body: Value },
}

/// Sends requests; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
}

/// One request on its way to be sent.
#[derive(Debug)]
pub struct Request {
    method: Method,
    url: String,
    builder: RequestBuilder,
}

impl Client {
    /// A client with its own pool of connections.
    /// Errors: Only if the system's sockets cannot be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        let http =
            reqwest::Client::builder().timeout(TIMEOUT).pool_idle_timeout(IDLE_MAX).no_proxy().build()?;
        Ok(Self { http })
    }

    /// A request of `method` to `url`.
    #[must_use]
    pub fn request(&self, method: Method, url: &str) -> Request {
        let builder = self.http.request(method.clone(), url);
        Request { method, url: url.to_owned(), builder }
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
    pub fn json(mut self, body: &Value) -> Self {
        self.builder = self.builder.json(body);
        self
    }

    /// With a JSON body that is sent as it is spelled.
    #[must_use]
    pub fn json_as_is(mut self, body: &str) -> Self {
        self.builder = self.builder.header("content-type", "application/json").body(body.to_owned());
        self
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
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
        let failed =
            |source| ClientError::Request { method: self.method.clone(), url: self.url.clone(), source };
        let response = self.builder.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let header =
            |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (token, as_of, etag) = (header(headers::TOKEN), header(headers::AS_OF), header("etag"));
        let body = response.bytes().await.map_err(failed)?;
        Ok(Answer { status, token, as_of, etag, body: json_or_text(&body) })
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

fn json_or_text(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()))
}
