//! A second view over the shop's log: who bought this product.
//!
//! The shop knows nothing of it. While the shop runs on a Kafka (`cargo run --release -- --brokers HOST:PORT --data-dir data`):
//!
//! ```sh
//! cargo run --release -p daybook --example second_view -- --brokers HOST:PORT --data-dir buyers --listen 127.0.0.1:8090
//! curl http://127.0.0.1:8090/products/$product_id/users
//! ```
//!
//! Orders of one product lie in the partitions of its buyers, and nothing says in which order those are read. So the fold only
//! adds up. The row of a product that everybody buys grows with every buyer; `projector/src/orders.rs` shows how a row has parts.

use daybook::prelude::*;
use schemas::OrderEvent;

/// The buyers of a product, and how many of their orders count.
#[derive(Default, Fields)]
struct Buyers {
    users: std::collections::BTreeMap<Uuid, i64>,
}

impl View for Buyers {
    type Event = OrderEvent;
    type Change = (Uuid, i64);
    type Row = Self;
    const ID: u8 = 1;
    const NAME: &'static str = "buyers";

    fn change(event: &OrderEvent) -> Option<(Uuid, (Uuid, i64))> {
        Some(match event {
            OrderEvent::Placed(order) => (order.product_id, (order.user_id, 1)),
            OrderEvent::Cancelled(order) => (order.product_id, (order.user_id, -1)),
        })
    }

    fn fold(row: Option<Self>, of: (Uuid, i64), _: &EventMeta<'_>, _: &mut Parts<'_>) -> Folded<Self> {
        let Self { mut users } = row.unwrap_or_default();
        *users.entry(of.0).or_default() += of.1;
        users.retain(|_, orders| *orders != 0);
        Ok(Some(Self { users }))
    }
}

const BUYERS: Projection<OrderEvent> = Projection::of(1, &[ViewEntry::of::<Buyers>()]);

fn main() -> ExitCode {
    let queries = Queries::new().row::<Buyers>("/products/{product_id}/users");
    App::new("second_view", "Who bought this product").queries(BUYERS, queries).main()
}
