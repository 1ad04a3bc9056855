//! What every answer about a user needs.

use daybook_kafka::partition_for_key;
use daybook_projection::{Checkpoint, Generation};
use projector::users::{self, UserRow};
use uuid::Uuid;

use daybook_query::grounds::Grounds;
use daybook_query::marks::Marks;
use daybook_query::positions::Dependency;
use daybook_query::refusal::Refusal;
use daybook_query::serving::unreadable;

/// All of a user's data, and every product that the user may have ordered.
#[must_use]
pub(super) fn depends_on(checkpoint: &Checkpoint, user_id: Uuid) -> [Dependency; 3] {
    let mut text = Uuid::encode_buffer();
    let key = user_id.as_hyphenated().encode_lower(&mut text).as_bytes();
    let partition = |topic| Some(partition_for_key(key, checkpoint.partitions(topic)));
    [
        Dependency { topic: schemas::users::TOPIC, partition: partition(schemas::users::TOPIC) },
        Dependency { topic: schemas::orders::TOPIC, partition: partition(schemas::orders::TOPIC) },
        Dependency { topic: schemas::products::TOPIC, partition: None },
    ]
}

/// Marks of an answer about a user, before it is known which products it shows.
#[must_use]
pub(super) fn marks(grounds: &Grounds, user_id: Uuid) -> Marks {
    let mut marks = grounds.marks();
    for topic in [schemas::users::TOPIC, schemas::orders::TOPIC] {
        marks.depends_on(topic, |key| key == user_id);
    }
    marks
}

/// Insists that the user exists.
///
/// # Errors
/// 404 if not, or no longer.
pub(super) fn check_exists(generation: &Generation, user_id: Uuid) -> Result<(), Refusal> {
    match users::load(generation, user_id).map_err(|error| unreadable(&error))? {
        Some(UserRow::Active) => Ok(()),
        Some(UserRow::Deleted) | None => Err(Refusal::unknown("user", user_id)),
    }
}
