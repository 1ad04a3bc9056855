//! View: the products with their details.

use schemas::products::ProductDetails;
use schemas::{ProductEvent, ShopEvent};
use serde_json::{Value, json};
use uuid::Uuid;

use daybook_projection::codec::{RowReader, put_signed, put_text};
use daybook_projection::{EventMeta, FoldError, Generation, PartStore, Parts, ReadError, RowError, View};

/// The view.
#[derive(Debug)]
pub struct Products;

/// A product.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
///
/// # Errors
/// [`ReadError`].
pub fn load(generation: &Generation, product_id: Uuid) -> Result<Option<ProductRow>, ReadError> {
    super::load::<Products>(generation, product_id)
}

/// At most `limit` products whose ids come after `after`, in the order of their ids.
///
/// # Errors
/// [`ReadError`].
pub fn list(
    generation: &Generation,
    after: Option<Uuid>,
    limit: usize,
) -> Result<Vec<(Uuid, ProductRow)>, ReadError> {
    let rows = generation.scan(Products::ID, after, limit)?;
    let decode = |bytes: &[u8], key| Products::decode(bytes).map_err(ReadError::row(Products::NAME, key));
    rows.into_iter().map(|(key, bytes)| Ok((key, decode(&bytes, key)?))).collect()
}

// What a row has, as bits of its first byte.
const TITLE: u8 = 1;
const IMAGE: u8 = 2;
const PRICE: u8 = 4;
const DISCONTINUED: u8 = 8;
const ALL: u8 = TITLE | IMAGE | PRICE | DISCONTINUED;

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

    fn put_change(change: &ProductRow, to: &mut Vec<u8>) {
        Self::encode(change, to);
    }

    fn read_change(bytes: &[u8]) -> Result<ProductRow, RowError> {
        Self::decode(bytes)
    }

    fn encode(row: &ProductRow, to: &mut Vec<u8>) {
        let bit = |has: bool, bit: u8| if has { bit } else { 0 };
        to.push(
            bit(row.title.is_some(), TITLE)
                | bit(row.image.is_some(), IMAGE)
                | bit(row.price_cents.is_some(), PRICE)
                | bit(row.discontinued, DISCONTINUED),
        );
        row.title.iter().for_each(|title| put_text(to, title));
        row.image.iter().for_each(|image| put_text(to, image));
        row.price_cents.iter().for_each(|cents| put_signed(to, *cents));
    }

    fn decode(bytes: &[u8]) -> Result<ProductRow, RowError> {
        let mut reader = RowReader::new(bytes);
        let has = reader.byte("fields")?;
        if has & !ALL != 0 {
            return Err(RowError::impossible("fields", has));
        }
        let row = ProductRow {
            title: (has & TITLE != 0).then(|| reader.text("title")).transpose()?.map(str::to_owned),
            image: (has & IMAGE != 0).then(|| reader.text("image")).transpose()?.map(str::to_owned),
            price_cents: (has & PRICE != 0).then(|| reader.signed("price_cents")).transpose()?,
            discontinued: has & DISCONTINUED != 0,
        };
        reader.finish()?;
        Ok(row)
    }

    fn heap_bytes(row: &ProductRow) -> usize {
        row.title.as_ref().map_or(0, String::capacity) + row.image.as_ref().map_or(0, String::capacity)
    }

    fn describe(row: &ProductRow, key: Uuid, _parts: &dyn PartStore) -> Result<Value, ReadError> {
        Ok(json!({
            "product_id": key,
            "title": row.title,
            "image": row.image,
            "price_cents": row.price_cents,
            "discontinued": row.discontinued,
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
