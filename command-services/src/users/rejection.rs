//! Why a user's command is refused, and what HTTP says then: the one place that maps this service's rejections.

use daybook_event::problem::Problem;

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
            UserRejection::NothingToChange => Self::new(
                422,
                "nothing-to-change",
                "Nothing to change",
                "name at least one of email, name, address",
            ),
            UserRejection::EmailTaken => {
                let detail = "another user has this e-mail address; choose another one";
                Self::new(409, "email-taken", "E-mail address taken", detail).with("field", "email")
            }
            UserRejection::AlreadySignedUp => Self::new(
                409,
                "already-signed-up",
                "Already signed up",
                "there is a user with this id already",
            ),
            UserRejection::Unknown => {
                Self::new(404, "user-unknown", "User unknown", "there is no user with this id")
            }
            UserRejection::Deleted => {
                Self::new(404, "user-deleted", "User deleted", "this account was deleted")
            }
        }
    }
}
