//! A log in memory, and the rows that follow from it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;

use daybook_event::envelope::{Envelope, Source, seal};
use daybook_event::{Event as _, EventData};
use daybook_kafka::partition_for_key;
use daybook_projection::engine::{Engine, Incoming, Limits};
use daybook_projection::{Checkpoint, Digest, Generation, GenerationError, Projection, StopReason};
use jiff::Timestamp;
use schemas::orders::{OrderCancelled, OrderPlaced};
use schemas::products::{ProductDetails, ProductDiscontinued};
use schemas::users::{UserDeleted, UserDetails};
use schemas::{OrderEvent, ProductEvent, ShopEvent, UserEvent};
use uuid::Uuid;

use crate::broker::until;

pub(crate) const PARTITIONS: i32 = 2;
/// Everybody in these tests.
pub(crate) const HOLDER: &str = "a test";

/// A topic's partition, as sources are counted: by topic, then partition.
pub(crate) type SourceIndex = usize;

/// A record of the log in memory.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) source: SourceIndex,
    pub(crate) offset: i64,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// Records in the order of writing, with contiguous offsets per partition.
#[derive(Clone, Default)]
pub(crate) struct Log {
    pub(crate) records: Vec<Record>,
    positions: BTreeMap<SourceIndex, u64>,
    offsets: BTreeMap<SourceIndex, i64>,
}

/// Events of one partition, of which the embedded broker drops the first.
pub(crate) fn more_than_the_embedded_broker_keeps() -> Log {
    let mut log = Log::default();
    // Random, so that they do not compress: more than the five megabytes that a partition may hold.
    let mut dice = Dice(1);
    for _ in 0..500 {
        let noise: String = (0..1_000).map(|_| dice.uuid().simple().to_string()).collect();
        log.write(&created(Uuid::from_u128(0x99), &noise, None));
    }
    log
}

pub(crate) fn zero() -> Checkpoint {
    let topics = projector::projection().topics;
    Checkpoint::zero(topics.iter().map(|topic| (topic.name, PARTITIONS)))
}

pub(crate) fn topic_and_partition(source: SourceIndex) -> (String, i32) {
    let checkpoint = zero();
    let (id, _) = checkpoint.sources().nth(source).unwrap();
    (id.topic.to_string(), id.partition)
}

pub(crate) fn source_of(event: &ShopEvent) -> SourceIndex {
    let topic = match event {
        ShopEvent::User(_) => "users.events",
        ShopEvent::Product(_) => "products.events",
        ShopEvent::Order(_) => "orders.events",
    };
    let partition = partition_for_key(event.key().to_string().as_bytes(), PARTITIONS);
    zero().sources().position(|(id, _)| &*id.topic == topic && id.partition == partition).unwrap()
}

impl Log {
    /// Writes an event as its service would.
    pub(crate) fn write(&mut self, event: &ShopEvent) -> Record {
        let source = source_of(event);
        let position = self.positions.entry(source).or_default();
        let value = sealed(event, source, *position);
        *position += 1;
        self.write_value(source, event.key(), value)
    }

    pub(crate) fn write_value(&mut self, source: SourceIndex, key: Uuid, value: Vec<u8>) -> Record {
        let offset = self.offsets.entry(source).or_default();
        let record = Record { source, offset: *offset, key: key.to_string().into_bytes(), value };
        *offset += 1;
        self.records.push(record.clone());
        record
    }

    /// Writes an earlier record again, as a relay does that lost its connection.
    pub(crate) fn repeat(&mut self, index: usize) {
        let Record { source, key, value, .. } = self.records[index].clone();
        let key = Uuid::try_parse_ascii(&key).unwrap();
        self.write_value(source, key, value);
    }

    /// The records of every partition by themselves.
    pub(crate) fn by_source(&self) -> BTreeMap<SourceIndex, Vec<Record>> {
        let mut sources = BTreeMap::<_, Vec<_>>::new();
        for record in &self.records {
            sources.entry(record.source).or_default().push(record.clone());
        }
        sources
    }
}

/// An event at a position, with an id and a time that follow from the place.
pub(crate) fn sealed(event: &ShopEvent, source: SourceIndex, position: u64) -> Vec<u8> {
    let (topic, partition) = topic_and_partition(source);
    let service = topic.trim_end_matches(".events").to_owned();
    sealed_as(event, &Source { service: service.into(), partition }, position, event_id(source, position))
}

pub(crate) fn event_id(source: SourceIndex, position: u64) -> Uuid {
    Uuid::from_u128((source as u128) << 64 | u128::from(position) | 7 << 100)
}

pub(crate) fn sealed_as(event: &impl EventData, source: &Source<'_>, position: u64, id: Uuid) -> Vec<u8> {
    seal(&Envelope {
        writer_epoch: 0,
        previous_id: None,
        id,
        source: source.clone(),
        event_type: event.event_type().into(),
        subject: Uuid::from_u128(1),
        time: Timestamp::from_microsecond(1_700_000_000_000_000 + position as i64 * 1_000).unwrap(),
        position,
        aggregate_version: 1,
        correlation_id: Uuid::from_u128(2),
        causation_id: Uuid::from_u128(3),
        traceparent: None,
        data: std::borrow::Cow::Owned(event.to_data().unwrap()),
    })
    .unwrap()
}

pub(crate) fn signed_up(user_id: Uuid) -> ShopEvent {
    let text = |what: &str| format!("{what} of {user_id}");
    let (email, name, address) = (text("e-mail"), text("name"), text("address"));
    ShopEvent::User(UserEvent::SignedUp(UserDetails { user_id, email, name, address }))
}

