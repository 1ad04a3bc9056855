//! What every answer about a user needs.

use event_log::partition_for_key;
use projector::kernel::{Checkpoint, Generation};
use projector::shop::users::{self, UserRow};
use schemas::shop;
use uuid::Uuid;

use crate::kernel::grounds::Grounds;
use crate::kernel::marks::Marks;
use crate::kernel::positions::Dependency;
use crate::kernel::refusal::Refusal;
use crate::kernel::serving::unreadable;

/// All of a user's data, and every product that the user may have ordered.
#[must_use]
pub(super) fn depends_on(checkpoint: &Checkpoint, user_id: Uuid) -> [Dependency; 3] {
    let mut text = Uuid::encode_buffer();
    let key = user_id.as_hyphenated().encode_lower(&mut text).as_bytes();
    let partition = |topic| Some(partition_for_key(key, checkpoint.partitions(topic)));
    [
        Dependency { topic: shop::users::TOPIC, partition: partition(shop::users::TOPIC) },
        Dependency { topic: shop::orders::TOPIC, partition: partition(shop::orders::TOPIC) },
        Dependency { topic: shop::products::TOPIC, partition: None },
    ]
}

/// Marks of an answer about a user, before it is known which products it shows.
#[must_use]
pub(super) fn marks(grounds: &Grounds, user_id: Uuid) -> Marks {
    let mut marks = grounds.marks();
    for topic in [shop::users::TOPIC, shop::orders::TOPIC] {
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
