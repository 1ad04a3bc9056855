//! From sending a command until D's answer shows it, at a steady rate of commands.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::Value;

use crate::broker::Broker;
use crate::load::{Connection, get, post};
use crate::shop::{BenchShop, address};
use crate::{Outcome, Scale};

/// Orders per second.
const RATE: u64 = 500;
/// Connections that share the rate; each waits for D before it goes on.
const CLIENTS: u64 = 50;
/// Largest time that the histogram holds, in microseconds.
const TIME_US_MAX: u64 = 60_000_000;

/// Measures with the first order of each client left out as a warm-up.
pub(crate) async fn measure(broker: &Broker, scale: &Scale) -> Outcome {
    let bench = BenchShop::start(broker, "visible").await?;
    let seconds = scale.seconds * scale.runs as u64;
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let client = Client::open(&bench, number).await?;
        clients.spawn(client.run(Duration::from_secs(seconds)));
    }
    let mut all = Times::new()?;
    while let Some(times) = clients.join_next().await {
        all.add(&times??)?;
    }
    bench.stop().await?;
    all.print(seconds);
    Ok(())
}

struct Times {
    answered: Histogram<u64>,
    visible: Histogram<u64>,
}

impl Times {
    fn new() -> Outcome<Self> {
        let histogram = || Histogram::new_with_bounds(1, TIME_US_MAX, 3);
        Ok(Self { answered: histogram()?, visible: histogram()? })
    }

    fn add(&mut self, other: &Self) -> Outcome {
        self.answered.add(&other.answered)?;
        Ok(self.visible.add(&other.visible)?)
    }

    fn print(&self, seconds: u64) {
        let rate = self.visible.len() as f64 / seconds as f64;
        println!("write to visible, {} orders at {rate:.0}/s (wanted: {RATE}/s)", self.visible.len());
        for (what, times) in
            [("command answered (durable)", &self.answered), ("visible in D's answer", &self.visible)]
        {
            let at = |quantile| times.value_at_quantile(quantile) as f64 / 1_000.0;
            println!("  {what:<46} p50 {:>7.2} ms  p99 {:>7.2} ms", at(0.5), at(0.99));
        }
        let ratio = self.visible.value_at_quantile(0.5) as f64 / self.answered.value_at_quantile(0.5) as f64;
        println!("  ratio of the p50s {ratio:>42.2}\n");
    }
}

struct Client {
    orders: Connection,
    query: Connection,
    user_id: String,
    order: Vec<u8>,
}

impl Client {
    async fn open(bench: &BenchShop, number: u64) -> Outcome<Self> {
        let urls = &bench.urls;
        let email =
            format!(r#"{{"email":"{number}@visible.example","name":"Client","address":"12 Long Street"}}"#);
        let (user_id, user_token) = make(&urls.users, "/users", &email, "user_id").await?;
        let product = r#"{"title":"pants","image":"pants.jpg"}"#;
        let (product_id, product_token) = make(&urls.products, "/products", product, "product_id").await?;
        let body = format!(r#"{{"user_id":"{user_id}","product_id":"{product_id}"}}"#);
        let after = format!("daybook-after: {user_token},{product_token}\r\n");
        Ok(Self {
            orders: Connection::open(address(&urls.orders)?).await?,
            query: Connection::open(address(&urls.query)?).await?,
            user_id,
            order: post("/orders", &after, &body),
        })
    }

    async fn run(mut self, time: Duration) -> Outcome<Times> {
        let mut times = Times::new()?;
        self.order(&mut Times::new()?).await?;
        let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 * CLIENTS / RATE));
        let until = Instant::now() + time;
        while Instant::now() < until {
            ticks.tick().await;
            self.order(&mut times).await?;
        }
        Ok(times)
    }

    async fn order(&mut self, times: &mut Times) -> Outcome {
        let sent = Instant::now();
        let answer = self.orders.send(&self.order).await?;
        times.answered.saturating_record(microseconds(sent));
        let token = answer.header("daybook-token").ok_or_else(|| answer.head.clone())?;
        let path = format!("/users/{}/products?limit=1", self.user_id);
        let seen = self.query.send(&get(&path, &format!("daybook-after: {token}\r\n"))).await?;
        if seen.status != 200 {
            return Err(seen.head.into());
        }
        times.visible.saturating_record(microseconds(sent));
        Ok(())
    }
}

async fn make(url: &str, path: &str, body: &str, id: &str) -> Outcome<(String, String)> {
    let answer = Connection::open(address(url)?).await?.send(&post(path, "", body)).await?;
    let token = answer.header("daybook-token").ok_or_else(|| answer.head.clone())?.trim().to_owned();
    let made: Value = serde_json::from_slice(&answer.body)?;
    Ok((made[id].as_str().unwrap_or_default().to_owned(), token))
}

fn microseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(TIME_US_MAX)
}
