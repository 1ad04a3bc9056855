//! Made-up users, products and orders, as the services send them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use daybook_event::envelope::{CONTENT_TYPE, Envelope, Source, seal};
use daybook_event::{Event as _, EventData};
use daybook_kafka::{Kafka, Outgoing, SendError, Writer, partition_for_key};
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use schemas::orders::OrderPlaced;
use schemas::products::ProductDetails;
use schemas::users::UserDetails;
use schemas::{OrderEvent, ProductEvent, ShopEvent, UserEvent, orders, products, users};
use uuid::Uuid;

use super::{Loaded, PARTITIONS, Plan};
use crate::Outcome;
use crate::figures::grouped;

/// How long a record may wait for room, and the last ones for their acknowledgement.
const FLUSH_WITHIN: Duration = Duration::from_secs(120);
/// Events between two lines of progress.
const TELL_EVERY: u64 = 1_000_000;
/// 2026-01-01T00:00:00Z; each event comes a millisecond later.
const FIRST_EVENT_US: i64 = 1_767_225_600_000_000;

/// Writes them, in the order of their times.
pub(super) struct MadeUp {
    writer: Writer,
    failed: Arc<AtomicU64>,
    random: StdRng,
    /// Per topic and partition: the next position, and the id of what lies before it.
    ends: Vec<[(u64, Uuid); PARTITIONS as usize]>,
    users: Vec<Uuid>,
    products: Vec<Uuid>,
    events: u64,
    began: Instant,
}

impl MadeUp {
    /// Connects; nothing is written yet.
    pub(super) fn open(kafka: &Kafka, seed: u64) -> Outcome<Self> {
        let failed = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&failed);
        let writer = Writer::open(kafka, move |delivery| {
            count.fetch_add(u64::from(delivery.result.is_err()), Ordering::Relaxed);
        })?;
        let random = StdRng::seed_from_u64(seed);
        let ends = vec![[(0, Uuid::from_u128(1)); PARTITIONS as usize]; schemas::TOPICS.len()];
        let (users, products, began) = (Vec::new(), Vec::new(), Instant::now());
        Ok(Self { writer, failed, random, ends, users, products, events: 0, began })
    }

    /// Writes all that is planned, and waits until it is acknowledged.
    pub(super) fn write_all(mut self, plan: &Plan) -> Outcome<Self> {
        for _ in 0..(plan.events / 200).max(1) {
            self.product()?;
        }
        for _ in 0..(plan.events / 10).max(1) {
            self.user()?;
        }
        self.orders(plan)?;
        self.finish()?;
        Ok(self)
    }

    /// What has been written into `kafka`.
    pub(super) fn into_loaded(self, kafka: Kafka) -> Loaded {
        let orders = self.events - (self.users.len() + self.products.len()) as u64;
        Loaded { kafka, events: self.events, orders, users: self.users }
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

    /// As many as are still missing; those of the one user lie evenly among the others.
    fn orders(&mut self, plan: &Plan) -> Outcome {
        let mut of_one_user = plan.one_user_orders;
        for left in (1..=plan.events.saturating_sub(self.events)).rev() {
            let is_his = of_one_user > 0 && self.random.random_range(0..left) < of_one_user;
            of_one_user -= u64::from(is_his);
            self.order(is_his.then_some(0))?;
        }
        Ok(())
    }

    /// Of a certain user, or of a random one.
    fn order(&mut self, user: Option<usize>) -> Outcome {
        let order_id = self.id();
        let user_id = self.users[user.unwrap_or_else(|| self.random.random_range(0..self.users.len()))];
        let product_id = self.products[self.random.random_range(0..self.products.len())];
        let quantity = NonZeroU32::MIN.saturating_add(self.random.random_range(0..20));
        let event = OrderEvent::Placed(OrderPlaced { order_id, user_id, product_id, quantity });
        self.write(2, orders::SERVICE, order_id, &ShopEvent::Order(event))
    }

    fn write(&mut self, topic: usize, service: &str, subject: Uuid, event: &ShopEvent) -> Outcome {
        let key = event.key().to_string();
        let partition = partition_for_key(key.as_bytes(), PARTITIONS);
        let (id, request) = (self.id(), self.id());
        let end = &mut self.ends[topic][partition as usize];
        let (position, previous_id) = std::mem::replace(end, (end.0 + 1, id));
        let value = seal(&Envelope {
            writer_epoch: 1,
            previous_id: Some(previous_id),
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
        if self.events.is_multiple_of(TELL_EVERY) {
            let rate = self.events as f64 / self.began.elapsed().as_secs_f64();
            eprintln!("loading: {} events, {} events/s", grouped(self.events), grouped(rate as u64));
        }
        self.send(schemas::TOPICS[topic], partition, key.as_bytes(), &value, position)
    }

    fn send(&self, topic: &str, partition: i32, key: &[u8], value: &[u8], tag: u64) -> Outcome {
        let headers = [("content-type", CONTENT_TYPE.as_bytes())];
        let deadline = Instant::now() + FLUSH_WITHIN;
        loop {
            match self.writer.send(Outgoing { topic, partition, key, value, headers: &headers, tag }) {
                Err(SendError::QueueFull) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
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
