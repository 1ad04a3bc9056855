//! Why a user's command is refused, and what HTTP says then: the one place that maps this service's rejections.

use daybook_event::Rejection;

use crate::fields::InvalidField;

/// Why a user's command is refused.
#[derive(Debug, Clone, PartialEq, Eq, Rejection)]
pub enum UserRejection {
    /// A field breaks its rule.
    #[problem(from)]
    Field(InvalidField),
    /// A change without any field.
    #[problem(422, "nothing-to-change", "name at least one of email, name, address")]
    NothingToChange,
    /// Another user has this e-mail address.
    #[problem(
        409,
        "email-taken",
        "another user has this e-mail address; choose another one",
        title = "E-mail address taken",
        field = "email"
    )]
    EmailTaken,
    /// The id is another user's already.
    #[problem(409, "already-signed-up", "there is a user with this id already")]
    AlreadySignedUp,
    /// No such user was ever there.
    #[problem(404, "user-unknown", "there is no user with this id")]
    Unknown,
    /// The account was deleted.
    #[problem(404, "user-deleted", "this account was deleted")]
    Deleted,
}
