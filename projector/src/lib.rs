//! The shop's read model: three views, joined when they are read.

pub mod orders;
pub mod products;
pub mod users;

use daybook_projection::{Layout, Projection, ViewEntry};
use schemas::ShopEvent;

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
