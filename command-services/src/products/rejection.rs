//! Why a shopkeeper's command is refused, and what HTTP says then: the one place that maps this service's rejections.

use daybook_event::problem::Problem;
use schemas::problem_types as kind;

use crate::fields::InvalidField;

/// Why a shopkeeper's command is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProductRejection {
    /// A field breaks its rule.
    Field(InvalidField),
    /// A change without any field.
    NothingToChange,
    /// The id belongs to a product already.
    AlreadyCreated,
    /// No such product was ever there.
    Unknown,
    /// The product is no longer sold.
    Discontinued,
}

impl From<InvalidField> for ProductRejection {
    fn from(invalid: InvalidField) -> Self {
        Self::Field(invalid)
    }
}

impl From<ProductRejection> for Problem {
    fn from(rejection: ProductRejection) -> Self {
        match rejection {
            ProductRejection::Field(invalid) => invalid.into(),
            ProductRejection::NothingToChange => {
                let detail = "name at least one of title, image, price_cents";
                Self::of(&kind::NOTHING_TO_CHANGE, detail)
            }
            ProductRejection::AlreadyCreated => {
                Self::of(&kind::ALREADY_CREATED, "there is a product with this id already")
            }
            ProductRejection::Unknown => Self::of(&kind::PRODUCT_UNKNOWN, "there is no product with this id"),
            ProductRejection::Discontinued => {
                Self::of(&kind::PRODUCT_DISCONTINUED, "this product was discontinued")
            }
        }
    }
}
