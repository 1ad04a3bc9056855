//! A user who asks D again and again: no answer may fail, and none may go back in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use quickstart::client::Client;
use tokio::task::JoinHandle;

use crate::wait;

/// Asks until it is stopped.
pub struct Reader {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    reads: AtomicU64,
    orders: AtomicU64,
}

impl Reader {
    /// Asks `url`, which answers with the products that a user has ordered. The orders of the first of them must never be
    /// fewer than `orders`, nor fewer than in the answer before.
    pub fn start(client: &Client, url: String, orders: u64) -> Self {
        let shared = Arc::new(Shared { orders: orders.into(), ..Shared::default() });
        let task = tokio::spawn(read(client.clone(), url, Arc::clone(&shared)));
        Self { shared, task }
    }

    /// Orders in the newest answer.
    pub fn orders(&self) -> u64 {
        self.shared.orders.load(Ordering::Relaxed)
    }

    /// Waits until so many further questions have been answered.
    pub async fn goes_on(&self, reads: u64) {
        let enough = self.shared.reads.load(Ordering::Relaxed) + reads;
        let deadline = tokio::time::Instant::now() + wait::DEADLINE;
        while self.shared.reads.load(Ordering::Relaxed) < enough {
            assert!(!self.task.is_finished(), "an answer was wrong");
            assert!(tokio::time::Instant::now() < deadline, "answers no longer come");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Stops asking. Fails if any answer was wrong.
    pub async fn stop(self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("every answer was right");
        assert!(self.shared.reads.load(Ordering::Relaxed) > 0, "nothing was answered");
    }
}

async fn read(client: Client, url: String, shared: Arc<Shared>) {
    while !shared.stop.load(Ordering::Relaxed) {
        let answer = client.get(&url).send().await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let orders = answer.body["products"][0]["orders"].as_u64().unwrap_or(0);
        let seen = shared.orders.swap(orders, Ordering::Relaxed);
        assert!(orders >= seen, "an answer went back from {seen} orders to {orders}");
        shared.reads.fetch_add(1, Ordering::Relaxed);
    }
}
