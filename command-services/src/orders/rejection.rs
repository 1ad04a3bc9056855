//! Why a command about an order is refused, and what HTTP says then: the one place that maps this service's rejections.

use daybook_event::problem::Problem;

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
                Self::new(409, "already-placed", "Already placed", "there is an order with this id already")
            }
            OrderRejection::UserUnknown => {
                let detail = format!("there is no user with this `user_id`; {NOT_HEARD_OF}");
                Self::new(422, "user-unknown", "User unknown", detail).with("field", "user_id")
            }
            OrderRejection::UserDeleted => {
                let detail = "the user of this `user_id` has deleted the account";
                Self::new(409, "user-deleted", "User deleted", detail).with("field", "user_id")
            }
            OrderRejection::ProductUnknown => {
                let detail = format!("there is no product with this `product_id`; {NOT_HEARD_OF}");
                Self::new(422, "product-unknown", "Product unknown", detail).with("field", "product_id")
            }
            OrderRejection::ProductDiscontinued => {
                let detail = "the product of this `product_id` is no longer sold";
                Self::new(409, "product-discontinued", "Product discontinued", detail)
                    .with("field", "product_id")
            }
            OrderRejection::Unknown => {
                Self::new(404, "order-unknown", "Order unknown", "there is no order with this id")
            }
            OrderRejection::AlreadyCancelled => {
                Self::new(409, "already-cancelled", "Already cancelled", "this order was cancelled before")
            }
        }
    }
}
