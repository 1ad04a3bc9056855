//! A fourth command service of the shop: stock of its products is delivered and reserved, at the price that a product has by
//! then. The price comes from service B's events; the inventory calls no other service.
//!
//! `inventory inventory --brokers localhost:9092 --listen 127.0.0.1:8085` runs it beside the shop; `inventory --help` shows more.
//!
//! ```sh
//! curl -i http://127.0.0.1:8085/stock/$product_id/deliveries --json '{"pieces":10}'
//! curl -i http://127.0.0.1:8085/stock/$product_id/reservations --json '{"pieces":3}'
//! ```

use daybook::prelude::*;
use schemas::ProductEvent;
use serde::{Deserialize, Serialize};

/// What the inventory keeps of a product.
#[derive(Serialize, Deserialize)]
struct Price(Option<i64>);

impl Reference for Price {
    type Event = ProductEvent;

    fn update(event: ProductEvent) -> ReferenceUpdate<Self> {
        Some(match event {
            ProductEvent::Created(of) | ProductEvent::Changed(of) => Existence::Present(Self(of.price_cents)),
            ProductEvent::Discontinued(_) => Existence::Gone,
        })
    }
}

#[derive(Debug, PartialEq, Event)]
#[event(service = "inventory", topic = "inventory.events", prefix = "shop.stock.", key = product)]
enum Entry {
    #[event("delivered.v1")]
    Delivered { product: Uuid, pieces: u64 },
    /// Each piece for so many cents.
    #[event("reserved.v1")]
    Reserved { product: Uuid, pieces: u64, cents: i64 },
}

#[derive(Debug, PartialEq, Rejection)]
enum Refused {
    #[problem(404, "stock-unknown", "nothing of this product was ever delivered")]
    Unknown,
    #[problem(409, "stock-too-low", "{free} pieces of this product are free, and {asked} were asked for")]
    TooLow { free: u64, asked: u64 },
    #[problem(409, "not-for-sale", "this product has no price")]
    NotForSale,
}

enum Command {
    Deliver(Uuid, Pieces),
    Reserve(Uuid, Pieces),
}

#[derive(Body)]
struct Pieces {
    pieces: u64,
}

/// Pieces of a product.
#[derive(Debug, Default, PartialEq, Fields)]
struct Stock {
    free: u64,
    taken: u64,
}

impl Aggregate for Stock {
    type State = Self;
    type Command = Command;
    type Event = Entry;
    type Rejection = Refused;
    type Facts = Option<i64>;
    const UNKNOWN: Refused = Refused::Unknown;
    const FOLLOWS: &'static [Followed] = &[Followed::of::<Price>()];

    fn facts(_: Option<&Self>, command: &Command, known: &mut References<'_, Self>) -> FactsOf<Self> {
        let (Command::Deliver(product, _) | Command::Reserve(product, _)) = *command;
        Ok(known.get::<Price>(product)?.present().and_then(|price| price.0))
    }

    fn decide(now: Option<&Self>, command: &Command, price: &Option<i64>) -> Result<Vec<Entry>, Refused> {
        Ok(vec![match *command {
            Command::Deliver(product, Pieces { pieces }) => Entry::Delivered { product, pieces },
            Command::Reserve(product, Pieces { pieces }) => match now.ok_or(Refused::Unknown)?.free {
                free if free < pieces => return Err(Refused::TooLow { free, asked: pieces }),
                _ => Entry::Reserved { product, pieces, cents: price.ok_or(Refused::NotForSale)? },
            },
        }])
    }

    fn evolve(now: Option<Self>, event: &Entry) -> Self {
        let Self { free, taken } = now.unwrap_or_default();
        match *event {
            Entry::Delivered { pieces, .. } => Self { free: free.saturating_add(pieces), taken },
            Entry::Reserved { pieces: of, .. } => Self { free: free.saturating_sub(of), taken: taken + of },
        }
    }
}

fn main() -> ExitCode {
    let stock = Routes::<Stock>::of("/stock", "product")
        .action("deliveries", Command::Deliver)
        .action("reservations", Command::Reserve);
    App::new("inventory", "Stock of the shop's products").commands(stock).main()
}
