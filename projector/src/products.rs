//! View: the products with their details.

use schemas::products::ProductDetails;
use schemas::{ProductEvent, ShopEvent};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use daybook_projection::{EventMeta, FoldError, Generation, Parts, ReadError, View};

#[derive(Debug)]
pub struct Products;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductRow {
    /// Title; `None` if nothing but the discontinuation is known.
    pub title: Option<String>,
    /// File name or address of its image; `None` as for the title.
    pub image: Option<String>,
    /// Price in cents, if it has one.
    pub price_cents: Option<i64>,
    /// No longer sold; stays so whatever comes later.
    pub discontinued: bool,
}

/// One product; `None` if nothing is known.
pub fn load(generation: &Generation, product_id: Uuid) -> Result<Option<ProductRow>, ReadError> {
    daybook_projection::load::<Products>(generation, product_id)
}

/// At most `limit` products whose ids come after `after`, in the order of their ids.
pub fn list(
    generation: &Generation,
    after: Option<Uuid>,
    limit: usize,
) -> Result<Vec<(Uuid, ProductRow)>, ReadError> {
    let rows = generation.scan(Products::ID, after, limit)?;
    let decode = |bytes: &[u8], key| Products::decode(bytes).map_err(ReadError::row(Products::NAME, key));
    rows.into_iter().map(|(key, bytes)| Ok((key, decode(&bytes, key)?))).collect()
}

impl View for Products {
    type Event = ShopEvent;
    type Change = ProductRow;
    type Row = ProductRow;
    const ID: u8 = 1;
    const NAME: &'static str = "products";

    fn change(event: &ShopEvent) -> Option<(Uuid, ProductRow)> {
        match event {
            ShopEvent::Product(ProductEvent::Created(details) | ProductEvent::Changed(details)) => {
                Some((details.product_id, described(details)))
            }
            ShopEvent::Product(ProductEvent::Discontinued(product)) => {
                Some((product.product_id, ProductRow { discontinued: true, ..ProductRow::default() }))
            }
            ShopEvent::User(_) | ShopEvent::Order(_) => None,
        }
    }

    fn fold(
        row: Option<ProductRow>,
        change: ProductRow,
        _at: &EventMeta<'_>,
        _parts: &mut Parts<'_>,
    ) -> Result<Option<ProductRow>, FoldError> {
        let row = row.unwrap_or_default();
        Ok(Some(match change.discontinued {
            true => ProductRow { discontinued: true, ..row },
            false => ProductRow { discontinued: row.discontinued, ..change },
        }))
    }
}

fn described(details: &ProductDetails) -> ProductRow {
    ProductRow {
        title: Some(details.title.clone()),
        image: Some(details.image.clone()),
        price_cents: details.price_cents,
        discontinued: false,
    }
}
