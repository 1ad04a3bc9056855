//! Error bodies of all HTTP interfaces: problem details as of RFC 9457.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Media type of a problem body.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// What `type` begins with: a path that every process serves.
const PATH: &str = "/problems/";
/// What it began with before.
const PATH_BEFORE: &str = "urn:daybook:problem:";
/// The members that RFC 9457 itself defines.
const MEMBERS: [&str; 5] = ["type", "title", "status", "detail", "instance"];

/// A kind of problem: what is the same of each that occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProblemType {
    /// Its stable name, such as `email-taken`.
    pub slug: &'static str,
    /// Its HTTP status.
    pub status: u16,
    /// Its name for people.
    pub title: &'static str,
    /// What it means, and what a client does then.
    pub meaning: &'static str,
}

impl ProblemType {
    /// What `type` says.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{PATH}{}", self.slug)
    }
}

/// One problem: what went wrong with one request, and what to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable identifier of the kind of problem: `/problems/` and a slug.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every problem of this kind.
    pub title: String,
    /// HTTP status, repeated for logs.
    pub status: u16,
    /// This occurrence: what was wrong, and the remedy.
    pub detail: String,
    /// Further members, such as `field`.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

impl Problem {
    /// A problem of a kind.
    pub fn of(kind: &ProblemType, detail: impl Into<String>) -> Self {
        Self::named(kind.status, kind.slug, kind.title, detail)
    }

    /// A problem that was written down with its kind, of which this program may know no more.
    pub fn named(status: u16, slug: &str, title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("{PATH}{slug}"),
            title: title.into(),
            status,
            detail: detail.into(),
            extensions: Map::new(),
        }
    }

    /// What tells it from problems of other kinds.
    #[must_use]
    pub fn slug(&self) -> &str {
        let slug = self.kind.strip_prefix(PATH).or_else(|| self.kind.strip_prefix(PATH_BEFORE));
        slug.unwrap_or(&self.kind)
    }

    /// Adds a member that a program can read, such as the name of the field. It must not be one of RFC 9457's own.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        debug_assert!(!MEMBERS.contains(&member), "member `{member}` of a problem would be there twice");
        self.extensions.insert(member.to_owned(), value.into());
        self
    }
}
