//! Service D as it was before products had prices: the kernel and the routes of today, over a read model of another
//! layout. It is what an upgrade begins with.

use std::process::ExitCode;

use daybook_projection::projection::{Projection, ViewEntry};
use daybook_projection::{EventMeta, FoldError, Parts, View};
use projector::products::{ProductRow, Products};
use projector::{orders::Orders, users::Users};
use schemas::ShopEvent;
use uuid::Uuid;

/// Not the layout of today, nor one that ever was.
const LAYOUT_VERSION: u32 = 1_000_000;

fn main() -> ExitCode {
    daybook_query::command_line::main(query_api::DEFAULTS, before_prices(), query_api::queries())
}

fn before_prices() -> Projection<ShopEvent> {
    Projection {
        layout_version: LAYOUT_VERSION,
        views: const {
            &[ViewEntry::of::<ProductsBeforePrices>(), ViewEntry::of::<Users>(), ViewEntry::of::<Orders>()]
        },
        ..projector::projection()
    }
}

/// The products of today, but for their price.
struct ProductsBeforePrices;

impl View for ProductsBeforePrices {
    type Event = ShopEvent;
    type Change = ProductRow;
    type Row = ProductRow;
    const ID: u8 = Products::ID;
    const NAME: &'static str = Products::NAME;

    fn change(event: &ShopEvent) -> Option<(Uuid, ProductRow)> {
        let (key, change) = Products::change(event)?;
        Some((key, ProductRow { price_cents: None, ..change }))
    }

    fn fold(
        row: Option<ProductRow>,
        change: ProductRow,
        at: &EventMeta<'_>,
        parts: &mut Parts<'_>,
    ) -> Result<Option<ProductRow>, FoldError> {
        Products::fold(row, change, at, parts)
    }
}
