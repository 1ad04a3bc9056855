//! What is served: the bank that the projection's tests have, with three queries. Its events here have short ids.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use daybook_event::Event as _;
use daybook_projection::{Generation, View as _, load};
use daybook_query::Queries;
use daybook_query::api::Api;
use daybook_query::as_of::{DependsOn, ReadSet};
use daybook_query::errors::{unknown, unreadable};
use daybook_query::request::QueryRequest;
use daybook_query::responder::Body;
use daybook_service::http::ApiError;
use serde_json::json;
use uuid::Uuid;

use crate::domain::{self, BankEvent, DepositEvent, FundEvent, OwnerEvent};
pub(crate) use crate::domain::{Happened, layout, projection, topic_of};
use crate::views::{self, FundRow, Funds, OwnerRow};

pub(crate) const TOPICS: [&str; 3] = [OWNERS, FUNDS, DEPOSITS];
const OWNERS: &str = OwnerEvent::TOPICS[0].name;
const FUNDS: &str = FundEvent::TOPICS[0].name;
const DEPOSITS: &str = DepositEvent::TOPICS[0].name;

/// Ids that are short to write.
pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(crate) fn joined(owner: u128) -> BankEvent {
    domain::joined(id(owner))
}

pub(crate) fn launched(fund: u128, title: &str, price_cents: Option<i64>) -> BankEvent {
    domain::launched(id(fund), title, price_cents)
}

pub(crate) fn paid_in(deposit: u128, owner: u128, fund: u128, amount: u32) -> BankEvent {
    domain::paid_in(id(deposit), id(owner), id(fund), amount)
}

pub(crate) fn queries() -> Queries {
    Queries::new()
        .route("/owners/{owner_id}/deposits", get(deposits))
        .route("/funds", get(funds))
        .route("/funds/{fund_id}", get(fund))
}

/// An owner's deposits, with the titles of their funds.
async fn deposits(State(api): State<Arc<Api>>, request: QueryRequest) -> Result<Response, ApiError> {
    let (owner_id, limit) = (request.id()?, request.page()?.limit);
    let depends_on =
        [DependsOn::Key(OWNERS, owner_id), DependsOn::Key(DEPOSITS, owner_id), DependsOn::Topic(FUNDS)];
    let responder = api.respond(&request, &depends_on).await?;
    responder.answer(limit, move |generation, read_set| owners(generation, owner_id, limit, read_set)).await
}

fn owners(
    generation: &Generation,
    owner_id: Uuid,
    limit: usize,
    mut read_set: ReadSet,
) -> Result<Body, ApiError> {
    if views::owner(generation, owner_id) != Some(OwnerRow::Active) {
        return Err(unknown("owner", owner_id));
    }
    let mut deposits = views::deposits(generation, owner_id);
    deposits.truncate(limit);
    let shown: Vec<_> = deposits.iter().map(|deposit| deposit.fund_id).collect();
    read_set.shows(FUNDS, shown.iter().copied());
    read_set.depends_on(FUNDS, |key| shown.contains(&key));
    let mut items = Vec::new();
    for deposit in &deposits {
        let title = row(generation, deposit.fund_id)?.and_then(|fund| fund.title);
        items.push(json!({ "deposit_id": deposit.deposit_id, "fund_id": deposit.fund_id, "title": title }));
    }
    let content = json!({ "owner_id": owner_id, "deposits": items, "quarantined": read_set.quarantined() });
    Body::of(&content, items.len(), read_set)
}

async fn funds(State(api): State<Arc<Api>>, request: QueryRequest) -> Result<Response, ApiError> {
    let limit = request.page()?.limit;
    let responder = api.respond(&request, &[DependsOn::Topic(FUNDS)]).await?;
    let read = move |generation: &Generation, mut read_set: ReadSet| {
        let rows = generation.scan(Funds::ID, None, limit).map_err(|error| unreadable(&error))?;
        read_set.shows(FUNDS, rows.iter().map(|(fund_id, _)| *fund_id));
        read_set.depends_on(FUNDS, |_| true);
        let funds: Vec<_> = rows.iter().map(|(fund_id, row)| (fund_id, Funds::decode(row).ok())).collect();
        Body::of(&json!({ "funds": funds }), funds.len(), read_set)
    };
    responder.answer(limit, read).await
}

async fn fund(State(api): State<Arc<Api>>, request: QueryRequest) -> Result<Response, ApiError> {
    let fund_id = request.id()?;
    let responder = api.respond(&request, &[DependsOn::Key(FUNDS, fund_id)]).await?;
    let read = move |generation: &Generation, read_set| {
        let row = row(generation, fund_id)?.ok_or_else(|| unknown("fund", fund_id))?;
        Body::of(&row, 1, read_set)
    };
    responder.answer(1, read).await
}

fn row(generation: &Generation, fund_id: Uuid) -> Result<Option<FundRow>, ApiError> {
    load::<Funds>(generation, fund_id).map_err(|error| unreadable(&error))
}
