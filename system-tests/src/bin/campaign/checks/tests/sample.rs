//! A small campaign in which everything was right.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use daybook_event::Event as _;
use daybook_event::token::Token;
use schemas::orders::{OrderCancelled, OrderPlaced};
use schemas::products::ProductDetails;
use schemas::users::UserDetails;
use schemas::{OrderEvent, ProductEvent, ShopEvent, UserEvent};
use uuid::Uuid;

use crate::evidence::{DiskFault, Evidence, FailedDisk, FullDisk, Logged, Part, Quiet, Standing, Verified};
use crate::history::{
    After, Asked, Attempt, Command, Effect, History, Outcome, Question, Read, Seen, SeenOrder, SeenProduct,
    SeenPurchase,
};

pub(super) const JILL: Uuid = Uuid::from_u128(1);
const JACK: Uuid = Uuid::from_u128(2);
const PANTS: Uuid = Uuid::from_u128(3);
const ORDER: Uuid = Uuid::from_u128(4);
/// Jack's.
const OTHER_ORDER: Uuid = Uuid::from_u128(5);
const USERS: &str = "users.events";
const PRODUCTS: &str = "products.events";
const ORDERS: &str = "orders.events";

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
        ShopEvent::User(event) => event.key(),
        ShopEvent::Product(event) => event.key(),
        ShopEvent::Order(event) => event.order_id(),
    };
    let (topic, position) = at;
    let mut token = Token::one(topic, 0, position);
    if let ShopEvent::Order(event) = &event {
        token.positions.extend(rests_on(event.key()).positions);
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

/// Where an order's user and the pants are told of.
fn rests_on(user: Uuid) -> Token {
    let user = if user == JILL { 0 } else { 2 };
    format!("{USERS}/0@{user},{PRODUCTS}/0@0").parse().unwrap()
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

/// The log, and how it was asked for: two users, a product that got another title, and two orders, one of which was taken
/// back.
fn commands_and_log() -> (Vec<Command>, Vec<Logged>) {
    let sign_up = |email: &str| Asked::SignUp { email: email.to_owned() };
    let product = |title: &str| ProductDetails {
        product_id: PANTS,
        title: title.to_owned(),
        image: "pants.jpg".to_owned(),
        price_cents: None,
    };
    let placed = |order_id, user_id| {
        let quantity = NonZeroU32::MIN;
        let placed = OrderPlaced { order_id, user_id, product_id: PANTS, quantity };
        ShopEvent::Order(OrderEvent::Placed(placed))
    };
    let cancelled = OrderCancelled { order_id: ORDER, user_id: JILL, product_id: PANTS };
    let jill = ShopEvent::User(UserEvent::SignedUp(details(JILL, "jill@x.com", "Jill")));
    let renamed = ShopEvent::User(UserEvent::Changed(details(JILL, "jill@y.com", "Jill")));
    // Jack takes the address that Jill has let go of.
    let jack = ShopEvent::User(UserEvent::SignedUp(details(JACK, "JILL@x.com", "Jack")));
    let created = ShopEvent::Product(ProductEvent::Created(product("pants")));
    let changed = ShopEvent::Product(ProductEvent::Changed(product("trousers")));
    let cancelled = ShopEvent::Order(OrderEvent::Cancelled(cancelled));
    let order = |user| Asked::Order { user, product: PANTS };
    [
        done(1, sign_up("jill@x.com"), None, (USERS, 0), 1, jill),
        done(2, Asked::ChangeUser, Some(JILL), (USERS, 1), 2, renamed),
        done(3, sign_up("JILL@x.com"), None, (USERS, 2), 1, jack),
        done(4, Asked::Create, None, (PRODUCTS, 0), 1, created),
        done(5, Asked::ChangeProduct, Some(PANTS), (PRODUCTS, 1), 2, changed),
        done(6, order(JILL), None, (ORDERS, 0), 1, placed(ORDER, JILL)),
        done(7, order(JACK), None, (ORDERS, 1), 1, placed(OTHER_ORDER, JACK)),
        done(8, Asked::Cancel { user: JILL }, Some(ORDER), (ORDERS, 2), 2, cancelled),
    ]
    .into_iter()
    .unzip()
}

fn seen_product(title: &str) -> (Uuid, SeenProduct) {
    (PANTS, SeenProduct { title: Some(title.to_owned()), discontinued: false })
}

fn seen_order(id: Uuid, cancelled: bool) -> SeenOrder {
    SeenOrder { id, product: PANTS, title: Some("trousers".to_owned()), quantity: 1, cancelled }
}

fn read(began_us: u64, question: Question, (token, effect): (Token, Effect), seen: Seen) -> Read {
    let others =
        if question.user().is_some() { format!(",{USERS}/0@2,{PRODUCTS}/0@1") } else { String::new() };
    let as_of = format!("{token}{others}").parse().unwrap();
    let after = Some(After { token, effect });
    Read { client: 0, began_us, ended_us: began_us + 1, question, after, seen, as_of }
}

/// One client's, over all routes. The first and the last one are about Jill's order, which is taken back between them.
fn reads() -> Vec<Read> {
    let product = |began_us, question, position, title: &str| {
        let after = (Token::one(PRODUCTS, 0, position), Effect::Titled(PANTS, title.to_owned()));
        read(began_us, question, after, Seen::Products(vec![seen_product(title)]))
    };
    let of_user = |began_us, question, position, effect, seen| {
        read(began_us, question, (Token::one(ORDERS, 0, position), effect), seen)
    };
    let orders = |cancelled| Seen::Orders(vec![seen_order(ORDER, cancelled)]);
    let purchases = vec![SeenPurchase { product: seen_product("trousers"), orders: 1, quantity: 1 }];
    let signed_up = (Token::one(USERS, 0, 2), Effect::SignedUp);
    let signed_up = Read {
        as_of: format!("{USERS}/0@2").parse().unwrap(),
        ..read(36, Question::Purchases(JACK), signed_up, Seen::Purchases(Vec::new()))
    };
    let (cancelled, placed) = (Effect::Cancelled(ORDER), Effect::Placed(OTHER_ORDER));
    vec![
        of_user(66, Question::Orders(JILL), 0, Effect::Placed(ORDER), orders(false)),
        signed_up,
        product(46, Question::Product(PANTS), 0, "pants"),
        product(56, Question::Products, 1, "trousers"),
        of_user(76, Question::Purchases(JACK), 1, placed, Seen::Purchases(purchases)),
        of_user(86, Question::Orders(JILL), 2, cancelled, orders(true)),
    ]
}

/// A campaign in which everything was right.
pub(super) fn sound() -> Evidence {
    let (commands, log) = commands_and_log();
    let standing = [JILL, JACK, PANTS].map(|id| (id, Standing::Present));
    let orders = |id, cancelled| Seen::Orders(vec![seen_order(id, cancelled)]);
    let (pants, trousers) = seen_product("trousers");
    Evidence {
        history: History { commands, reads: reads(), reads_unanswered: 0 },
        log,
        repeats: Vec::new(),
        superseded: 0,
        unreadable: Vec::new(),
        users: BTreeMap::from([(JILL, orders(ORDER, true)), (JACK, orders(OTHER_ORDER, false))]),
        products: BTreeMap::from([(pants, Some(trousers))]),
        standing: BTreeMap::from(standing),
        verified: vec![Verified { same: true, said: String::new() }],
        quiet: vec![Quiet { from_us: 0, to_us: 300 }],
        unasked: Vec::new(),
        disk_faults: disk_faults(),
        indexes_built: 1,
        missing: Vec::new(),
    }
}
