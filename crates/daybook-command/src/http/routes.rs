//! The routes of a command service, as data: which method and path give which command.

use std::any::type_name;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, get, on};
use daybook_service::http::{ApiError, Body, path_id};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::aggregate::Aggregate;
use crate::http::command::command;
use crate::http::{guarded, show};
use crate::service::Service;

type Make<A> = Box<dyn Fn(Uuid, &Body) -> Result<<A as Aggregate>::Command, ApiError> + Send + Sync>;
type Shared<A> = Arc<Service<A>>;

/// What clients may send to a service with aggregates of one kind.
///
/// Each aggregate is shown at its own path; whatever else there is, a route says.
pub struct Routes<A: Aggregate> {
    resource: &'static str,
    id_name: &'static str,
    routes: Vec<Arc<Route<A>>>,
}

pub struct Route<A: Aggregate> {
    pub method: Method,
    /// Path of the request, with the name of the id in braces.
    pub path: String,
    /// Rust's name of what its body is read as; none if it takes none.
    pub body: Option<&'static str>,
    /// Whether the command is about an aggregate that it makes: the service gives it its id.
    pub is_new: bool,
    make: Make<A>,
}

// Derived, it would ask the same of `A`.
impl<A: Aggregate> Clone for Routes<A> {
    fn clone(&self) -> Self {
        Self { resource: self.resource, id_name: self.id_name, routes: self.routes.clone() }
    }
}

impl<A: Aggregate> Routes<A> {
    /// Shows aggregates below the path `resource`, such as `/products`; `id_name` is what clients call their id.
    #[must_use]
    pub fn of(resource: &'static str, id_name: &'static str) -> Self {
        Self { resource, id_name, routes: Vec::new() }
    }

    /// `POST /products` makes an aggregate: `make` gets its new id, and the body.
    #[must_use]
    pub fn create<B: DeserializeOwned>(
        self,
        make: impl Fn(Uuid, B) -> A::Command + Send + Sync + 'static,
    ) -> Self {
        self.with(Method::POST, "", true, make)
    }

    /// `PATCH /products/{id}` changes one.
    #[must_use]
    pub fn change<B: DeserializeOwned>(
        self,
        make: impl Fn(Uuid, B) -> A::Command + Send + Sync + 'static,
    ) -> Self {
        self.with(Method::PATCH, "", false, make)
    }

    /// `POST /products/{id}/{action}` does something to one.
    #[must_use]
    pub fn action<B: DeserializeOwned>(
        self,
        action: &str,
        make: impl Fn(Uuid, B) -> A::Command + Send + Sync + 'static,
    ) -> Self {
        self.with(Method::POST, &format!("/{action}"), false, make)
    }

    /// `DELETE /products/{id}` ends one; takes no body.
    #[must_use]
    pub fn delete(mut self, make: impl Fn(Uuid) -> A::Command + Send + Sync + 'static) -> Self {
        let path = self.path("");
        let make: Make<A> = Box::new(move |id, _| Ok(make(id)));
        self.routes.push(Arc::new(Route { method: Method::DELETE, path, body: None, is_new: false, make }));
        self
    }

    fn with<B: DeserializeOwned>(
        mut self,
        method: Method,
        below: &str,
        is_new: bool,
        make: impl Fn(Uuid, B) -> A::Command + Send + Sync + 'static,
    ) -> Self {
        let path = if is_new { self.resource.to_owned() } else { self.path(below) };
        let make: Make<A> = Box::new(move |id, body| Ok(make(id, body.parse()?)));
        self.routes.push(Arc::new(Route { method, path, body: Some(type_name::<B>()), is_new, make }));
        self
    }

    fn path(&self, below: &str) -> String {
        format!("{}/{{{}}}{below}", self.resource, self.id_name)
    }

    /// The path below which aggregates are shown.
    #[must_use]
    pub fn resource(&self) -> &'static str {
        self.resource
    }

    /// All routes, but for that which shows an aggregate.
    pub fn iter(&self) -> impl Iterator<Item = &Route<A>> {
        self.routes.iter().map(|route| &**route)
    }

    /// The first route that says the same as one before it; none if all say something else.
    pub(crate) fn repeated(&self) -> Option<String> {
        let is_there = |(index, route): &(usize, &Arc<Route<A>>)| {
            self.routes[..*index]
                .iter()
                .any(|other| (&other.method, &other.path) == (&route.method, &route.path))
        };
        let (_, route) = self.routes.iter().enumerate().find(is_there)?;
        Some(format!("{} {}", route.method, route.path))
    }

    /// A router with all routes and what every service has beside them. Of two routes with one method and path the first
    /// counts; [`crate::run`] refuses them.
    pub fn router(self, service: Shared<A>) -> Router {
        self.router_with(Router::new(), service)
    }

    /// The same, with routes of other kinds.
    pub(crate) fn router_with(self, others: Router<Shared<A>>, service: Shared<A>) -> Router {
        let shown = async |State(service): State<Shared<A>>, request: Request| show(&service, request).await;
        let mut router = others.route(&self.path(""), get(shown));
        let mut known: Vec<(Method, String)> = Vec::new();
        for route in self.routes {
            let place = (route.method.clone(), route.path.clone());
            if !known.contains(&place) {
                router = router.route(&route.path.clone(), handler(route));
                known.push(place);
            }
        }
        guarded(router, service)
    }
}

fn handler<A: Aggregate>(route: Arc<Route<A>>) -> MethodRouter<Shared<A>> {
    // A route has one of three methods.
    let method = MethodFilter::try_from(route.method.clone()).unwrap_or(MethodFilter::POST);
    let route = Arc::new(route);
    on(method, move |State(service): State<Shared<A>>, request: Request| {
        let route = Arc::clone(&route);
        async move { answer(&service, &route, request).await }
    })
}

async fn answer<A: Aggregate>(service: &Service<A>, route: &Route<A>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let id = if route.is_new { Ok(service.ambient.new_id()) } else { path_id(&parts) };
    match id {
        Ok(id) => command(service, &parts, body, id, route.is_new, |body| (route.make)(id, body)).await,
        Err(error) => error.into_response(),
    }
}
