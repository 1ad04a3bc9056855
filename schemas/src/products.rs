//! Events of service B: a product is created, changed, discontinued.
//!
//! Version 2 of `created` and `changed` added `price_cents`; version 1 upcasts to a product without a price.

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use daybook_event::canonical::Cursor;
use daybook_event::event_data::{DataError, EventData, read_fields, unknown_type};

/// Service B's name, the `source` of its events.
pub const SERVICE: &str = "products";
/// Its topic, without prefix.
pub const TOPIC: &str = "products.events";
/// Start of all its types' names.
pub const TYPE_PREFIX: &str = "shop.product.";

const CREATED_V1: &str = "shop.product.created.v1";
const CREATED: &str = "shop.product.created.v2";
const CHANGED_V1: &str = "shop.product.changed.v1";
const CHANGED: &str = "shop.product.changed.v2";
const DISCONTINUED: &str = "shop.product.discontinued.v1";
/// The newest version of every type.
pub const NEWEST: [&str; 3] = [CREATED, CHANGED, DISCONTINUED];

/// What happened to a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProductEvent {
    /// The product exists from now on.
    Created(ProductDetails),
    /// The product has these details from now on.
    Changed(ProductDetails),
    /// The product is no longer sold.
    Discontinued(ProductDiscontinued),
}

/// All details of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductDetails {
    /// Id of the product.
    pub product_id: Uuid,
    /// Title.
    pub title: String,
    /// File name or address of its image.
    pub image: String,
    /// Price in cents; `None` if the product has no price. Must be present, if only as null.
    #[serde(deserialize_with = "Option::deserialize")]
    pub price_cents: Option<i64>,
}

/// The product that is no longer sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductDiscontinued {
    /// Id of the product.
    pub product_id: Uuid,
}

/// Details before products had prices.
#[derive(Deserialize)]
struct ProductDetailsV1 {
    product_id: Uuid,
    title: String,
    image: String,
}

impl From<ProductDetailsV1> for ProductDetails {
    fn from(old: ProductDetailsV1) -> Self {
        Self { product_id: old.product_id, title: old.title, image: old.image, price_cents: None }
    }
}

impl ProductEvent {
    /// The product this is about.
    #[must_use]
    pub fn product_id(&self) -> Uuid {
        match self {
            Self::Created(details) | Self::Changed(details) => details.product_id,
            Self::Discontinued(discontinued) => discontinued.product_id,
        }
    }
}

impl EventData for ProductEvent {
    fn event_type(&self) -> &'static str {
        match self {
            Self::Created(_) => CREATED,
            Self::Changed(_) => CHANGED,
            Self::Discontinued(_) => DISCONTINUED,
        }
    }

    fn to_data(&self) -> serde_json::Result<Box<RawValue>> {
        match self {
            Self::Created(details) | Self::Changed(details) => to_raw_value(details),
            Self::Discontinued(discontinued) => to_raw_value(discontinued),
        }
    }

    fn from_data(event_type: &str, data: &RawValue) -> Result<Self, DataError> {
        match event_type {
            CREATED_V1 => {
                read_fields::<ProductDetailsV1>(event_type, data).map(|old| Self::Created(old.into()))
            }
            CREATED => read_fields(event_type, data).map(Self::Created),
            CHANGED_V1 => {
                read_fields::<ProductDetailsV1>(event_type, data).map(|old| Self::Changed(old.into()))
            }
            CHANGED => read_fields(event_type, data).map(Self::Changed),
            DISCONTINUED => read_fields(event_type, data).map(Self::Discontinued),
            _ => Err(unknown_type(event_type, &NEWEST)),
        }
    }

    #[inline]
    fn read_canonical(event_type: &str, data: &[u8]) -> Option<Self> {
        match event_type {
            CREATED => read_details(data).map(Self::Created),
            CHANGED => read_details(data).map(Self::Changed),
            DISCONTINUED => read_discontinued(data).map(Self::Discontinued),
            _ => None,
        }
    }
}

fn read_details(data: &[u8]) -> Option<ProductDetails> {
    let mut at = Cursor::new(data);
    let product_id = at.uuid(br#"{"product_id":""#)?;
    let title = at.text(br#"","title":""#)?;
    let image = at.text(br#"","image":""#)?;
    at.expect(br#"","price_cents":"#)?;
    let price_cents = if at.skip(b"null") { None } else { Some(at.signed(b"")?) };
    at.end(b"}")?;
    Some(ProductDetails { product_id, title: title.to_owned(), image: image.to_owned(), price_cents })
}

fn read_discontinued(data: &[u8]) -> Option<ProductDiscontinued> {
    let mut at = Cursor::new(data);
    let product_id = at.uuid(br#"{"product_id":""#)?;
    at.end(br#""}"#)?;
    Some(ProductDiscontinued { product_id })
}
