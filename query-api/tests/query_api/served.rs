//! What is served: the shop, with its queries.

pub(crate) use projector::projection;
pub(crate) use query_api::queries;
use schemas::ShopEvent;
pub(crate) use schemas::TOPICS;

/// What the log of these tests is made of.
pub(crate) type Happened = ShopEvent;

pub(crate) fn topic_of(event: &ShopEvent) -> &'static str {
    match event {
        ShopEvent::User(_) => schemas::users::TOPIC,
        ShopEvent::Product(_) => schemas::products::TOPIC,
        ShopEvent::Order(_) => schemas::orders::TOPIC,
    }
}
