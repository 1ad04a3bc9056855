//! A small campaign in which everything was right.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use schemas::shop::orders::{OrderCancelled, OrderPlaced};
use schemas::shop::products::ProductDetails;
use schemas::shop::users::UserDetails;
use schemas::shop::{OrderEvent, ProductEvent, ShopEvent, UserEvent};
use schemas::token::Token;
use uuid::Uuid;

use crate::evidence::{
    DiskFault, Evidence, FailedDisk, FullDisk, Logged, Part, SeenProduct, Standing, Verified,
};
use crate::history::{After, Asked, Attempt, Command, Effect, History, Outcome, Read, Seen, SeenOrder};

pub(super) const JILL: Uuid = Uuid::from_u128(1);
const JACK: Uuid = Uuid::from_u128(2);
const PANTS: Uuid = Uuid::from_u128(3);
const ORDER: Uuid = Uuid::from_u128(4);

fn details(user_id: Uuid, email: &str, name: &str) -> UserDetails {
    let address = "1 Main Street".to_owned();
    UserDetails { user_id, email: email.to_owned(), name: name.to_owned(), address }
}

pub(super) fn command(number: u64, asked: Asked, on: Option<Uuid>, outcome: Outcome) -> Command {
    let attempt = Attempt { began_us: number * 10, ended_us: number * 10 + 5, outcome };
    Command { id: Uuid::from_u128(100 + u128::from(number)), client: 0, asked, on, attempts: vec![attempt] }
}

/// A command that took effect, and its record.
fn done(
    number: u64,
    asked: Asked,
    on: Option<Uuid>,
    at: (&str, u64),
    version: u64,
    event: ShopEvent,
) -> (Command, Logged) {
    let id = match &event {
        ShopEvent::User(event) => event.user_id(),
        ShopEvent::Product(event) => event.product_id(),
        ShopEvent::Order(event) => event.order_id(),
    };
    let (topic, position) = at;
    let mut token = Token::one(topic, 0, position);
    if matches!(event, ShopEvent::Order(_)) {
        token.positions.extend(rests_on().positions);
    }
    let command = command(number, asked, on, Outcome::Accepted { status: 201, token, id });
    let record = Logged {
        topic: topic.to_owned(),
        partition: 0,
        offset: i64::try_from(position).unwrap(),
        position,
        id: Uuid::from_u128(200 + u128::from(number)),
        correlation_id: command.id,
        aggregate: id,
        version,
        decided_us: i64::try_from(number).unwrap(),
        event,
    };
    (command, record)
}

/// Where Jill and the pants are told of.
fn rests_on() -> Token {
    "users.events/0@0,products.events/0@0".parse().unwrap()
}

/// One of each kind, and the service did well.
fn disk_faults() -> Vec<DiskFault> {
    let (service, live, query) = ("users", Some(200), Some(404));
    let reason = "the journal cannot be synced, so what is on the disk is not known".to_owned();
    vec![
        DiskFault::Full(FullDisk { service, refused: true, decided: false, live, query, went_on: true }),
        DiskFault::Failed(FailedDisk { service, part: Part::Journal, ended: Some((Some(1), reason)) }),
        DiskFault::NoIndex { service, built_again: true },
    ]
}

/// Two users, one product, one order that was taken back, and reads of it.
pub(super) fn sound() -> Evidence {
    let sign_up = |email: &str| Asked::SignUp { email: email.to_owned() };
    let pants = ProductDetails {
        product_id: PANTS,
        title: "pants".to_owned(),
        image: "pants.jpg".to_owned(),
        price_cents: None,
    };
    let placed = OrderPlaced { order_id: ORDER, user_id: JILL, product_id: PANTS, quantity: NonZeroU32::MIN };
    let cancelled = OrderCancelled { order_id: ORDER, user_id: JILL, product_id: PANTS };
    let jill = UserEvent::SignedUp(details(JILL, "jill@x.com", "Jill"));
    let renamed = UserEvent::Changed(details(JILL, "jill@y.com", "Jill"));
    // Jack takes the address that Jill has let go of.
    let jack = UserEvent::SignedUp(details(JACK, "JILL@x.com", "Jack"));
    let users = "users.events";
    let orders = "orders.events";
    let asked = Asked::Order { user: JILL, product: PANTS };
    let (commands, log): (Vec<_>, Vec<_>) = [
        done(1, sign_up("jill@x.com"), None, (users, 0), 1, ShopEvent::User(jill)),
        done(2, Asked::ChangeUser, Some(JILL), (users, 1), 2, ShopEvent::User(renamed)),
        done(3, sign_up("JILL@x.com"), None, (users, 2), 1, ShopEvent::User(jack)),
        done(
            4,
            Asked::Create,
            None,
            ("products.events", 0),
            1,
            ShopEvent::Product(ProductEvent::Created(pants)),
        ),
        done(5, asked, None, (orders, 0), 1, ShopEvent::Order(OrderEvent::Placed(placed))),
        done(
            6,
            Asked::Cancel { user: JILL },
            Some(ORDER),
            (orders, 1),
            2,
            ShopEvent::Order(OrderEvent::Cancelled(cancelled)),
        ),
    ]
    .into_iter()
    .unzip();
    let order = |cancelled| SeenOrder { id: ORDER, product: PANTS, quantity: 1, cancelled };
    let read = |began_us, position, effect, cancelled| Read {
        client: 0,
        began_us,
        ended_us: began_us + 1,
        user: JILL,
        after: Some(After { token: Token::one(orders, 0, position), effect }),
        seen: Seen::Orders(vec![order(cancelled)]),
        as_of: format!("{users}/0@2,{orders}/0@{position}").parse().unwrap(),
    };
    let reads = vec![read(56, 0, Effect::Placed(ORDER), false), read(66, 1, Effect::Cancelled(ORDER), true)];
    let pants = SeenProduct { title: Some("pants".to_owned()), discontinued: false };
    let standing = [JILL, JACK, PANTS].map(|id| (id, Standing::Present));
    Evidence {
        history: History { commands, reads, reads_unanswered: 0 },
        log,
        repeats: Vec::new(),
        superseded: 0,
        unreadable: Vec::new(),
        users: BTreeMap::from([(JILL, Seen::Orders(vec![order(true)])), (JACK, Seen::Orders(Vec::new()))]),
        products: BTreeMap::from([(PANTS, Some(pants))]),
        standing: BTreeMap::from(standing),
        verified: Verified { same: true, said: String::new() },
        unasked: Vec::new(),
        disk_faults: disk_faults(),
        indexes_built: 1,
        missing: Vec::new(),
    }
}
