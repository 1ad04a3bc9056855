//! Why a shopkeeper's command is refused, and what HTTP says then: the one place that maps this service's rejections.

use daybook_event::Rejection;
use schemas::problem_types as kind;

use crate::fields::InvalidField;

/// Why a shopkeeper's command is refused.
#[derive(Debug, Clone, PartialEq, Eq, Rejection)]
pub enum ProductRejection {
    /// A field breaks its rule.
    #[problem(from)]
    Field(InvalidField),
    /// A change without any field.
    #[problem(kind::NOTHING_TO_CHANGE, "name at least one of title, image, price_cents")]
    NothingToChange,
    /// The id belongs to a product already.
    #[problem(kind::ALREADY_CREATED, "there is a product with this id already")]
    AlreadyCreated,
    /// No such product was ever there.
    #[problem(kind::PRODUCT_UNKNOWN, "there is no product with this id")]
    Unknown,
    /// The product is no longer sold.
    #[problem(kind::PRODUCT_DISCONTINUED, "this product was discontinued")]
    Discontinued,
}
