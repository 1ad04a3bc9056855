//! The shop's read model: three views, joined when they are read.

pub mod orders;
pub mod products;
pub mod users;

use daybook_projection::{Generation, Layout, Projection, ReadError, View, ViewEntry};
use schemas::ShopEvent;
use uuid::Uuid;

const SHOP: Projection<ShopEvent> = Projection::of(
    3,
    &[
        ViewEntry::of::<products::Products>(),
        ViewEntry::of::<users::Users>(),
        ViewEntry::of::<orders::Orders>(),
    ],
);

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