pub(crate) fn user_deleted(user_id: Uuid) -> ShopEvent {
    ShopEvent::User(UserEvent::Deleted(UserDeleted { user_id }))
}

pub(crate) fn created(product_id: Uuid, title: &str, price_cents: Option<i64>) -> ShopEvent {
    let (title, image) = (title.to_owned(), format!("{title}.jpg"));
    ShopEvent::Product(ProductEvent::Created(ProductDetails { product_id, title, image, price_cents }))
}

pub(crate) fn discontinued(product_id: Uuid) -> ShopEvent {
    ShopEvent::Product(ProductEvent::Discontinued(ProductDiscontinued { product_id }))
}

pub(crate) fn placed(order_id: Uuid, user_id: Uuid, product_id: Uuid, quantity: u32) -> ShopEvent {
    let quantity = NonZeroU32::new(quantity).unwrap();
    ShopEvent::Order(OrderEvent::Placed(OrderPlaced { order_id, user_id, product_id, quantity }))
}

pub(crate) fn cancelled(order_id: Uuid, user_id: Uuid, product_id: Uuid) -> ShopEvent {
    ShopEvent::Order(OrderEvent::Cancelled(OrderCancelled { order_id, user_id, product_id }))
}

/// Numbers that look random and are the same in every run (the generator is splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    pub(crate) fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.roll(u64::MAX), self.roll(u64::MAX))
    }
}

/// The shop at work: sign-ups, products, orders, cancels, deletions, before and after one another, with repetitions.
pub(crate) fn transcript(events: usize, seed: u64) -> Log {
    let mut dice = Dice(seed);
    let users: Vec<Uuid> = (0..8).map(|_| dice.uuid()).collect();
    let products: Vec<Uuid> = (0..5).map(|_| dice.uuid()).collect();
    let pick = |dice: &mut Dice, ids: &[Uuid]| ids[dice.roll(ids.len() as u64) as usize];
    let (mut log, mut open_orders) = (Log::default(), Vec::new());
    while log.records.len() < events {
        let (user, product) = (pick(&mut dice, &users), pick(&mut dice, &products));
        match dice.roll(20) {
            0..=1 => drop(log.write(&signed_up(user))),
            2..=3 => {
                let price = (dice.roll(2) == 0).then(|| dice.roll(10_000) as i64);
                log.write(&created(product, ["pants", "mug", "Hose 裤子"][dice.roll(3) as usize], price));
            }
            4 => drop(log.write(&discontinued(product))),
            5 => drop(log.write(&user_deleted(user))),
            6..=7 if !open_orders.is_empty() => {
                let (order, user, product) =
                    open_orders.swap_remove(dice.roll(open_orders.len() as u64) as usize);
                log.write(&cancelled(order, user, product));
            }
            8..=9 if !log.records.is_empty() => {
                let back = dice.roll(log.records.len().min(12) as u64) as usize;
                log.repeat(log.records.len() - 1 - back);
            }
            _ => {
                let order = dice.uuid();
                log.write(&placed(order, user, product, 1 + dice.roll(4) as u32));
                open_orders.push((order, user, product));
            }
        }
    }
    log
}

/// An empty, finished generation.
pub(crate) fn fresh(path: &Path) -> Generation {
    fresh_of(path, projector::projection(), &zero())
}

pub(crate) fn fresh_of<E>(path: &Path, projection: Projection<E>, start: &Checkpoint) -> Generation {
    let mut generation = Generation::create(path, &projection.layout(), start, HOLDER).unwrap();
    generation.settle(start.clone(), Digest::default()).unwrap();
    generation.finish().unwrap();
    generation
}

pub(crate) fn open(path: &Path) -> Generation {
    // A process that another test is about to start holds whatever was open here, until it runs its own program.
    until("the generation is free", || match Generation::open(path, &projector::layout(), HOLDER) {
        Err(GenerationError::InUse { .. }) => None,
        opened => Some(opened.unwrap()),
    })
}

pub(crate) fn engine(generation: &Generation) -> Engine<ShopEvent> {
    Engine::new(projector::projection(), &generation.checkpoint(), Limits::following(1 << 20))
}

pub(crate) fn apply<E: EventData>(
    engine: &mut Engine<E>,
    generation: &Generation,
    record: &Record,
) -> Result<(), StopReason> {
    let Record { source, offset, .. } = *record;
    let incoming = Incoming { source, offset, key: Some(&record.key), value: Some(&record.value) };
    engine.apply(generation, incoming, Vec::new).map(drop)
}

/// Projects what of `records` the checkpoint has not, and commits.
pub(crate) fn project(generation: &Generation, records: &[Record]) {
    project_as(projector::projection(), generation, records);
}

pub(crate) fn project_as<E: EventData>(
    projection: Projection<E>,
    generation: &Generation,
    records: &[Record],
) {
    let mut engine = Engine::new(projection, &generation.checkpoint(), Limits::following(1 << 20));
    let checkpoint = generation.checkpoint();
    let starts: Vec<_> = checkpoint.sources().map(|(_, at)| at.resume_offset).collect();
    for record in records.iter().filter(|record| record.offset >= starts[record.source]) {
        apply(&mut engine, generation, record).unwrap();
        if engine.full() {
            engine.commit(generation).unwrap();
        }
    }
    engine.commit(generation).unwrap();
}

/// The digest that these records lead to, in one go.
pub(crate) fn digest_of(records: &[Record]) -> Digest {
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    project(&generation, records);
    assert_eq!(generation.recount_digest().unwrap(), generation.digest(), "kept up to date");
    generation.digest()
}
