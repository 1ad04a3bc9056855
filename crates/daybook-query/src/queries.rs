//! The queries of a domain, as data: which path is answered by what.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::{MethodRouter, get};
use daybook_event::Event;
use daybook_event::problem::ProblemType;
use daybook_projection::{Layout, View};

use super::api::Api;
use super::request::QueryRequest;
use super::row;

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
            row::answer::<V>(&api, &request, id_name).await
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
