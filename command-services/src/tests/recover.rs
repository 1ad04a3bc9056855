//! `--recover` of every service from its topic alone, while another service takes commands; the stores are compared, key
//! by key, with what they were while they lived on.
//! With the shop, since it is of all of its services side by side.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use daybook_kafka::Kafka;
use schemas::products::ProductDetails;
use schemas::users::UserDetails;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::orders::{OrderCommand, Orders, PlaceOrder};
use crate::products::{ProductChange, ProductCommand, Products};
use crate::testing::{TestService, broker, eventually, execute, keeps_moving};
use crate::users::{UserChange, UserCommand, Users};
use daybook_command::{Aggregate, Service};

/// Commands in flight: two groups of the committer.
const CLIENTS: usize = 512;
/// Events that one life of each kind makes.
const USER_EVENTS: usize = 5;
const PRODUCT_EVENTS: usize = 3;
/// Events of each service on a real Kafka, unless `DAYBOOK_TEST_EVENTS` says otherwise: more than a service keeps of what it
/// has sent.
const EVENTS: usize = 100_000;

#[tokio::test(flavor = "multi_thread")]
async fn every_store_is_rebuilt_as_the_ones_that_lived_on() {
    let broker = broker();
    all(broker.kafka(""), 2_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs DAYBOOK_TEST_BROKERS"]
async fn every_store_is_rebuilt_from_a_real_kafka() {
    let brokers = std::env::var("DAYBOOK_TEST_BROKERS").unwrap();
    let events = std::env::var("DAYBOOK_TEST_EVENTS").map_or(EVENTS, |events| events.parse().unwrap());
    let topic_prefix = format!("recover-{}-", Uuid::now_v7().simple());
    all(Kafka { brokers, options: Vec::new(), topic_prefix, embedded: false }, events).await;
}

/// Everything that a store has besides its outbox and its idempotency keys.
type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn rows<A: Aggregate>(of: &TestService<A>) -> Rows {
    [b'A', b'U', b'C', b'R'].into_iter().flat_map(|kind| of.rows(kind)).collect()
}

#[track_caller]
fn assert_same(what: &str, lived_on: &Rows, rebuilt: &Rows) {
    let differs = |key: &&Vec<u8>| lived_on.get(*key) != rebuilt.get(*key);
    let differing: Vec<_> = lived_on.keys().chain(rebuilt.keys()).filter(differs).take(5).collect();
    assert!(differing.is_empty(), "{what}: some rows that differ: {differing:?}");
}

async fn all(kafka: Kafka, events: usize) {
    let mut users = TestService::start(kafka.clone(), crate::testing::users_router);
    let mut products = TestService::start(kafka.clone(), crate::testing::products_router);
    let mut orders = TestService::start(kafka, crate::testing::orders_router);
    let user_ids = live(&users, events / USER_EVENTS, live_user).await;
    let product_ids = Arc::new(live(&products, events / PRODUCT_EVENTS, live_product).await);
    followed(&orders, &users, &products);
    let known = Arc::new((user_ids, Arc::clone(&product_ids)));
    let order = move |service, number| live_order(service, Arc::clone(&known), number);
    live(&orders, events * 2 / 3, order).await;

    users.relayed();
    let lived_on = rows(&users);
    assert!(lived_on.len() > events / 2, "{} rows", lived_on.len());
    under_traffic(&products, create, || recover(&mut users)).await;
    assert_same("users", &lived_on, &rows(&users));

    products.relayed();
    let lived_on = rows(&products);
    under_traffic(&users, sign_up, || recover(&mut products)).await;
    assert_same("products", &lived_on, &rows(&products));

    orders.relayed();
    followed(&orders, &users, &products);
    let lived_on = rows(&orders);
    let offered = Arc::clone(&product_ids);
    let change = move |number: usize| {
        let product_id = offered[number % offered.len()];
        (product_id, change_price(product_id, number))
    };
    under_traffic(&products, change, || recover(&mut orders)).await;
    followed(&orders, &users, &products);
    assert_same("orders", &lived_on, &rows(&orders));
}

fn recover<A: Aggregate>(service: &mut TestService<A>) {
    service.restart(|settings| settings.recover = true).unwrap();
}

/// Waits until C has followed everything; its checkpoints name then what A's and B's counters name.
fn followed(orders: &TestService<Orders>, users: &TestService<Users>, products: &TestService<Products>) {
    let counters = [users.rows(b'C'), products.rows(b'C')].concat();
    let counters: Vec<_> = counters.into_iter().map(|(_, counter)| counter).collect();
    // A checkpoint is an offset, then as a counter is, and then an epoch.
    let checkpoints = || orders.rows(b'F').iter().map(|(_, row)| row[8..32].to_vec()).collect::<Vec<_>>();
    keeps_moving("C's following", checkpoints, |checkpoints| *checkpoints == counters);
}

/// Leads `count` lives, many at a time; what came of each.
async fn live<A, F, L>(service: &TestService<A>, count: usize, life: L) -> Vec<Uuid>
where
    A: Aggregate,
    F: Future<Output = Option<Uuid>> + Send + 'static,
    L: Fn(Arc<Service<A>>, usize) -> F + Clone + Send + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (service, next, life) = (Arc::clone(service.service()), Arc::clone(&next), life.clone());
        clients.spawn(async move {
            let mut ids = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return ids;
                }
                ids.extend(life(Arc::clone(&service), number).await);
            }
        });
    }
    clients.join_all().await.concat()
}

