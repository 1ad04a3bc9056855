//! Why a command about an order is refused, and what HTTP says then: the one place that maps this service's rejections.

use daybook_event::Rejection;
use schemas::problem_types as kind;

use crate::fields::InvalidField;

/// No key keeps the answers that say this, see `Change::is_provisional`.
const NOT_HEARD_OF: &str = "if it was made just now, send its Daybook-Token as Daybook-After; with the same Idempotency-Key \
     it is then decided again";

/// Why a command about an order is refused.
#[derive(Debug, Clone, PartialEq, Eq, Rejection)]
pub enum OrderRejection {
    /// A field breaks its rule.
    #[problem(from)]
    Field(InvalidField),
    /// The id belongs to an order already.
    #[problem(kind::ALREADY_PLACED, "there is an order with this id already")]
    AlreadyPlaced,
    /// This service has not heard of the user.
    #[problem(kind::BUYER_UNKNOWN, "there is no user with this `user_id`; {NOT_HEARD_OF}", field = "user_id")]
    UserUnknown,
    /// The user deleted the account.
    #[problem(kind::BUYER_DELETED, "the user of this `user_id` has deleted the account", field = "user_id")]
    UserDeleted,
    /// This service has not heard of the product.
    #[problem(
        kind::ORDERED_PRODUCT_UNKNOWN,
        "there is no product with this `product_id`; {NOT_HEARD_OF}",
        field = "product_id"
    )]
    ProductUnknown,
    /// The product is no longer sold.
    #[problem(
        kind::ORDERED_PRODUCT_DISCONTINUED,
        "the product of this `product_id` is no longer sold",
        field = "product_id"
    )]
    ProductDiscontinued,
    /// No such order was ever there.
    #[problem(kind::ORDER_UNKNOWN, "there is no order with this id")]
    Unknown,
    /// It was cancelled before.
    #[problem(kind::ALREADY_CANCELLED, "this order was cancelled before")]
    AlreadyCancelled,
}
