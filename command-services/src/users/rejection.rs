//! Why a user's command is refused, and what HTTP says then: the one place that maps this service's rejections.

use daybook_event::problem::Problem;
use schemas::problem_types as kind;

use crate::fields::InvalidField;

/// Why a user's command is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserRejection {
    /// A field breaks its rule.
    Field(InvalidField),
    /// A change without any field.
    NothingToChange,
    /// Another user has this e-mail address.
    EmailTaken,
    /// The id belongs to somebody already.
    AlreadySignedUp,
    /// No such user was ever there.
    Unknown,
    /// The account was deleted.
    Deleted,
}

impl From<InvalidField> for UserRejection {
    fn from(invalid: InvalidField) -> Self {
        Self::Field(invalid)
    }
}

impl From<UserRejection> for Problem {
    fn from(rejection: UserRejection) -> Self {
        match rejection {
            UserRejection::Field(invalid) => invalid.into(),
            UserRejection::NothingToChange => {
                Self::of(&kind::NOTHING_TO_CHANGE, "name at least one of email, name, address")
            }
            UserRejection::EmailTaken => {
                let detail = "another user has this e-mail address; choose another one";
                Self::of(&kind::EMAIL_TAKEN, detail).with("field", "email")
            }
            UserRejection::AlreadySignedUp => {
                Self::of(&kind::ALREADY_SIGNED_UP, "there is a user with this id already")
            }
            UserRejection::Unknown => Self::of(&kind::USER_UNKNOWN, "there is no user with this id"),
            UserRejection::Deleted => Self::of(&kind::USER_DELETED, "this account was deleted"),
        }
    }
}
