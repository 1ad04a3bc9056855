//! The answer to the smallest query: one row of a view.

use axum::response::Response;
use daybook_event::Event;
use daybook_projection::{Generation, View, describe};
use daybook_service::http::ApiError;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::Api;
use super::as_of::{DependsOn, ReadSet};
use super::errors::{unknown, unreadable};
use super::request::QueryRequest;
use super::responder::Body;

/// Members in the order in which they are shown.
struct Members(Vec<(&'static str, Value)>, Value);

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let own = self.0.iter().map(|(name, value)| (*name, value));
        let is_own = |name: &str| self.0.iter().any(|(own, _)| *own == name);
        let of_row = self.1.as_object().into_iter().flatten().filter(|(name, _)| !is_own(name));
        to.collect_map(own.chain(of_row.map(|(name, value)| (name.as_str(), value))))
    }
}

/// Answers with the row whose key the path names.
pub(super) async fn answer<V: View>(
    api: &Api,
    request: &QueryRequest,
    id_name: &'static str,
) -> Result<Response, ApiError>
where
    V::Event: Event,
{
    let id = request.id()?;
    request.no_parameters()?;
    let topics = <V::Event as Event>::TOPICS.iter().map(|topic| topic.name);
    let depends_on = topics.map(|topic| match V::BY_RECORD_KEY {
        true => DependsOn::Key(topic, id),
        false => DependsOn::Whole(topic),
    });
    let responder = api.respond(request, &depends_on.collect::<Vec<_>>()).await?;
    responder.answer(1, move |generation, read_set| render::<V>(generation, id, id_name, read_set)).await
}

fn render<V: View>(
    generation: &Generation,
    id: Uuid,
    id_name: &'static str,
    read_set: ReadSet,
) -> Result<Body, ApiError>
where
    V::Event: Event,
{
    let row = describe::<V>(generation, id).map_err(|error| unreadable(&error))?;
    let row = row.ok_or_else(|| unknown(id_name.trim_end_matches("_id"), id))?;
    let mut members = vec![(id_name, json!(id))];
    if !row.is_object() {
        members.push((V::NAME, row.clone()));
    }
    let quarantined = read_set.quarantined();
    if !quarantined.is_empty() {
        members.push(("quarantined", json!(quarantined)));
    }
    Body::of(&Members(members, row), 1, read_set)
}
