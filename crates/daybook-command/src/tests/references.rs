//! What is kept of another service's aggregates: values, each told by an event, bounded, and begun again in another form.

use std::marker::PhantomData;
use std::sync::Arc;

use daybook_event::{Event, Rejection};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use uuid::Uuid;

use crate::command::{Cause, CommandError, Condition, DependsOn, Outcome, Request};
use crate::commit::seal::SystemAmbient;
use crate::references::{ReferenceRow, Value, table};
use crate::run::StartProgress;
use crate::running::Running;
use crate::settings::Settings;
use crate::testing::{TestService, brokers_with, eventually, execute, settings};
use crate::tests::toy::{ToyCommand, ToyEvent, Toys, router};
use crate::{
    Aggregate, Existence, Followed, REFERENCE_BYTES_MAX, Reference, ReferenceError, ReferenceUpdate,
    References,
};

/// A shelf, onto which a toy is put that it knows.
#[derive(Debug, Clone, Copy)]
struct Shelf<R>(PhantomData<fn() -> R>);

#[derive(Debug, Clone, PartialEq, Eq, Event)]
#[event(service = "shelves", topic = "shelves.events", prefix = "shelf.")]
enum ShelfEvent {
    #[event("filled.v1")]
    Filled {
        #[key]
        shelf_id: Uuid,
        label: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Rejection)]
enum ShelfRejection {
    #[problem(422, "shelf-toy-unknown", "there is no such toy")]
    Unknown,
    #[problem(409, "shelf-toy-lost", "the toy is lost")]
    Lost,
    #[problem(404, "shelf-unknown", "there is no such shelf")]
    NoShelf,
}

/// What a shelf shows of a toy.
trait Label: Reference<Event = ToyEvent> + Clone + Send {
    fn label(&self) -> String;
}

impl<R: Label> Aggregate for Shelf<R> {
    const FOLLOWS: &'static [Followed] = &[Followed::of::<R>()];

    type State = String;
    type Command = (Uuid, Uuid);
    type Event = ShelfEvent;
    type Rejection = ShelfRejection;
    type Facts = Option<Existence<R>>;
    const UNKNOWN: ShelfRejection = ShelfRejection::NoShelf;

    fn facts(
        _: Option<&String>,
        (_, toy_id): &(Uuid, Uuid),
        references: &mut References<'_, Self>,
    ) -> Result<Option<Existence<R>>, ReferenceError> {
        references.get(*toy_id).map(Some)
    }

    fn decide(
        _: Option<&String>,
        (shelf_id, _): &(Uuid, Uuid),
        toy: &Option<Existence<R>>,
    ) -> Result<Vec<ShelfEvent>, ShelfRejection> {
        match toy {
            Some(Existence::Present(toy)) => {
                Ok(vec![ShelfEvent::Filled { shelf_id: *shelf_id, label: toy.label() }])
            }
            Some(Existence::Gone) => Err(ShelfRejection::Lost),
            Some(Existence::Unknown) | None => Err(ShelfRejection::Unknown),
        }
    }

    fn evolve(_: Option<String>, ShelfEvent::Filled { label, .. }: &ShelfEvent) -> String {
        label.clone()
    }
}

/// What each event leaves: the value as a whole.
fn update<R>(event: ToyEvent, made: impl FnOnce(String) -> R) -> ReferenceUpdate<R> {
    match event {
        ToyEvent::Made { name, .. } => Some(Existence::Present(made(name))),
        ToyEvent::Painted { .. } => None,
        ToyEvent::Lost { .. } => Some(Existence::Gone),
    }
}

/// A number becomes as many letters: a toy's own name is bounded.
fn grown(name: String) -> String {
    name.parse().map(|letters| "x".repeat(letters)).unwrap_or(name)
}

/// That it exists, as everything was kept before there were values.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct There;

impl Reference for There {
    type Event = ToyEvent;

    fn update(event: ToyEvent) -> ReferenceUpdate<Self> {
        update(event, |_| Self)
    }
}