fn details(number: usize, label: &str) -> UserDetails {
    let email = format!("{label}-{number}@example.org");
    UserDetails {
        user_id: Uuid::now_v7(),
        email,
        name: format!("User {number}"),
        address: "1 Row".to_owned(),
    }
}

/// Two users: the second signs up with the address that the first has given up. Five events.
async fn live_user(service: Arc<Service<Users>>, number: usize) -> Option<Uuid> {
    let (first, second) = (details(number, "user"), details(number, "user"));
    let (user_id, other) = (first.user_id, second.user_id);
    let change = |change| UserCommand::Change(user_id, change);
    execute(&service, user_id, UserCommand::SignUp(first)).await;
    let address = Some(format!("{number} Main Street"));
    execute(&service, user_id, change(UserChange { address, ..UserChange::default() })).await;
    let email = Some(format!("moved-{number}@example.org"));
    execute(&service, user_id, change(UserChange { email, ..UserChange::default() })).await;
    if number.is_multiple_of(2) {
        execute(&service, user_id, UserCommand::Delete(user_id)).await;
    } else {
        let name = Some("Ada".to_owned());
        execute(&service, user_id, change(UserChange { name, ..UserChange::default() })).await;
    }
    execute(&service, other, UserCommand::SignUp(second)).await;
    Some(other)
}

fn sign_up(number: usize) -> (Uuid, UserCommand) {
    let details = details(number, "traffic");
    (details.user_id, UserCommand::SignUp(details))
}

/// A product that changes, and every third time goes. Three events.
async fn live_product(service: Arc<Service<Products>>, number: usize) -> Option<Uuid> {
    let (product_id, create) = create(number);
    execute(&service, product_id, create).await;
    let title = Some(format!("trousers {number}"));
    let change = ProductChange { title, ..ProductChange::default() };
    execute(&service, product_id, ProductCommand::Change(product_id, change)).await;
    if number.is_multiple_of(3) {
        execute(&service, product_id, ProductCommand::Discontinue(product_id)).await;
        return None;
    }
    execute(&service, product_id, change_price(product_id, number)).await;
    Some(product_id)
}

fn create(number: usize) -> (Uuid, ProductCommand) {
    let (product_id, title, image) = (Uuid::now_v7(), format!("pants {number}"), format!("{number}.jpg"));
    (product_id, ProductCommand::Create(ProductDetails { product_id, title, image, price_cents: None }))
}

fn change_price(product_id: Uuid, number: usize) -> ProductCommand {
    let price_cents = Some(Some(number as i64));
    ProductCommand::Change(product_id, ProductChange { price_cents, ..ProductChange::default() })
}

/// An order, every second one cancelled. One event and a half.
async fn live_order(
    service: Arc<Service<Orders>>,
    known: Arc<(Vec<Uuid>, Arc<Vec<Uuid>>)>,
    number: usize,
) -> Option<Uuid> {
    let (users, products) = &*known;
    let (user_id, product_id) = (users[number % users.len()], products[number % products.len()]);
    let order_id = Uuid::now_v7();
    execute(
        &service,
        order_id,
        OrderCommand::Place(PlaceOrder { order_id, user_id, product_id, quantity: 2 }),
    )
    .await;
    if number.is_multiple_of(2) {
        execute(&service, order_id, OrderCommand::Cancel(order_id)).await;
    }
    Some(order_id)
}

/// Does `work` while another service takes one command after the other.
async fn under_traffic<A: Aggregate>(
    other: &TestService<A>,
    command: impl Fn(usize) -> (Uuid, A::Command) + Send + 'static,
    work: impl FnOnce(),
) {
    let (service, done) = (Arc::clone(other.service()), Arc::new(AtomicBool::new(false)));
    let (taken, is_done) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&done));
    let count = Arc::clone(&taken);
    let traffic = tokio::spawn(async move {
        while !is_done.load(Ordering::Relaxed) {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let (id, command) = command(number);
            execute(&service, id, command).await;
        }
    });
    tokio::task::block_in_place(|| {
        eventually("traffic", || (taken.load(Ordering::Relaxed) > 1).then_some(()));
        work();
    });
    done.store(true, Ordering::Relaxed);
    traffic.await.unwrap();
}
