//! What every answer about a user needs: which page is asked for, that the user exists, and the products on it. These are few,
//! read all the time, seldom changed; so they are kept in memory.

use std::sync::Arc;

use daybook_projection::Generation;
use daybook_query::as_of::DependsOn;
use daybook_query::as_of::ReadSet;
use daybook_query::cursor;
use daybook_query::errors::{unknown, unreadable};
use daybook_query::request::QueryRequest;
use daybook_query::responder::{Body, Responder};
use daybook_query::row_cache::{ReadAt, RowCache};
use daybook_service::http::ApiError;
use projector::products::{self, ProductRow};
use projector::users::{self, UserRow};
use serde::Serialize;
use uuid::Uuid;

use super::{ordered_products, orders};

/// A page of a user's orders, or of what the user has ordered.
#[derive(Debug, Clone, Copy)]
pub(super) struct UserPage {
    pub(super) user_id: Uuid,
    /// What the cursor says: where the page begins.
    pub(super) from: Option<u64>,
    pub(super) limit: usize,
    what: &'static str,
}

#[derive(Serialize)]
struct Shown<'p> {
    user_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    orders: Option<Vec<orders::Item<'p>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    products: Option<Vec<ordered_products::Item<'p>>>,
    next: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    quarantined: Vec<String>,
}

/// What stands on a page.
pub(super) enum Items<'p> {
    Orders(Vec<orders::Item<'p>>),
    Products(Vec<ordered_products::Item<'p>>),
}

impl UserPage {
    /// Of `GET /users/{user_id}/<what>`.
    pub(super) fn read(request: &QueryRequest, what: &'static str) -> Result<Self, ApiError> {
        let (user_id, page) = (request.id()?, request.page()?);
        let wanted = Self { user_id, from: None, limit: page.limit, what };
        let from = page.cursor.map(|text| cursor::read(&wanted.scope(), &text)).transpose()?;
        Ok(Self { from: from.map(u64::from_be_bytes), ..wanted })
    }

    /// All of the user's data, and every product that the user may have ordered.
    pub(super) fn depends_on(&self) -> [DependsOn; 3] {
        [
            DependsOn::Key(schemas::users::TOPIC, self.user_id),
            DependsOn::Key(schemas::orders::TOPIC, self.user_id),
            DependsOn::Topic(schemas::products::TOPIC),
        ]
    }

    /// 404 if there is no such user, or no longer.
    pub(super) fn check_exists(&self, generation: &Generation) -> Result<(), ApiError> {
        match users::load(generation, self.user_id).map_err(|error| unreadable(&error))? {
            Some(UserRow::Active) => Ok(()),
            Some(UserRow::Deleted) | None => Err(unknown("user", self.user_id)),
        }
    }

    /// The answer, and where the page after it begins.
    pub(super) fn body(
        &self,
        items: Items<'_>,
        next: Option<u64>,
        read_set: ReadSet,
    ) -> Result<Body, ApiError> {
        let (count, orders, products) = match items {
            Items::Orders(items) => (items.len(), Some(items), None),
            Items::Products(items) => (items.len(), None, Some(items)),
        };
        let next = next.map(|from| cursor::write(&self.scope(), &from.to_be_bytes()));
        let (user_id, quarantined) = (self.user_id, read_set.quarantined());
        Body::of(&Shown { user_id, orders, products, next, quarantined }, count, read_set)
    }

    fn scope(&self) -> String {
        format!("/users/{}/{}", self.user_id, self.what)
    }
}

/// Products of whatever is served.
pub(super) type KnownProducts = RowCache<ProductRow>;

/// Products for one answer.
#[derive(Debug, Clone)]
pub(super) struct ProductsAt {
    known: Arc<KnownProducts>,
    at: ReadAt,
}

impl ProductsAt {
    pub(super) fn of(known: Arc<KnownProducts>, responder: &Responder) -> Self {
        let at = ReadAt::new(responder.serving().number, responder.as_of(), schemas::products::TOPIC);
        Self { known, at }
    }

    /// Those that a page shows, which depends on them. One that is not yet known here has nothing but its id: its events come by
    /// another topic than the orders, and may be later.
    pub(super) fn rows(
        &self,
        generation: &Generation,
        shown: impl Iterator<Item = Uuid> + Clone,
        read_set: &mut ReadSet,
    ) -> Result<Vec<Arc<ProductRow>>, ApiError> {
        read_set.shows(schemas::products::TOPIC, shown.clone());
        read_set.depends_on(schemas::products::TOPIC, |key| shown.clone().any(|id| id == key));
        let row = |id| {
            let read = || products::load(generation, id).map(Option::unwrap_or_default);
            self.known.get(id, self.at, read).map_err(|error| unreadable(&error))
        };
        shown.map(row).collect()
    }
}
