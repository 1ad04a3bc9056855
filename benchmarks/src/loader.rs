//! Fills the topics with the shop's real events, as the services would have written them: a tenth are sign-ups, one in
//! two hundred is a product, the rest are orders of a random user and product.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use event_log::topics::{self, TopicSpec};
use event_log::{Kafka, Outgoing, SendError, Writer, partition_for_key};
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use schemas::envelope::{CONTENT_TYPE, Envelope, Source, seal};
use schemas::event_data::EventData;
use schemas::shop::orders::OrderPlaced;
use schemas::shop::products::ProductDetails;
use schemas::shop::users::UserDetails;
use schemas::shop::{OrderEvent, ProductEvent, ShopEvent, UserEvent, orders, products, users};
use uuid::Uuid;

use crate::broker::Broker;
use crate::{Outcome, Scale};

/// Partitions of each topic.
pub(crate) const PARTITIONS: i32 = 6;
/// How long the last records may take to be acknowledged.
const FLUSH_WITHIN: Duration = Duration::from_secs(120);
/// 2026-01-01T00:00:00Z; each event comes a millisecond later.
const FIRST_EVENT_US: i64 = 1_767_225_600_000_000;

/// Topics with events, and users to ask for.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The log.
    pub(crate) kafka: Kafka,
    /// Events in it.
    pub(crate) events: u64,
    /// Ids of all users.
    pub(crate) users: Vec<Uuid>,
}

/// Loads as many events as asked for into fresh topics.
pub(crate) fn load(broker: &Broker, scale: &Scale) -> Outcome<Loaded> {
    let kafka = broker.kafka(&format!("bench-{}-{}-", scale.seed, std::process::id()));
    for topic in schemas::shop::TOPICS {
        topics::ensure(&kafka, topic, &TopicSpec { partitions: PARTITIONS, replication_factor: 1 })?;
    }
    eprintln!("loading {} events ...", scale.events);
    let mut loader = Loader::open(&kafka, scale.seed)?;
    for _ in 0..(scale.events / 200).max(1) {
        loader.product()?;
    }
    for _ in 0..(scale.events / 10).max(1) {
        loader.user()?;
    }
    while loader.events < scale.events {
        loader.order()?;
    }
    loader.finish()?;
    Ok(Loaded { kafka, events: loader.events, users: loader.users })
}

struct Loader {
    writer: Writer,
    failed: Arc<AtomicU64>,
    random: StdRng,
    positions: Vec<[u64; PARTITIONS as usize]>,
    users: Vec<Uuid>,
    products: Vec<Uuid>,
    events: u64,
}

impl Loader {
    fn open(kafka: &Kafka, seed: u64) -> Outcome<Self> {
        let failed = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&failed);
        let writer = Writer::open(kafka, move |delivery| {
            count.fetch_add(u64::from(delivery.result.is_err()), Ordering::Relaxed);
        })?;
        let random = StdRng::seed_from_u64(seed);
        let positions = vec![[0; PARTITIONS as usize]; schemas::shop::TOPICS.len()];
        Ok(Self { writer, failed, random, positions, users: Vec::new(), products: Vec::new(), events: 0 })
    }

    fn user(&mut self) -> Outcome {
        let user_id = self.id();
        let email = format!("{}@customers.example", user_id.simple());
        let (name, address) = (format!("Customer {}", self.events), "12 Long Street, Springfield".to_owned());
        self.users.push(user_id);
        let event = UserEvent::SignedUp(UserDetails { user_id, email, name, address });
        self.write(0, users::SERVICE, user_id, &ShopEvent::User(event))
    }

    fn product(&mut self) -> Outcome {
        let product_id = self.id();
        self.products.push(product_id);
        let title = format!("PRODUCT NUMBER {}", self.events);
        let image = format!("{}.jpg", self.events);
        let price_cents = Some(self.random.random_range(50..20_000));
        let event = ProductEvent::Created(ProductDetails { product_id, title, image, price_cents });
        self.write(1, products::SERVICE, product_id, &ShopEvent::Product(event))
    }

    fn order(&mut self) -> Outcome {
        let order_id = self.id();
        let user_id = self.users[self.random.random_range(0..self.users.len())];
        let product_id = self.products[self.random.random_range(0..self.products.len())];
        let quantity = NonZeroU32::MIN.saturating_add(self.random.random_range(0..20));
        let event = OrderEvent::Placed(OrderPlaced { order_id, user_id, product_id, quantity });
        self.write(2, orders::SERVICE, order_id, &ShopEvent::Order(event))
    }

    fn write(&mut self, topic: usize, service: &str, subject: Uuid, event: &ShopEvent) -> Outcome {
        let key = event.key().to_string();
        let partition = partition_for_key(key.as_bytes(), PARTITIONS);
        let next = &mut self.positions[topic][partition as usize];
        let position = *next;
        *next += 1;
        let (id, request) = (self.id(), self.id());
        let value = seal(&Envelope {
            id,
            source: Source { service: service.into(), partition },
            event_type: event.event_type().into(),
            subject,
            time: Timestamp::from_microsecond(self.now_us())?,
            position,
            aggregate_version: 1,
            correlation_id: request,
            causation_id: request,
            traceparent: None,
            data: std::borrow::Cow::Owned(event.to_data()?),
        })?;
        self.events += 1;
        self.send(schemas::shop::TOPICS[topic], partition, key.as_bytes(), &value, position)
    }

    fn send(&self, topic: &str, partition: i32, key: &[u8], value: &[u8], tag: u64) -> Outcome {
        let headers = [("content-type", CONTENT_TYPE.as_bytes())];
        loop {
            let outgoing = Outgoing { topic, partition, key, value, headers: &headers, tag };
            match self.writer.send(outgoing) {
                Err(SendError::QueueFull) => std::thread::sleep(Duration::from_millis(5)),
                result => return Ok(result?),
            }
        }
    }

    fn finish(&self) -> Outcome {
        self.writer.flush(FLUSH_WITHIN)?;
        match self.failed.load(Ordering::Relaxed) {
            0 => Ok(()),
            failed => Err(format!("{failed} records were not delivered").into()),
        }
    }

    fn now_us(&self) -> i64 {
        FIRST_EVENT_US + i64::try_from(self.events).unwrap_or(i64::MAX / 2_000) * 1_000
    }

    /// A UUID of version 7 whose time is the event's, as the services make them.
    fn id(&mut self) -> Uuid {
        let milliseconds = u64::try_from(self.now_us() / 1_000).unwrap_or_default();
        let random: [u8; 10] = self.random.random();
        uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid()
    }
}
