//! Products as answers about users show them: few, read all the time, seldom changed; so they are kept in memory.

use std::sync::Arc;

use daybook_projection::Generation;
use projector::products::{self, ProductRow};
use uuid::Uuid;

use daybook_query::grounds::Grounds;
use daybook_query::refusal::Refusal;
use daybook_query::row_cache::{ReadAt, RowCache};
use daybook_query::serving::{Serving, unreadable};

/// Products of whatever is served.
#[derive(Debug, Default)]
pub(super) struct KnownProducts {
    rows: RowCache<ProductRow>,
}

/// Products for one answer.
#[derive(Debug, Clone)]
pub(super) struct ProductsAt {
    known: Arc<KnownProducts>,
    at: ReadAt,
}

impl KnownProducts {
    /// Products for an answer made from `serving` that rests on `grounds`.
    pub(super) fn at(self: &Arc<Self>, serving: &Serving, grounds: &Grounds) -> ProductsAt {
        let at = ReadAt::new(serving.number, grounds, schemas::products::TOPIC);
        ProductsAt { known: self.clone(), at }
    }
}

impl ProductsAt {
    /// One product. One that is not yet known here has nothing but its id: its events come by another topic than the
    /// orders, and may be later.
    pub(super) fn row(&self, generation: &Generation, product_id: Uuid) -> Result<Arc<ProductRow>, Refusal> {
        let read = || products::load(generation, product_id).map(Option::unwrap_or_default);
        self.known.rows.get(product_id, self.at, read).map_err(|error| unreadable(&error))
    }
}
