//! The shop's read model: three views, joined when they are read.

pub mod orders;
pub mod products;
pub mod users;

use schemas::{self as events, ShopEvent};

use daybook_projection::projection::{Projection, Topic, ViewEntry};
use daybook_projection::{Generation, Layout, ReadError, View};
use uuid::Uuid;

const SHOP: Projection<ShopEvent> = Projection {
    layout_version: 3,
    topics: &[
        Topic { name: events::users::TOPIC, service: events::users::SERVICE },
        Topic { name: events::products::TOPIC, service: events::products::SERVICE },
        Topic { name: events::orders::TOPIC, service: events::orders::SERVICE },
    ],
    views: &[
        ViewEntry::of::<products::Products>(),
        ViewEntry::of::<users::Users>(),
        ViewEntry::of::<orders::Orders>(),
    ],
};

/// What the shop's read model is folded from and into.
#[must_use]
pub fn projection() -> Projection<ShopEvent> {
    SHOP
}

/// Layout of the shop's generations.
#[must_use]
pub fn layout() -> Layout {
    SHOP.layout()
}

/// One stored row of a view.
fn load<V: View>(generation: &Generation, key: Uuid) -> Result<Option<V::Row>, ReadError> {
    let bytes = generation.row(V::ID, key)?;
    bytes.map(|bytes| V::decode(&bytes).map_err(ReadError::row(V::NAME, key))).transpose()
}
