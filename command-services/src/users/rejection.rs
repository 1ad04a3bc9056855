//! Why a user's command is refused, and what HTTP says then: the one place that maps this service's rejections.

use daybook_event::Rejection;
use schemas::problem_types as kind;

use crate::fields::InvalidField;

/// Why a user's command is refused.
#[derive(Debug, Clone, PartialEq, Eq, Rejection)]
pub enum UserRejection {
    /// A field breaks its rule.
    #[problem(from)]
    Field(InvalidField),
    /// A change without any field.
    #[problem(kind::NOTHING_TO_CHANGE, "name at least one of email, name, address")]
    NothingToChange,
    /// Another user has this e-mail address.
    #[problem(kind::EMAIL_TAKEN, "another user has this e-mail address; choose another one", field = "email")]
    EmailTaken,
    /// The id is another user's already.
    #[problem(kind::ALREADY_SIGNED_UP, "there is a user with this id already")]
    AlreadySignedUp,
    /// No such user was ever there.
    #[problem(kind::USER_UNKNOWN, "there is no user with this id")]
    Unknown,
    /// The account was deleted.
    #[problem(kind::USER_DELETED, "this account was deleted")]
    Deleted,
}
