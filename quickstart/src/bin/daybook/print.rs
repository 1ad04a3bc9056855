//! What the run shows, on standard output.

use daybook::AppSettings;
use quickstart::client::Answer;
use quickstart::shop::Urls;
use serde_json::Value;

use crate::log_line::LogLine;

/// Where everything runs.
pub(crate) fn site(settings: &AppSettings, sandbox: bool) {
    println!("Daybook: services A, B, C and D in one process");
    if sandbox {
        println!(
            "  broker  {} (librdkafka's mock cluster: in memory, gone at the end)",
            settings.kafka.brokers
        );
        println!("  data    {} (temporary, gone at the end)", settings.data_dir.display());
        println!("  This is a sandbox. To keep data, name a real Kafka: --brokers HOST:PORT --data-dir DIR");
    } else {
        println!("  broker  {}", settings.kafka.brokers);
        println!("  data    {} (kept)", settings.data_dir.display());
    }
}

/// Headline of a step.
pub(crate) fn step(what: &str) {
    println!("\n{what}");
}

/// A request, as `curl` would send it.
pub(crate) fn request(method: &str, url: &str, body: Option<&Value>) {
    let body = body.map(|body| format!("  {body}")).unwrap_or_default();
    println!("  {method} {url}{body}");
}

/// What came back.
pub(crate) fn answer(answer: &Answer) {
    let token = answer.token.as_ref().map(|token| format!("  Daybook-Token: {token}")).unwrap_or_default();
    println!("  {} {}{token}", answer.status, answer.body);
}

/// An event as it lies in the log.
pub(crate) fn event(line: &LogLine) {
    println!("  in the log at {} offset {}:", line.place, line.offset);
    println!("  {}", line.value);
}

/// Both read models side by side.
pub(crate) fn rebuilt(events: u64, before: (&str, &str), after: (&str, &str), same_answer: bool) {
    println!("  {events} events replayed from offset zero");
    println!("  digest of {}  {}", before.0, before.1);
    println!("  digest of {}  {}", after.0, after.1);
    println!("  same digest: {}", yes_or_no(before.1 == after.1));
    println!("  same answer: {}", yes_or_no(same_answer));
}

fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "NO" }
}

/// Addresses, and three lines to try.
pub(crate) fn serving(urls: &Urls, question: Option<&str>) {
    let Urls { users, products, orders, query } = urls;
    println!("\nServing until Ctrl-C");
    println!(
        "  A users     {users}\n  B products  {products}\n  C orders    {orders}\n  D query-api {query}"
    );
    println!("\nTry:");
    println!(
        "  curl -i {users}/users --json '{{\"email\":\"joe@example.com\",\"name\":\"Joe\",\"address\":\"2 Main Street\"}}'"
    );
    println!("  curl {}", question.unwrap_or(&format!("{query}/products")));
    println!("  curl {query}/status");
}
