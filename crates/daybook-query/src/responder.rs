//! The one answer to a query: what it rests on is taken before its rows are read, so it holds at least that; then rows, tag and
//! headers.

use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use daybook_event::headers;
use daybook_event::token::Token;
use daybook_projection::Generation;
use daybook_service::http::{ApiError, Conditions, state};
use serde::Serialize;

use super::api::Api;
use super::as_of::ReadSet;
use super::as_of::{AsOf, DependsOn};
use super::request::QueryRequest;
use super::serving::Serving;
use daybook_service::Stop;

/// Digits of a tag: 64 bits tell the answers of one address apart.
const TAG_CHARS: usize = 16;

/// About the size of one item of a list, so that its bytes need not be moved while they grow.
const ITEM_BYTES: usize = 384;

/// The bytes of an answer, and the keys that it depends on of which events wait.
#[derive(Debug, Default)]
pub struct Body {
    pub json: Vec<u8>,
    pub read_set: ReadSet,
}

impl Body {
    /// Renders `content`, a list of about `items` items, to the bytes that go out.
    /// Errors: 500; content of strings, numbers and lists cannot fail.
    pub fn of(content: &impl Serialize, items: usize, read_set: ReadSet) -> Result<Self, ApiError> {
        let mut json = Vec::with_capacity((items + 1) * ITEM_BYTES);
        match serde_json::to_writer(&mut json, content) {
            Ok(()) => Ok(Self { json, read_set }),
            Err(error) => {
                tracing::error!(%error, "an answer cannot be written as JSON");
                Err(ApiError::fault())
            }
        }
    }
}

pub struct Responder {
    serving: Arc<Serving>,
    conditions: Conditions,
    as_of: AsOf,
    depends_on: Vec<DependsOn>,
    requested: Option<Token>,
    read_set: ReadSet,
}

impl Api {
    /// Waits until what `request` asks for is there. The answer depends on all of `depends_on`; of a whole topic, the keys are
    /// named once rows have been read.
    /// Errors: 400 for a token of what is not projected; 503 past the deadline, or while nothing is served; 500 if the read
    /// model cannot be read.
    pub async fn respond(
        &self,
        request: &QueryRequest,
        depends_on: &[DependsOn],
    ) -> Result<Responder, ApiError> {
        let serving = self.serving_after(&request.after).await?;
        let as_of = AsOf::of(&serving).await?;
        let read_set = as_of.read_set(depends_on);
        let (conditions, requested) = (request.conditions.clone(), request.after.token.clone());
        Ok(Responder { serving, conditions, as_of, depends_on: depends_on.to_vec(), requested, read_set })
    }
}

impl Responder {
    pub fn serving(&self) -> &Serving {
        &self.serving
    }

    pub fn as_of(&self) -> &AsOf {
        &self.as_of
    }

    pub fn read_set(&self) -> ReadSet {
        self.read_set.clone()
    }

    /// Answers from at most about `rows` rows; see [`Serving::read`].
    /// Errors: 500 if the read model cannot be read; whatever `read` refuses.
    pub async fn answer<R>(self, rows: usize, read: R) -> Result<Response, ApiError>
    where
        R: FnOnce(&Generation, ReadSet) -> Result<Body, ApiError> + Send + 'static,
    {
        let read_set = self.read_set();
        let body = self.serving.read(rows, |generation| read(generation, read_set)).await;
        self.finish(body)
    }

    /// Answers from few rows if `few` can, which is tried first; else from any number; see [`Serving::read_many`].
    pub async fn answer_any<F, M>(self, rows: usize, few: F, many: M) -> Result<Response, ApiError>
    where
        F: FnOnce(&Generation, ReadSet) -> Result<Option<Body>, ApiError> + Send + 'static,
        M: FnOnce(&Generation, ReadSet, &Stop) -> Result<Body, ApiError> + Send + 'static,
    {
        let (read_set, again) = (self.read_set(), self.read_set());
        let body = match self.serving.read(rows, |generation| few(generation, read_set)).await {
            Ok(None) => self.serving.read_many(|generation, stop| many(generation, again, stop)).await,
            Ok(Some(body)) => Ok(body),
            Err(error) => Err(error),
        };
        self.finish(body)
    }

    fn finish(self, body: Result<Body, ApiError>) -> Result<Response, ApiError> {
        match body {
            Ok(Body { json, read_set }) => {
                let headers = self.headers(&read_set).collect();
                Ok(state(&self.conditions, &tag(&json), headers, json))
            }
            Err(error) => {
                let keys = self.read_set.quarantined();
                let error = if keys.is_empty() { error } else { error.with("quarantined", keys) };
                Err(error.with_headers(self.headers(&self.read_set)))
            }
        }
    }

    fn headers(&self, read_set: &ReadSet) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let as_of = self.as_of.header(&self.depends_on, read_set, self.requested.as_ref());
        let named = [(headers::AS_OF, as_of), (headers::QUARANTINED, read_set.header())];
        named.into_iter().filter_map(|(name, value)| Some((HeaderName::from_static(name), value?)))
    }
}

fn tag(json: &[u8]) -> String {
    let digits = blake3::hash(json).to_hex();
    digits.chars().take(TAG_CHARS).collect()
}
