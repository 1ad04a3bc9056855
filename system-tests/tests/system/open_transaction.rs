//! Another program has a transaction open in A's topic, and aborts it at last: whoever went by the last stable offset would
//! not see what lies behind its beginning. Only a real Kafka has transactions.

use std::collections::{BTreeMap, BTreeSet};

use daybook_event::{claim, envelope};
use daybook_kafka::testing::ForeignTransaction;
use daybook_kafka::{Kafka, LogError, Span, Start, read_spans, topics};
use serde_json::{Value, json};
use system_tests::broker::{PARTITIONS, TestBroker};
use system_tests::site::Site;
use system_tests::wait::DEADLINE;
use uuid::Uuid;

const USERS: &str = schemas::users::TOPIC;
/// Sign-ups before the transaction, and in it: some for every partition.
const SIGN_UPS: usize = 12;

/// What the log holds of A, superseded or not.
#[derive(Default)]
struct Written {
    /// Per partition and position: ids of events.
    events: BTreeMap<(i32, u64), BTreeSet<Uuid>>,
    /// Per partition and epoch: ids of claims.
    claims: BTreeMap<(i32, u32), BTreeSet<Uuid>>,
    emails: Vec<String>,
}

impl Written {
    fn read(kafka: &Kafka) -> Self {
        let all: Vec<_> = (0..PARTITIONS).map(|partition| (USERS, partition)).collect();
        let ends = topics::all_watermarks(kafka, &all).expect("the ends");
        let start = |partition| Start { topic: USERS.to_owned(), partition, offset: 0 };
        let span =
            |(partition, held): (i32, topics::Watermarks)| Span { start: start(partition), end: held.high };
        let spans: Vec<_> = (0..).zip(ends).map(span).collect();
        let mut written = Self::default();
        read_spans::<LogError>(kafka, &spans, DEADLINE, |record| {
            written.take(record.partition(), record.value());
            Ok(())
        })
        .expect("a readable log");
        written
    }

    fn take(&mut self, partition: i32, value: Option<&[u8]>) {
        if let Some(claim) = claim::open(value) {
            let claim = claim.expect("a claim");
            self.claims.entry((partition, claim.epoch)).or_default().insert(claim.id);
        } else if let Ok(event) = envelope::open(value, Vec::new) {
            self.events.entry((partition, event.position)).or_default().insert(event.id);
            let data: Value = serde_json::from_str(event.data.get()).expect("JSON");
            self.emails.extend(data["email"].as_str().map(str::to_owned));
        }
    }

    #[track_caller]
    fn has_one_writer_and_all_of(&self, acknowledged: &[String]) {
        let twice: Vec<_> = self.claims.iter().filter(|(_, ids)| ids.len() > 1).collect();
        assert!(twice.is_empty(), "claimed twice with one epoch: {twice:?}");
        let forks: Vec<_> = self.events.iter().filter(|(_, ids)| ids.len() > 1).collect();
        assert!(forks.is_empty(), "one position, two events: {forks:?}");
        let lost: Vec<_> = acknowledged.iter().filter(|email| !self.emails.contains(email)).collect();
        assert!(lost.is_empty(), "acknowledged, and not in the log: {lost:?}");
    }
}

/// Emails that were acknowledged of those that were asked for.
async fn sign_up(site: &Site, label: &str) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0..SIGN_UPS {
        let email = format!("{label}-{number}@example.com");
        let body = json!({ "email": email, "name": "Jill", "address": "1 Main Street" });
        let answer = site.client.post(&format!("{}/users", site.urls.users), &body).send().await;
        match answer.expect("an answer").status {
            201 => acknowledged.push(email),
            status => assert_eq!(status, 503),
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DAYBOOK_TEST_BROKERS"]
async fn an_open_transaction_of_another_program_costs_no_user_and_makes_no_second_writer() {
    let mut site = Site::start(TestBroker::real()).await;
    assert_eq!(site.users.take().expect("it runs").terminate().code(), Some(0));
    let cautious = ["--answer-after", "kafka", "--kafka-wait-ms-max", "300"];
    (site.users, site.urls.users) = site.service_unready_with("users", "users", &cautious);
    let kafka = site.broker.kafka().clone();
    let mut acknowledged = sign_up(&site, "before").await;
    assert_eq!(acknowledged.len(), SIGN_UPS);

    let foreign = ForeignTransaction::begin(&kafka, &kafka.topic_name("neighbour")).expect("a transaction");
    let key = Uuid::now_v7().to_string();
    for partition in 0..PARTITIONS {
        foreign.write(USERS, partition, key.as_bytes(), b"hello").expect("it is written");
    }
    acknowledged.extend(sign_up(&site, "within").await);
    // D goes by the high watermark as well: it knows that there is something that is no event.
    let is_set_aside = |status: &Value| status["set_aside_records"] == json!(PARTITIONS);
    site.status_when("D sets the records aside", is_set_aside).await;
    for (aborted, label) in [(false, "again"), (true, "aborted")] {
        if aborted {
            foreign.abort().expect("it is aborted");
        }
        site.users.take().expect("it runs").kill();
        (site.users, site.urls.users) = site.service_with("users", "users", &cautious).await;
        acknowledged.extend(sign_up(&site, label).await);
        assert_eq!(acknowledged.iter().filter(|email| email.starts_with(label)).count(), SIGN_UPS);
        Written::read(&kafka).has_one_writer_and_all_of(&acknowledged);
    }
}
