//! What D and C say in the end, against a fold of the log that knows nothing of theirs.

use std::collections::BTreeMap;

use schemas::shop::{OrderEvent, ProductEvent, ShopEvent, UserEvent};
use uuid::Uuid;

use super::Judged;
use crate::evidence::{Evidence, SeenProduct, Standing};
use crate::history::{Seen, SeenOrder};

/// D shows each user's orders as the log has them: each once, none more, in order.
pub(super) fn users(evidence: &Evidence) -> Judged {
    let mut orders = orders_by_user(evidence);
    let is_user = |event: &ShopEvent| matches!(event, ShopEvent::User(_));
    let mut judged = Judged::default();
    for (user, standing) in expected_standing(evidence, is_user) {
        let orders = orders.remove(&user).unwrap_or_default();
        let expected = if standing == Standing::Present { Seen::Orders(orders) } else { Seen::NoUser };
        let seen = evidence.users.get(&user);
        let wrong =
            (seen != Some(&expected)).then(|| format!("D shows {seen:?} where the log says {expected:?}"));
        judged.case(wrong, &[user]);
    }
    judged
}

fn orders_by_user(evidence: &Evidence) -> BTreeMap<Uuid, Vec<SeenOrder>> {
    let mut orders: BTreeMap<Uuid, Vec<SeenOrder>> = BTreeMap::new();
    for record in &evidence.log {
        let ShopEvent::Order(event) = &record.event else { continue };
        let of_user = orders.entry(event.user_id()).or_default();
        match event {
            OrderEvent::Placed(placed) => of_user.push(SeenOrder {
                id: placed.order_id,
                product: placed.product_id,
                quantity: placed.quantity.get(),
                cancelled: false,
            }),
            OrderEvent::Cancelled(cancelled) => {
                of_user
                    .iter_mut()
                    .filter(|order| order.id == cancelled.order_id)
                    .for_each(|order| order.cancelled = true);
            }
        }
    }
    orders
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
    judged.case((!evidence.verified.same).then(|| evidence.verified.said.clone()), &[]);
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
