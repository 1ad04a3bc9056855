//! Why a command about an order is refused, and what HTTP says then: the one place that maps this service's rejections.

use daybook_event::problem::Problem;
use schemas::problem_types as kind;

use crate::fields::InvalidField;

/// Why a command about an order is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderRejection {
    /// A field breaks its rule.
    Field(InvalidField),
    /// The id belongs to an order already.
    AlreadyPlaced,
    /// This service has not heard of the user.
    UserUnknown,
    /// The user deleted the account.
    UserDeleted,
    /// This service has not heard of the product.
    ProductUnknown,
    /// The product is no longer sold.
    ProductDiscontinued,
    /// No such order was ever there.
    Unknown,
    /// It was cancelled before.
    AlreadyCancelled,
}

impl From<InvalidField> for OrderRejection {
    fn from(invalid: InvalidField) -> Self {
        Self::Field(invalid)
    }
}

/// No key keeps these answers, see `Change::is_provisional`.
const NOT_HEARD_OF: &str = "if it was made just now, send its Daybook-Token as Daybook-After; with the same Idempotency-Key \
     this is decided anew";

impl From<OrderRejection> for Problem {
    fn from(rejection: OrderRejection) -> Self {
        match rejection {
            OrderRejection::Field(invalid) => invalid.into(),
            OrderRejection::AlreadyPlaced => {
                Self::of(&kind::ALREADY_PLACED, "there is an order with this id already")
            }
            OrderRejection::UserUnknown => {
                let detail = format!("there is no user with this `user_id`; {NOT_HEARD_OF}");
                Self::of(&kind::BUYER_UNKNOWN, detail).with("field", "user_id")
            }
            OrderRejection::UserDeleted => {
                let detail = "the user of this `user_id` has deleted the account";
                Self::of(&kind::BUYER_DELETED, detail).with("field", "user_id")
            }
            OrderRejection::ProductUnknown => {
                let detail = format!("there is no product with this `product_id`; {NOT_HEARD_OF}");
                Self::of(&kind::ORDERED_PRODUCT_UNKNOWN, detail).with("field", "product_id")
            }
            OrderRejection::ProductDiscontinued => {
                let detail = "the product of this `product_id` is no longer sold";
                Self::of(&kind::ORDERED_PRODUCT_DISCONTINUED, detail).with("field", "product_id")
            }
            OrderRejection::Unknown => Self::of(&kind::ORDER_UNKNOWN, "there is no order with this id"),
            OrderRejection::AlreadyCancelled => {
                Self::of(&kind::ALREADY_CANCELLED, "this order was cancelled before")
            }
        }
    }
}
