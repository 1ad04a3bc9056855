//! A second domain, so that the kernel's traits have two implementations: toys that are painted, and one bad rule.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use daybook_event::Rejection;
use daybook_event::event_data::{DataError, EventData, read_fields, unknown_type};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use crate::http::Routes;
use crate::{Aggregate, Service, Standing};

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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Named {
    toy_id: Uuid,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OfToy {
    toy_id: Uuid,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ToyEvent {
    Made(Named),
    Painted(OfToy),
    Lost(OfToy),
}

#[derive(Debug, Clone, PartialEq, Eq, Rejection)]
pub(crate) enum ToyRejection {
    #[problem(404, "toy-unknown", "there is no such toy")]
    Unknown,
    #[problem(409, "name-taken", "another toy has this name")]
    NameTaken,
}

impl EventData for ToyEvent {
    fn event_type(&self) -> &'static str {
        match self {
            Self::Made(_) => "toy.made.v1",
            Self::Painted(_) => "toy.painted.v1",
            Self::Lost(_) => "toy.lost.v1",
        }
    }

    fn to_data(&self) -> serde_json::Result<Box<RawValue>> {
        match self {
            Self::Made(named) => to_raw_value(named),
            Self::Painted(of) | Self::Lost(of) => to_raw_value(of),
        }
    }

    fn from_data(event_type: &str, data: &RawValue) -> Result<Self, DataError> {
        match event_type {
            "toy.made.v1" => read_fields(event_type, data).map(Self::Made),
            "toy.painted.v1" => read_fields(event_type, data).map(Self::Painted),
            "toy.lost.v1" => read_fields(event_type, data).map(Self::Lost),
            _ => Err(unknown_type(event_type, &[])),
        }
    }
}

impl Aggregate for Toys {
    const SERVICE: &'static str = "toys";
    const TOPIC: &'static str = "toys.events";
    const UNIQUE_FORM: u32 = 1;

    type State = Toy;
    type Command = ToyCommand;
    type Event = ToyEvent;
    type Rejection = ToyRejection;
    type Facts = ();
    type Shown = Toy;

    fn aggregate_id(command: &ToyCommand) -> Uuid {
        match command {
            ToyCommand::Make(id, _) | ToyCommand::Paint(id, _) | ToyCommand::Lose(id) => *id,
        }
    }

    fn partition_key(event: &ToyEvent) -> Uuid {
        match event {
            ToyEvent::Made(named) => named.toy_id,
            ToyEvent::Painted(of) | ToyEvent::Lost(of) => of.toy_id,
        }
    }

    fn state_key(toy: &Toy) -> Uuid {
        toy.toy_id
    }

    fn facts<E>(
        _: Option<&Toy>,
        _: &ToyCommand,
        _: impl FnMut(usize, Uuid) -> Result<Standing, E>,
    ) -> Result<(), E> {
        Ok(())
    }

    fn decide(state: Option<&Toy>, command: &ToyCommand, (): &()) -> Result<Vec<ToyEvent>, ToyRejection> {
        match (command, state) {
            (ToyCommand::Make(_, name), _) if name == "cursed" => panic!("a rule with a mistake in it"),
            (ToyCommand::Make(toy_id, name), None) => {
                Ok(vec![ToyEvent::Made(Named { toy_id: *toy_id, name: name.clone() })])
            }
            (ToyCommand::Make(..), Some(_)) => Err(ToyRejection::NameTaken),
            (_, None) => Err(ToyRejection::Unknown),
            (ToyCommand::Paint(toy_id, coats), Some(_)) => {
                Ok((0..*coats).map(|_| ToyEvent::Painted(OfToy { toy_id: *toy_id })).collect())
            }
            (ToyCommand::Lose(toy_id), Some(_)) => Ok(vec![ToyEvent::Lost(OfToy { toy_id: *toy_id })]),
        }
    }

    fn evolve(state: Option<Toy>, event: &ToyEvent) -> Toy {
        let nameless = |toy_id| Toy { toy_id, name: String::new(), coats: 0 };
        match event {
            ToyEvent::Made(Named { toy_id, name }) => Toy { name: name.clone(), ..nameless(*toy_id) },
            ToyEvent::Painted(OfToy { toy_id }) => {
                let toy = state.unwrap_or_else(|| nameless(*toy_id));
                Toy { coats: toy.coats + 1, ..toy }
            }
            ToyEvent::Lost(OfToy { toy_id }) => {
                Toy { coats: state.map_or(0, |toy| toy.coats), ..nameless(*toy_id) }
            }
        }
    }

    fn shown(state: Option<&Toy>) -> Result<&Toy, ToyRejection> {
        state.ok_or(ToyRejection::Unknown)
    }

    fn unique_keys(state: &Toy) -> Vec<String> {
        if state.name.is_empty() { Vec::new() } else { vec![format!("name:{}", state.name)] }
    }

    fn taken(_: &str) -> ToyRejection {
        ToyRejection::NameTaken
    }
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
