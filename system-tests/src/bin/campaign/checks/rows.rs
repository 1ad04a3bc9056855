//! What D and C say in the end, against a fold of the log that knows nothing of theirs.

use std::collections::BTreeMap;

use schemas::{ProductEvent, ShopEvent, UserEvent};
use uuid::Uuid;

use super::Judged;
use super::account::Account;
use crate::evidence::{Evidence, Standing};
use crate::history::{Seen, SeenProduct};

/// D shows each user's orders as the log has them: each once, none more, in order, by its product's newest title.
pub(super) fn users(evidence: &Evidence) -> Judged {
    let account = Account::of(evidence);
    let is_user = |event: &ShopEvent| matches!(event, ShopEvent::User(_));
    let mut judged = Judged::default();
    for (user, standing) in expected_standing(evidence, is_user) {
        let is_present = standing == Standing::Present;
        let expected = if is_present { Seen::Orders(account.orders_in_the_end(user)) } else { Seen::Nothing };
        let seen = evidence.users.get(&user);
        let wrong =
            (seen != Some(&expected)).then(|| format!("D shows {seen:?} where the log says {expected:?}"));
        judged.case(wrong, &[user]);
    }
    judged
}

/// D shows each product as the log has it.
pub(super) fn products(evidence: &Evidence) -> Judged {
    let mut expected: BTreeMap<Uuid, SeenProduct> = BTreeMap::new();
    for record in &evidence.log {
        let ShopEvent::Product(event) = &record.event else { continue };
        let row =
            expected.entry(record.aggregate).or_insert(SeenProduct { title: None, discontinued: false });
        match event {
            ProductEvent::Created(now) | ProductEvent::Changed(now) => row.title = Some(now.title.clone()),
            ProductEvent::Discontinued(_) => row.discontinued = true,
        }
    }
    let mut judged = Judged::default();
    for (product, row) in expected {
        let seen = evidence.products.get(&product).and_then(Option::as_ref);
        let wrong = (seen != Some(&row)).then(|| format!("D shows {seen:?} where the log says {row:?}"));
        judged.case(wrong, &[product]);
    }
    judged
}

/// D's digest is that of a replay from zero.
pub(super) fn verified(evidence: &Evidence) -> Judged {
    let mut judged = Judged::default();
    for verified in &evidence.verified {
        judged.case((!verified.same).then(|| verified.said.clone()), &[]);
    }
    judged
}

/// C's tables are those of a replay: it knows who is there and who is gone.
pub(super) fn standing(evidence: &Evidence) -> Judged {
    let mut judged = Judged::default();
    for (id, expected) in expected_standing(evidence, |_| true) {
        let said = evidence.standing.get(&id);
        let wrong = (said != Some(&expected))
            .then(|| format!("C says {said:?} of {id} where the log says {expected:?}"));
        judged.case(wrong, &[id]);
    }
    judged
}

fn expected_standing(evidence: &Evidence, of: impl Fn(&ShopEvent) -> bool) -> BTreeMap<Uuid, Standing> {
    let mut standing = BTreeMap::new();
    for record in evidence.log.iter().filter(|record| of(&record.event)) {
        let now = match &record.event {
            ShopEvent::User(UserEvent::Deleted(_)) | ShopEvent::Product(ProductEvent::Discontinued(_)) => {
                Standing::Gone
            }
            ShopEvent::User(UserEvent::SignedUp(_)) | ShopEvent::Product(ProductEvent::Created(_)) => {
                Standing::Present
            }
            _ => continue,
        };
        standing.insert(record.aggregate, now);
    }
    standing
}
