//! The answer to the smallest query: one row of a view.

use axum::http::HeaderName;
use axum::response::Response;
use daybook_event::{Event, headers};
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
        false => DependsOn::Topic(topic),
    });
    let responder = api.respond(request, &depends_on.collect::<Vec<_>>()).await?;
    responder.answer(1, move |generation, read_set| render::<V>(generation, id, id_name, read_set)).await
}

fn render<V: View>(
    generation: &Generation,
    id: Uuid,
    id_name: &'static str,
    mut read_set: ReadSet,
) -> Result<Body, ApiError>
where
    V::Event: Event,
{
    if !V::BY_RECORD_KEY {
        for topic in <V::Event as Event>::TOPICS {
            read_set.depends_on(topic.name, |_| true);
        }
    }
    let row = describe::<V>(generation, id).map_err(|error| unreadable(&error))?;
    let quarantined = read_set.quarantined();
    let Some(row) = row else {
        let absent = unknown(id_name.trim_end_matches("_id"), id);
        let waiting = read_set.header().map(|keys| (HeaderName::from_static(headers::QUARANTINED), keys));
        let told = if quarantined.is_empty() || V::BY_RECORD_KEY {
            absent
        } else {
            absent.with("quarantined", quarantined)
        };
        return Err(if V::BY_RECORD_KEY { told } else { told.with_headers(waiting) });
    };
    let mut members = vec![(id_name, json!(id))];
    if !row.is_object() {
        members.push((V::NAME, row.clone()));
    }
    if !quarantined.is_empty() {
        members.push(("quarantined", json!(quarantined)));
    }
    Body::of(&Members(members, row), 1, read_set)
}
