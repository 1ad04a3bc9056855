//! View: which users there are.

use schemas::{ShopEvent, UserEvent};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use daybook_projection::{EventMeta, FoldError, Generation, PartStore, Parts, ReadError, View};

#[derive(Debug)]
pub struct Users;

/// A user. Nothing that a query shows depends on name or address, so they are not copied here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserRow {
    /// The account exists.
    Active,
    /// The account is gone, and stays gone whatever comes later.
    Deleted,
}

/// One user; `None` if nothing is known.
pub fn load(generation: &Generation, user_id: Uuid) -> Result<Option<UserRow>, ReadError> {
    daybook_projection::load::<Users>(generation, user_id)
}

impl View for Users {
    type Event = ShopEvent;
    type Change = UserRow;
    type Row = UserRow;
    const ID: u8 = 2;
    const NAME: &'static str = "users";

    fn change(event: &ShopEvent) -> Option<(Uuid, UserRow)> {
        match event {
            ShopEvent::User(UserEvent::SignedUp(user) | UserEvent::Changed(user)) => {
                Some((user.user_id, UserRow::Active))
            }
            ShopEvent::User(UserEvent::Deleted(user)) => Some((user.user_id, UserRow::Deleted)),
            ShopEvent::Product(_) | ShopEvent::Order(_) => None,
        }
    }

    fn fold(
        row: Option<UserRow>,
        change: UserRow,
        _at: &EventMeta<'_>,
        _parts: &mut Parts<'_>,
    ) -> Result<Option<UserRow>, FoldError> {
        Ok(Some(if row == Some(UserRow::Deleted) { UserRow::Deleted } else { change }))
    }

    fn describe(row: &UserRow, key: Uuid, _parts: &dyn PartStore) -> Result<Value, ReadError> {
        Ok(json!({ "user_id": key, "deleted": *row == UserRow::Deleted }))
    }
}
