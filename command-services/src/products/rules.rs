//! What may happen to a product. Pure.

use daybook_event::problem::ProblemType;
use schemas::products::{ProductDetails, ProductDiscontinued, ProductEvent};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::rejection::ProductRejection;
use crate::fields::{self, InvalidField, Lines};
use daybook_command::Aggregate;

const TITLE_CHARS_MAX: usize = 500;
const IMAGE_CHARS_MAX: usize = 500;
/// The largest whole number that every reader of JSON takes exactly, 2^53 - 1.
const PRICE_CENTS_MAX: i64 = 9_007_199_254_740_991;

#[derive(Debug, Clone, Copy)]
pub struct Products;

/// What a shopkeeper may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProductCommand {
    /// Offer a product. The id is fresh.
    Create(ProductDetails),
    Change(Uuid, ProductChange),
    Discontinue(Uuid),
}

/// Details to change; the rest stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProductChange {
    pub title: Option<String>,
    pub image: Option<String>,
    /// New price; `Some(None)` takes the price away.
    pub price_cents: Option<Option<i64>>,
}

/// A product as the service knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum ProductState {
    /// It is sold.
    Offered(ProductDetails),
    /// It is no longer sold.
    Discontinued(ProductDiscontinued),
}

impl Aggregate for Products {
    const PROBLEMS: &'static [ProblemType] = schemas::PROBLEMS;
    type State = ProductState;
    type Command = ProductCommand;
    type Event = ProductEvent;
    type Rejection = ProductRejection;
    type Facts = ();

    const UNKNOWN: ProductRejection = ProductRejection::Unknown;

    fn decide(
        state: Option<&ProductState>,
        command: &ProductCommand,
        (): &(),
    ) -> Result<Vec<ProductEvent>, ProductRejection> {
        match command {
            ProductCommand::Create(details) => create(state, details),
            ProductCommand::Change(_, change) => change_details(offered(state)?, change),
            ProductCommand::Discontinue(product_id) => {
                offered(state)?;
                Ok(vec![ProductEvent::Discontinued(ProductDiscontinued { product_id: *product_id })])
            }
        }
    }

    fn evolve(_: Option<ProductState>, event: &ProductEvent) -> ProductState {
        match event {
            ProductEvent::Created(details) | ProductEvent::Changed(details) => {
                ProductState::Offered(details.clone())
            }
            ProductEvent::Discontinued(discontinued) => ProductState::Discontinued(discontinued.clone()),
        }
    }

    fn shown(state: Option<&ProductState>) -> Result<impl Serialize, ProductRejection> {
        offered(state)
    }
}

fn offered(state: Option<&ProductState>) -> Result<&ProductDetails, ProductRejection> {
    match state {
        None => Err(ProductRejection::Unknown),
        Some(ProductState::Discontinued(_)) => Err(ProductRejection::Discontinued),
        Some(ProductState::Offered(details)) => Ok(details),
    }
}

fn create(
    state: Option<&ProductState>,
    asked: &ProductDetails,
) -> Result<Vec<ProductEvent>, ProductRejection> {
    if state.is_some() {
        return Err(ProductRejection::AlreadyCreated);
    }
    let details = ProductDetails {
        product_id: asked.product_id,
        title: title(&asked.title)?,
        image: image(&asked.image)?,
        price_cents: price(asked.price_cents)?,
    };
    Ok(vec![ProductEvent::Created(details)])
}

/// Only what is asked for is judged: what an older program took may be there, and stays until it is changed.
fn change_details(
    now: &ProductDetails,
    change: &ProductChange,
) -> Result<Vec<ProductEvent>, ProductRejection> {
    if *change == ProductChange::default() {
        return Err(ProductRejection::NothingToChange);
    }
    let ProductDetails { product_id, title: title_now, image: image_now, price_cents: price_now } =
        now.clone();
    let after = ProductDetails {
        product_id,
        title: change.title.as_deref().map_or(Ok(title_now), title)?,
        image: change.image.as_deref().map_or(Ok(image_now), image)?,
        price_cents: change.price_cents.map_or(Ok(price_now), price)?,
    };
    Ok(if after == *now { Vec::new() } else { vec![ProductEvent::Changed(after)] })
}

fn title(asked: &str) -> Result<String, InvalidField> {
    fields::text("title", asked, TITLE_CHARS_MAX, Lines::One)
}

/// Where a picture is: a page that shows it must load nothing else, and run nothing.
fn image(asked: &str) -> Result<String, InvalidField> {
    let image = fields::text("image", asked, IMAGE_CHARS_MAX, Lines::One)?;
    // What stands before a colon is a scheme, unless the path has begun before.
    let scheme = image.split_once(':').filter(|(before, _)| !before.contains(['/', '?', '#']));
    let names_host = |rest: &str| {
        let host = rest.strip_prefix("//");
        host.is_some_and(|host| !host.is_empty() && !host.starts_with(['/', '?', '#']))
    };
    let is_place = match scheme {
        Some((scheme, rest)) => {
            let is_web = ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
            is_web && names_host(rest)
        }
        None => !image.starts_with("//"),
    };
    // A browser reads a backslash as a slash.
    if is_place && !image.contains('\\') {
        return Ok(image);
    }
    let rule =
        "be a relative path, such as pants.jpg, or begin with http:// or https://, and have no backslash";
    Err(InvalidField { field: "image", rule: rule.to_owned() })
}

fn price(price_cents: Option<i64>) -> Result<Option<i64>, InvalidField> {
    if price_cents.is_none_or(|cents| (0..=PRICE_CENTS_MAX).contains(&cents)) {
        return Ok(price_cents);
    }
    Err(InvalidField { field: "price_cents", rule: format!("be null or from 0 to {PRICE_CENTS_MAX}") })
}
