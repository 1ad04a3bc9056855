//! What the run did, on standard output.

use std::time::Duration;

use quickstart::client::{Client, ClientError};
use quickstart::shop::Urls;

use crate::compare::{Comparison, SHOWN_MAX};
use crate::plan::Plan;
use crate::play;

/// Events of all topics that D has projected, as its `/status` says.
///
/// # Errors
/// If D does not answer.
pub(crate) async fn events_in_log(client: &Client, urls: &Urls) -> Result<u64, ClientError> {
    let status = client.get(&format!("{}/status", urls.query)).send_ok().await?.body;
    let partitions = status["partitions"].as_array().into_iter().flatten();
    Ok(partitions.filter_map(|partition| partition["position"].as_u64()).map(|last| last + 1).sum())
}

/// Prints the summary.
pub(crate) fn print(plan: &Plan, elapsed: Duration, new_events: u64, comparison: &Comparison) {
    let skipped: u64 = plan.skipped.values().sum();
    println!("lines taken     {:>7}", plan.taken);
    println!("lines skipped   {skipped:>7}");
    for (reason, lines) in &plan.skipped {
        println!("                {lines:>7}  {reason}");
    }
    println!("customers       {:>7}", plan.customers.len());
    println!("products        {:>7}", plan.products.len());
    let commands = play::commands(plan);
    let rate = commands as f64 / elapsed.as_secs_f64().max(f64::EPSILON);
    println!("commands        {commands:>7}  in {:.1} s, {rate:.0}/s", elapsed.as_secs_f64());
    println!("new events      {new_events:>7}  (0 when every line had been imported before)");
    print_comparison(comparison);
}

fn print_comparison(comparison: &Comparison) {
    let Comparison { customers, products, differences } = comparison;
    if differences.is_empty() {
        println!("D's answers for all {customers} customers ({products} ordered products) equal the file.");
        return;
    }
    println!("D's answers differ from the file for {} of {customers} customers:", differences.len());
    for difference in differences.iter().take(SHOWN_MAX) {
        println!("  {difference}");
    }
}
