//! D's answers against what the file itself says, for every customer.

use futures_util::{StreamExt, TryStreamExt, stream};
use quickstart::client::{Client, ClientError};
use quickstart::shop::Urls;
use serde_json::{Value, json};

use crate::plan::{Customer, Plan, Product, expected};
use crate::play::{LANES_MAX, Played};

/// Largest page that D gives.
const PAGE: usize = 500;
/// Differences that are kept to be printed; all are counted.
pub(crate) const SHOWN_MAX: usize = 10;

/// Outcome of the comparison.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Customers whose answers were compared.
    pub(crate) customers: u64,
    /// Products in all these answers.
    pub(crate) products: u64,
    /// A sentence for each customer whose answer differs.
    pub(crate) differences: Vec<String>,
}

/// Compares D's answers for all customers of the plan.
///
/// # Errors
/// The first query that D did not answer.
pub(crate) async fn compare(
    client: &Client,
    urls: &Urls,
    plan: &Plan,
    played: &Played,
) -> Result<Comparison, ClientError> {
    let after = played.newest();
    let answers = stream::iter(&plan.customers).map(|customer| {
        let (user_id, after) = (&played.users[&customer.id].id, &after);
        async move { Ok::<_, ClientError>((customer, ordered_products(client, urls, user_id, after).await?)) }
    });
    let mut comparison = Comparison::default();
    let mut answers = answers.buffer_unordered(LANES_MAX);
    while let Some((customer, found)) = answers.try_next().await? {
        comparison.customers += 1;
        comparison.products += found.len() as u64;
        let wanted = wanted(customer, plan, played);
        if let Some(difference) = difference(&customer.id, &wanted, &found) {
            comparison.differences.push(difference);
        }
    }
    Ok(comparison)
}

fn wanted(customer: &Customer, plan: &Plan, played: &Played) -> Vec<Value> {
    let shown = expected(customer).into_iter().filter_map(|product| {
        let known = plan.products.iter().find(|known| known.stock_code == product.stock_code)?;
        let product_id = &played.products[&product.stock_code].id;
        Some(json!({
            "product_id": product_id, "title": title(known), "image": format!("{}.jpg", known.stock_code),
            "price_cents": known.price_cents, "discontinued": false,
            "quantity": product.quantity, "orders": product.orders,
        }))
    });
    shown.collect()
}

fn title(product: &Product) -> &str {
    product.titles.last().map_or(&product.stock_code, |(_, title)| title)
}

/// All pages, without the times, which the file does not decide.
async fn ordered_products(
    client: &Client,
    urls: &Urls,
    user_id: &str,
    after: &str,
) -> Result<Vec<Value>, ClientError> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let url = format!("{}/users/{user_id}/products?limit={PAGE}{cursor}", urls.query);
        let answer = client.get(&url).after(after).send_ok().await?;
        found.extend(answer.body["products"].as_array().into_iter().flatten().map(without_times));
        match answer.body["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(found),
        }
    }
}

fn without_times(product: &Value) -> Value {
    let mut product = product.clone();
    if let Some(members) = product.as_object_mut() {
        members.retain(|name, _| !name.ends_with("_ordered_at"));
    }
    product
}

fn difference(customer: &str, wanted: &[Value], found: &[Value]) -> Option<String> {
    if wanted == found {
        return None;
    }
    let at = wanted.iter().zip(found).position(|(wanted, found)| wanted != found);
    let at = at.unwrap_or(wanted.len().min(found.len()));
    let show = |list: &[Value]| list.get(at).map_or_else(|| "nothing".to_owned(), ToString::to_string);
    Some(format!(
        "customer {customer}: product {} of {} should be {}, D answers {} (of {})",
        at + 1,
        wanted.len(),
        show(wanted),
        show(found),
        found.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_and_a_wrong_product_are_differences() {
        let (a, b) = (json!({"product_id": "a", "quantity": 1}), json!({"product_id": "a", "quantity": 2}));
        assert_eq!(difference("1", &[a.clone()], &[a.clone()]), None);
        assert!(difference("1", &[a.clone()], &[b]).is_some_and(|text| text.contains("product 1 of 1")));
        assert!(difference("1", &[a.clone()], &[]).is_some_and(|text| text.contains("nothing")));
        assert!(difference("1", &[], &[a]).is_some());
    }

    #[test]
    fn times_are_left_out_of_the_comparison() {
        let product = json!({"product_id": "a", "first_ordered_at": "x", "last_ordered_at": "y"});
        assert_eq!(without_times(&product), json!({"product_id": "a"}));
    }
}
