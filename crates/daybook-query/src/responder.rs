//! The one answer to a query: what it rests on is taken before its rows are read, so it holds at least that; then rows, tag and
//! headers.

use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use daybook_event::headers;
use daybook_projection::Generation;
use daybook_service::http::{ApiError, Conditions, state};
use serde::Serialize;

use super::affected::AffectedKeys;
use super::api::Api;
use super::as_of::{AsOf, DependsOn};
use super::heavy::Stop;
use super::request::QueryRequest;
use super::serving::Serving;

/// Digits of a tag: 64 bits tell the answers of one address apart.
const TAG_CHARS: usize = 16;

/// About the size of one item of a list, so that its bytes need not be moved while they grow.
const ITEM_BYTES: usize = 384;

/// The bytes of an answer, and the keys that it depends on of which events wait.
#[derive(Debug, Default)]
pub struct Body {
    /// The bytes that go out.
    pub json: Vec<u8>,
    /// What of it waits.
    pub affected: AffectedKeys,
}

impl Body {
    /// Renders `content`, a list of about `items` items, to the bytes that go out.
    ///
    /// # Errors
    /// 500; content of strings, numbers and lists cannot fail.
    pub fn of(content: &impl Serialize, items: usize, affected: AffectedKeys) -> Result<Self, ApiError> {
        let mut json = Vec::with_capacity((items + 1) * ITEM_BYTES);
        match serde_json::to_writer(&mut json, content) {
            Ok(()) => Ok(Self { json, affected }),
            Err(error) => {
                tracing::error!(%error, "an answer cannot be written as JSON");
                Err(ApiError::fault())
            }
        }
    }
}

/// Answers one query from what is served.
pub struct Responder {
    serving: Arc<Serving>,
    conditions: Conditions,
    as_of: AsOf,
    affected: AffectedKeys,
    header: Option<HeaderValue>,
}

impl Api {
    /// Waits until what `request` asks for is there. The answer depends on all of `depends_on`; of a whole topic, the keys are
    /// named once rows have been read.
    ///
    /// # Errors
    /// 400 for a token of what is not projected; 503 past the deadline, or while nothing is served; 500 if the read model cannot
    /// be read.
    pub async fn respond(
        &self,
        request: &QueryRequest,
        depends_on: &[DependsOn],
    ) -> Result<Responder, ApiError> {
        let serving = self.serving_after(&request.after).await?;
        let as_of = AsOf::of(&serving).await?;
        let (header, affected) = (as_of.header(depends_on), as_of.affected(depends_on));
        Ok(Responder { serving, conditions: request.conditions.clone(), as_of, affected, header })
    }
}

impl Responder {
    /// What is served.
    #[must_use]
    pub fn serving(&self) -> &Serving {
        &self.serving
    }

    /// What the answer rests on.
    #[must_use]
    pub fn as_of(&self) -> &AsOf {
        &self.as_of
    }

    /// Keys of which events wait, before rows are read.
    #[must_use]
    pub fn affected(&self) -> AffectedKeys {
        self.affected.clone()
    }

    /// Answers from at most about `rows` rows; see [`Serving::read`].
    ///
    /// # Errors
    /// 500 if the read model cannot be read; whatever `read` refuses.
    pub async fn answer<R>(self, rows: usize, read: R) -> Result<Response, ApiError>
    where
        R: FnOnce(&Generation, AffectedKeys) -> Result<Body, ApiError> + Send + 'static,
    {
        let affected = self.affected();
        let body = self.serving.read(rows, |generation| read(generation, affected)).await;
        self.finish(body)
    }

    /// Answers from few rows if `few` can, which is tried first; else from any number; see [`Serving::read_many`].
    ///
    /// # Errors
    /// As [`Responder::answer`].
    pub async fn answer_any<F, M>(self, rows: usize, few: F, many: M) -> Result<Response, ApiError>
    where
        F: FnOnce(&Generation, AffectedKeys) -> Result<Option<Body>, ApiError> + Send + 'static,
        M: FnOnce(&Generation, AffectedKeys, &Stop) -> Result<Body, ApiError> + Send + 'static,
    {
        let (affected, again) = (self.affected(), self.affected());
        let body = match self.serving.read(rows, |generation| few(generation, affected)).await {
            Ok(None) => self.serving.read_many(|generation, stop| many(generation, again, stop)).await,
            Ok(Some(body)) => Ok(body),
            Err(error) => Err(error),
        };
        self.finish(body)
    }

    fn finish(self, body: Result<Body, ApiError>) -> Result<Response, ApiError> {
        match body {
            Ok(Body { json, affected }) => {
                let headers = headers_of(self.header, &affected);
                Ok(state(&self.conditions, &tag(&json), headers.collect(), json))
            }
            Err(error) => {
                let keys = self.affected.keys();
                let error = if keys.is_empty() { error } else { error.with("quarantined", keys) };
                Err(error.with_headers(headers_of(self.header, &self.affected)))
            }
        }
    }
}

fn headers_of(
    as_of: Option<HeaderValue>,
    affected: &AffectedKeys,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let named = [(headers::AS_OF, as_of), (headers::QUARANTINED, affected.header())];
    named.into_iter().filter_map(|(name, value)| Some((HeaderName::from_static(name), value?)))
}

fn tag(json: &[u8]) -> String {
    let digits = blake3::hash(json).to_hex();
    digits.chars().take(TAG_CHARS).collect()
}
