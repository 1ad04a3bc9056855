//! Products as answers about users show them: few, read all the time, seldom changed; so they are kept in memory.

use std::sync::Arc;

use daybook_projection::Generation;
use projector::products::{self, ProductRow};
use uuid::Uuid;

use daybook_query::errors::unreadable;
use daybook_query::responder::Responder;
use daybook_query::row_cache::{ReadAt, RowCache};
use daybook_service::http::ApiError;

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
    /// Products for one answer.
    pub(super) fn at(self: &Arc<Self>, responder: &Responder) -> ProductsAt {
        let at = ReadAt::new(responder.serving().number, responder.as_of(), schemas::products::TOPIC);
        ProductsAt { known: self.clone(), at }
    }
}

impl ProductsAt {
    /// One product. One that is not yet known here has nothing but its id: its events come by another topic than the
    /// orders, and may be later.
    pub(super) fn row(&self, generation: &Generation, product_id: Uuid) -> Result<Arc<ProductRow>, ApiError> {
        let read = || products::load(generation, product_id).map(Option::unwrap_or_default);
        self.known.rows.get(product_id, self.at, read).map_err(|error| unreadable(&error))
    }
}