impl Label for There {
    fn label(&self) -> String {
        "there".to_owned()
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Name {
    name: String,
}

impl Reference for Name {
    type Event = ToyEvent;

    fn update(event: ToyEvent) -> ReferenceUpdate<Self> {
        update(event, |name| Self { name: grown(name) })
    }
}

impl Label for Name {
    fn label(&self) -> String {
        self.name.clone()
    }
}

/// Readable as a name, and something else.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Shouted {
    name: String,
}

impl Reference for Shouted {
    type Event = ToyEvent;
    const FORM: u32 = 2;

    fn update(event: ToyEvent) -> ReferenceUpdate<Self> {
        update(event, |name| Self { name: grown(name).to_uppercase() })
    }
}

impl Label for Shouted {
    fn label(&self) -> String {
        self.name.clone()
    }
}

#[test]
fn what_no_aggregate_follows_is_a_fault_and_no_topic_is_followed_twice() {
    use crate::commit::batch::DecideError;
    let Err(ReferenceError(stopped)) = table::<Shelf<Name>, There>() else { panic!("it is not followed") };
    assert!(matches!(stopped, DecideError::Command(CommandError::Fault)));
    assert_eq!(table::<Shelf<Name>, Name>().unwrap(), 0);
    let followed = |topic| Followed::reading(topic, |_, _| Ok(None));
    assert!(Followed::are_distinct(&[followed("a"), followed("ab"), followed("b")]));
    assert!(!Followed::are_distinct(&[followed("a"), followed("b"), followed("a")]));
}

fn start<R: Label>(settings: &Settings) -> Running<Shelf<R>> {
    Running::start(settings, Arc::new(SystemAmbient), &StartProgress::default()).unwrap()
}

/// What became of a toy on a shelf: its label, and what the decision depends on.
async fn put<R: Label>(
    running: &Running<Shelf<R>>,
    toy_id: Uuid,
) -> Result<(String, Vec<DependsOn>), String> {
    let shelf_id = running.service.ambient.new_id();
    let request = || Request::<Shelf<R>> {
        aggregate_id: shelf_id,
        command: (shelf_id, toy_id),
        is_fresh: false,
        condition: Condition::default(),
        idempotency: None,
        cause: Cause { correlation_id: shelf_id, command_id: shelf_id, traceparent: None },
    };
    loop {
        match running.service.execute(request()).await {
            Ok(Outcome::Accepted(accepted)) => {
                let label = serde_json::from_slice(&accepted.state.unwrap()).unwrap();
                return Ok((label, accepted.depends_on));
            }
            Ok(Outcome::Rejected(problem)) => return Err(problem.slug().to_owned()),
            Err(CommandError::CatchingUp { .. }) => tokio::task::yield_now().await,
            Err(undecided) => return Err(undecided.to_string()),
        }
    }
}

async fn made(toys: &TestService<Toys>, id: u128, name: &str) -> Uuid {
    let id = Uuid::from_u128(id);
    execute(toys.service(), id, ToyCommand::Make(id, name.to_owned())).await;
    id
}

fn rows<R: Label>(running: &Running<Shelf<R>>, kind: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
    let rows = running.service.store.scan(&(vec![kind], vec![kind + 1]), usize::MAX).unwrap();
    rows.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

fn followed<R: Label>(running: &Running<Shelf<R>>, events: u64) {
    let at = || running.service.followed.places().iter().map(|(_, at)| at.next_position).sum::<u64>();
    eventually("events to be followed", || (at() == events).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_reads_a_value_and_depends_on_the_event_that_told_of_it() {
    let (broker, dir) = (brokers_with(1, ["toys.events", "shelves.events"]), TempDir::new().unwrap());
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let shelves = start::<Name>(&settings(broker.kafka(""), &dir.path().join("shelves")));
    let (bear, doll) = (made(&toys, 1, "bear").await, made(&toys, 2, "doll").await);
    execute(toys.service(), bear, ToyCommand::Paint(bear, 1)).await;
    execute(toys.service(), doll, ToyCommand::Lose(doll)).await;
    followed(&shelves, 4);
    let (label, depends_on) = put(&shelves, bear).await.unwrap();
    assert_eq!((&*label, depends_on.len()), ("bear", 1));
    let at = depends_on[0].at;
    let told = toys
        .journaled()
        .into_iter()
        .find(|event| event.position == at.position && event.partition == at.partition);
    let told = String::from_utf8(told.unwrap().value).unwrap();
    assert!(told.contains("toy.made.v1") && told.contains(&bear.to_string()), "{told}");
    assert_eq!(put(&shelves, doll).await.unwrap_err(), "shelf-toy-lost");
    assert_eq!(put(&shelves, Uuid::from_u128(3)).await.unwrap_err(), "shelf-toy-unknown");
    shelves.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_too_large_parks_its_aggregate_and_no_other() {
    let (broker, dir) = (brokers_with(1, ["toys.events", "shelves.events"]), TempDir::new().unwrap());
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let shelves = start::<Name>(&settings(broker.kafka(""), &dir.path().join("shelves")));
    let letters = REFERENCE_BYTES_MAX - r#"{"name":""}"#.len();
    let (fits, too_large) =
        (made(&toys, 1, &letters.to_string()).await, made(&toys, 2, &(letters + 1).to_string()).await);
    followed(&shelves, 2);
    assert_eq!(put(&shelves, fits).await.unwrap().0.len(), letters);
    let refused = put(&shelves, too_large).await.unwrap_err();
    let bytes = REFERENCE_BYTES_MAX + 1;
    assert!(
        refused.contains(&format!("{bytes} bytes, which is more than {REFERENCE_BYTES_MAX}")),
        "{refused}"
    );
    shelves.stop().unwrap();
}

/// An index as it was before there were values is read as it is; with a value, and with another one, what it follows is followed
/// again.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_in_another_form_is_followed_again_from_the_beginning() {
    let (broker, dir) = (brokers_with(1, ["toys.events", "shelves.events"]), TempDir::new().unwrap());
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let settings = settings(broker.kafka(""), &dir.path().join("shelves"));
    let long = REFERENCE_BYTES_MAX.to_string();
    let (bear, doll) = (made(&toys, 1, "bear").await, made(&toys, 2, &long).await);
    toys.relayed();

    let shelves = start::<There>(&settings);
    followed(&shelves, 2);
    assert_eq!(put(&shelves, doll).await.unwrap().0, "there");
    let kept = |rows: Vec<(Vec<u8>, Vec<u8>)>| -> Vec<_> {
        rows.iter()
            .map(|(_, row)| ReferenceRow::decode(row).unwrap())
            .map(|row| (row.existence, row.form))
            .collect()
    };
    assert_eq!(
        kept(rows(&shelves, b'R')),
        [(Existence::Present(Value::new()), 0), (Existence::Present(Value::new()), 0)]
    );
    shelves.stop().unwrap();
    let shelves = start::<There>(&settings);
    followed(&shelves, 2);
    assert_eq!(shelves.service.metrics.followed_events.get(), 0, "what there is goes on");
    shelves.stop().unwrap();

    for twice in [2, 0] {
        let shelves = start::<Name>(&settings);
        followed(&shelves, 2);
        assert_eq!(shelves.service.metrics.followed_events.get(), twice);
        assert_eq!(put(&shelves, bear).await.unwrap().0, "bear");
        let refused = put(&shelves, doll).await.unwrap_err();
        assert!(refused.contains("cannot be read"), "{refused}");
        assert_eq!((rows(&shelves, b'Q').len(), rows(&shelves, b'W').len()), (1, 1));
        shelves.stop().unwrap();
    }
    // What waits in a form that is kept no more comes again, and is not counted twice.
    let shelves = start::<Shouted>(&settings);
    followed(&shelves, 2);
    assert_eq!(put(&shelves, bear).await.unwrap().0, "BEAR");
    assert!(put(&shelves, doll).await.is_err());
    let quarantine = shelves.service.followed.quarantine();
    assert_eq!((quarantine.keys, quarantine.events, rows(&shelves, b'W').len()), (1, 1, 1));
    shelves.stop().unwrap();
}
