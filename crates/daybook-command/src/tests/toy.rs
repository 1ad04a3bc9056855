//! A second domain, so that the kernel's traits have two implementations: toys that are painted, and one bad rule.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use daybook_event::{Event, Rejection};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::http::Routes;
use crate::{Aggregate, Service, UniqueKeys};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Toys;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Toy {
    pub(crate) toy_id: Uuid,
    pub(crate) name: String,
    pub(crate) coats: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ToyCommand {
    Make(Uuid, String),
    Paint(Uuid, u64),
    Lose(Uuid),
}

#[derive(Debug, Clone, PartialEq, Eq, Event)]
#[event(service = "toys", topic = "toys.events", prefix = "toy.")]
pub(crate) enum ToyEvent {
    #[event("made.v1")]
    Made {
        #[key]
        toy_id: Uuid,
        name: String,
    },
    #[event("painted.v1")]
    Painted {
        #[key]
        toy_id: Uuid,
    },
    #[event("lost.v1")]
    Lost {
        #[key]
        toy_id: Uuid,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Rejection)]
pub(crate) enum ToyRejection {
    #[problem(404, "toy-unknown", "there is no such toy")]
    Unknown,
    #[problem(409, "name-taken", "another toy has this name")]
    NameTaken,
}

impl Aggregate for Toys {
    const UNIQUE_KEYS: Option<UniqueKeys<Self>> =
        Some(UniqueKeys::new(1, unique_keys, |_| ToyRejection::NameTaken));

    type State = Toy;
    type Command = ToyCommand;
    type Event = ToyEvent;
    type Rejection = ToyRejection;
    type Facts = ();

    const UNKNOWN: ToyRejection = ToyRejection::Unknown;

    fn decide(state: Option<&Toy>, command: &ToyCommand, (): &()) -> Result<Vec<ToyEvent>, ToyRejection> {
        match (command, state) {
            (ToyCommand::Make(_, name), _) if name == "cursed" => panic!("a rule with a mistake in it"),
            (ToyCommand::Make(toy_id, name), None) => {
                Ok(vec![ToyEvent::Made { toy_id: *toy_id, name: name.clone() }])
            }
            (ToyCommand::Make(..), Some(_)) => Err(ToyRejection::NameTaken),
            (_, None) => Err(ToyRejection::Unknown),
            (ToyCommand::Paint(toy_id, coats), Some(_)) => {
                Ok((0..*coats).map(|_| ToyEvent::Painted { toy_id: *toy_id }).collect())
            }
            (ToyCommand::Lose(toy_id), Some(_)) => Ok(vec![ToyEvent::Lost { toy_id: *toy_id }]),
        }
    }

    fn evolve(state: Option<Toy>, event: &ToyEvent) -> Toy {
        let nameless = |toy_id| Toy { toy_id, name: String::new(), coats: 0 };
        match event {
            ToyEvent::Made { toy_id, name } => Toy { name: name.clone(), ..nameless(*toy_id) },
            ToyEvent::Painted { toy_id } => {
                let toy = state.unwrap_or_else(|| nameless(*toy_id));
                Toy { coats: toy.coats + 1, ..toy }
            }
            ToyEvent::Lost { toy_id } => Toy { coats: state.map_or(0, |toy| toy.coats), ..nameless(*toy_id) },
        }
    }
}

fn unique_keys(state: &Toy) -> Vec<String> {
    if state.name.is_empty() { Vec::new() } else { vec![format!("name:{}", state.name)] }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Make {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Paint {
    coats: u64,
}

pub(crate) fn routes() -> Routes<Toys> {
    Routes::of("/toys", "toy_id")
        .create(|toy_id, Make { name }| ToyCommand::Make(toy_id, name))
        .change(|toy_id, Paint { coats }| ToyCommand::Paint(toy_id, coats))
        .action("coats", |toy_id, Paint { coats }| ToyCommand::Paint(toy_id, coats))
        .delete(ToyCommand::Lose)
}

pub(crate) fn router(service: Arc<Service<Toys>>) -> Router {
    let panics = get(async || -> Response { panic!("a handler with a mistake in it") });
    routes().router_with(Router::new().route("/panic", panics), service)
}
