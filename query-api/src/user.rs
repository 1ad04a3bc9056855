//! What every answer about a user needs.

use daybook_projection::Generation;
use daybook_query::as_of::DependsOn;
use daybook_query::errors::{unknown, unreadable};
use daybook_service::http::ApiError;
use projector::users::{self, UserRow};
use uuid::Uuid;

/// All of a user's data, and every product that the user may have ordered.
#[must_use]
pub(super) fn depends_on(user_id: Uuid) -> [DependsOn; 3] {
    [
        DependsOn::Key(schemas::users::TOPIC, user_id),
        DependsOn::Key(schemas::orders::TOPIC, user_id),
        DependsOn::Topic(schemas::products::TOPIC),
    ]
}

/// Insists that the user exists.
///
/// # Errors
/// 404 if not, or no longer.
pub(super) fn check_exists(generation: &Generation, user_id: Uuid) -> Result<(), ApiError> {
    match users::load(generation, user_id).map_err(|error| unreadable(&error))? {
        Some(UserRow::Active) => Ok(()),
        Some(UserRow::Deleted) | None => Err(unknown("user", user_id)),
    }
}
