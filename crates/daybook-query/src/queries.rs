//! The queries of a domain, as data: which path is answered by what.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use daybook_event::Event;
use daybook_event::problem::ProblemType;
use daybook_projection::{Generation, Layout, View, describe};
use daybook_service::http::ApiError;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::Api;
use super::as_of::{DependsOn, ReadSet};
use super::errors::{unknown, unreadable};
use super::request::QueryRequest;
use super::responder::Body;

/// Paths that every query service has.
const OPERATIONS: [&str; 4] = ["/status", "/metrics", "/health/", "/problems"];

/// The queries of a domain.
#[derive(Clone, Default)]
pub struct Queries {
    pub(super) routes: Router<Arc<Api>>,
    pub(super) problems: &'static [ProblemType],
    /// Paths with their parameters left blank.
    paths: BTreeSet<String>,
    /// Views of which rows are shown.
    views: Vec<(u8, &'static str)>,
    contradiction: Option<String>,
}

impl From<Router<Arc<Api>>> for Queries {
    fn from(routes: Router<Arc<Api>>) -> Self {
        Self { routes, ..Self::default() }
    }
}

impl Queries {
    /// No query.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `GET path` answers with one row of a view, as [`View::describe`] shows it. The one segment in braces is the row's key,
    /// such as `/accounts/{account_id}`; the answer has it under that name. A row that is not there is 404.
    ///
    /// The answer keeps all that holds of every query: it waits for `Daybook-After`, names the positions that it rests on, has an
    /// `ETag`, and names keys of which events wait.
    #[must_use]
    pub fn row<V: View>(mut self, path: &'static str) -> Self
    where
        V::Event: Event,
    {
        let mut segments = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
        let (Some(id_name), None) = (segments.next(), segments.next()) else {
            return self.refuse(format!(
                "{path} names no key, or more than one: write it as /accounts/{{account_id}}"
            ));
        };
        self.views.push((V::ID, V::NAME));
        let answer = async move |State(api): State<Arc<Api>>, request: QueryRequest| {
            row::<V>(&api, &request, id_name).await
        };
        self.route(path, get(answer))
    }

    /// `path` is answered by a handler of the domain's own.
    #[must_use]
    pub fn route(mut self, path: &str, handler: MethodRouter<Arc<Api>>) -> Self {
        let blank =
            |segment: &str| if segment.starts_with('{') { "{}".to_owned() } else { segment.to_owned() };
        let blanked = path.split('/').map(blank).collect::<Vec<_>>().join("/");
        if !path.starts_with('/') || OPERATIONS.iter().any(|taken| path.starts_with(taken)) {
            return self.refuse(format!("{path} is no path, or one that every query service has"));
        }
        if !self.paths.insert(blanked) {
            return self.refuse(format!("two queries have the path {path}"));
        }
        self.routes = self.routes.route(path, handler);
        self
    }

    /// With the kinds of problems that the domain's services answer with.
    #[must_use]
    pub fn problems(self, problems: &'static [ProblemType]) -> Self {
        Self { problems, ..self }
    }

    fn refuse(mut self, contradiction: String) -> Self {
        self.contradiction.get_or_insert(contradiction);
        self
    }

    /// How they contradict themselves, or a projection of this layout, if they do.
    #[must_use]
    pub fn contradiction(&self, layout: &Layout) -> Option<String> {
        let foreign = || {
            let (_, view) = self.views.iter().find(|view| !layout.views.contains(view))?;
            Some(format!("rows of {view} are asked for, and the projection has no such view"))
        };
        self.contradiction.clone().or_else(foreign)
    }
}

/// Members in the order in which they are shown.
struct Members(Vec<(&'static str, Value)>, Value);

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let own = self.0.iter().map(|(name, value)| (*name, value));
        let is_own = |name: &str| self.0.iter().any(|(own, _)| *own == name);
        let of_row = self.1.as_object().into_iter().flatten().filter(|(name, _)| !is_own(name));
        to.collect_map(own.chain(of_row.map(|(name, value)| (name.as_str(), value))))
    }
}

/// Answers with the row whose key the path names.
async fn row<V: View>(api: &Api, request: &QueryRequest, id_name: &'static str) -> Result<Response, ApiError>
where
    V::Event: Event,
{
    let id = request.id()?;
    request.no_parameters()?;
    let topics = <V::Event as Event>::TOPICS.iter().map(|topic| topic.name);
    let depends_on = topics.map(|topic| match V::BY_RECORD_KEY {
        true => DependsOn::Key(topic, id),
        false => DependsOn::Whole(topic),
    });
    let responder = api.respond(request, &depends_on.collect::<Vec<_>>()).await?;
    responder.answer(1, move |generation, read_set| render::<V>(generation, id, id_name, read_set)).await
}

fn render<V: View>(
    generation: &Generation,
    id: Uuid,
    id_name: &'static str,
    read_set: ReadSet,
) -> Result<Body, ApiError>
where
    V::Event: Event,
{
    let row = describe::<V>(generation, id).map_err(|error| unreadable(&error))?;
    let row = row.ok_or_else(|| unknown(id_name.trim_end_matches("_id"), id))?;
    let mut members = vec![(id_name, json!(id))];
    if !row.is_object() {
        members.push((V::NAME, row.clone()));
    }
    let quarantined = read_set.quarantined();
    if !quarantined.is_empty() {
        members.push(("quarantined", json!(quarantined)));
    }
    Body::of(&Members(members, row), 1, read_set)
}
