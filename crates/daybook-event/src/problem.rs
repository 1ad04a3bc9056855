//! Error bodies of all HTTP interfaces: problem details as of RFC 9457.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    pub status: u16,
    /// Its name for people.
    pub title: &'static str,
    /// What it means, and what a client does then.
    pub meaning: &'static str,
}

impl ProblemType {
    /// What `type` says.
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
    pub title: String,
    /// HTTP status, repeated for logs.
    pub status: u16,
    pub detail: String,
    /// Further members, such as `field`.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

impl Problem {
    pub fn of(kind: &ProblemType, detail: impl Into<String>) -> Self {
        Self::new(kind.status, kind.slug, kind.title, detail)
    }

    /// A problem that was written down with its kind, of which this program may know no more.
    pub fn new(status: u16, slug: &str, title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("{PATH}{slug}"),
            title: title.into(),
            status,
            detail: detail.into(),
            extensions: Map::new(),
        }
    }

    /// What distinguishes it from problems of other kinds.
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

/// Why commands are refused, each with the problem that HTTP shows: an enum that derives it.
///
/// ```
/// use daybook_event::Rejection;
/// use daybook_event::problem::Problem;
///
/// #[derive(Debug, Rejection)]
/// enum AccountRejection {
///     #[problem(404, "account-unknown", "there is no account with this id")]
///     Unknown,
///     #[problem(409, "too-little", "{asked} cents were asked for, and there are {there}", title = "Too little money", there = there)]
///     TooLittle { asked: i64, there: i64 },
/// }
///
/// let problem = Problem::from(AccountRejection::TooLittle { asked: 7, there: 5 });
/// assert_eq!((problem.status, problem.slug(), problem.title.as_str()), (409, "too-little", "Too little money"));
/// assert_eq!(problem.detail, "7 cents were asked for, and there are 5");
/// assert_eq!(problem.extensions["there"], 5);
/// assert_eq!(Problem::from(AccountRejection::Unknown).title, "Account unknown");
/// ```
///
/// `#[problem(status, slug, detail)]`: the detail is a format string, which may name the fields of its variant. The title is the
/// slug in words, unless `title = "…"` is another one; what it means is what the variant's documentation says. In place of
/// status and slug may stand a constant, a [`ProblemType`]. Whatever else has a name becomes a member.
/// `#[problem(from)]` on a variant with one field takes the problem that the field becomes, and lets `?` make the variant of it.
///
/// Refused are two variants of one kind, and a variant without a problem:
///
/// ```compile_fail
/// #[derive(daybook_event::Rejection)]
/// enum AccountRejection {
///     Unknown,
/// }
/// ```
pub trait Rejection: Into<Problem> {
    /// The kinds of all problems that are its own; those of `#[problem(from)]` are not.
    const PROBLEMS: &'static [ProblemType];
}
