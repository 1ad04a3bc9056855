//! The kinds of problems that the shop's services answer with, beside those of Daybook itself.

use daybook_event::problem::ProblemType;

/// One constant for each row, and the table of all of them.
macro_rules! problem_types {
    ($($name:ident = $status:literal $slug:literal $title:literal, $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub const $name: ProblemType =
                ProblemType { slug: $slug, status: $status, title: $title, meaning: $meaning };
        )*

        /// All rows, in the order of the document.
        pub const PROBLEMS: &[ProblemType] = &[$($name),*];
    };
}

problem_types! {
    INVALID_FIELD = 422 "invalid-field" "Invalid field", "A field breaks a rule; the member `field` names it.";
    NOTHING_TO_CHANGE = 422 "nothing-to-change" "Nothing to change", "A change names no field.";
    EMAIL_TAKEN = 409 "email-taken" "E-mail address taken", "Another user has this e-mail address.";
    ALREADY_SIGNED_UP = 409 "already-signed-up" "Already signed up", "There is a user with this id already.";
    USER_UNKNOWN = 404 "user-unknown" "User unknown", "There is no user with this id.";
    USER_DELETED = 404 "user-deleted" "User deleted", "The account was deleted.";
    PRODUCT_UNKNOWN = 404 "product-unknown" "Product unknown", "There is no product with this id.";
    PRODUCT_DISCONTINUED = 404 "product-discontinued" "Product discontinued", "The product was discontinued.";
    ALREADY_CREATED = 409 "already-created" "Already created", "There is a product with this id already.";
    ORDER_UNKNOWN = 404 "order-unknown" "Order unknown", "There is no order with this id.";
    ALREADY_PLACED = 409 "already-placed" "Already placed", "There is an order with this id already.";
    ALREADY_CANCELLED = 409 "already-cancelled" "Already cancelled", "The order was cancelled before.";
    BUYER_UNKNOWN = 422 "buyer-unknown" "Buyer unknown",
        "The orders service has not heard of the user; send the `Daybook-Token` of the sign-up as `Daybook-After`.";
    BUYER_DELETED = 409 "buyer-deleted" "Buyer deleted", "The user has deleted the account.";
    ORDERED_PRODUCT_UNKNOWN = 422 "ordered-product-unknown" "Ordered product unknown",
        "The orders service has not heard of the product; send the `Daybook-Token` of its creation as `Daybook-After`.";
    ORDERED_PRODUCT_DISCONTINUED = 409 "ordered-product-discontinued" "Ordered product discontinued",
        "The product is no longer sold.";
}
