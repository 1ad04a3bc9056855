//! No broker: one sentence, in bounded time.

use std::io::{self, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daybook_kafka::embedded::EmbeddedBroker;
use daybook_kafka::{Kafka, LogError, topics};
use tracing_subscriber::fmt::MakeWriter;

fn kafka_at(brokers: String) -> Kafka {
    Kafka { brokers, options: Vec::new(), topic_prefix: String::new(), embedded: false }
}

#[test]
fn nobody_listening_is_said_with_the_brokers_and_the_remedy() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error = topics::wait_reachable(&kafka_at(free.clone()), Duration::from_millis(700)).unwrap_err();
    assert!(matches!(&error, LogError::Unreachable { waited_ms: 700.., .. }), "{error}");
    let sentence = error.to_string();
    for part in [free.as_str(), "waited", "--brokers", "Connection refused"] {
        assert!(sentence.contains(part), "{sentence}");
    }
}

#[test]
fn a_listener_that_never_answers_is_given_up_too() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let error = topics::wait_reachable(&kafka_at(address), Duration::from_millis(200)).unwrap_err();
    assert!(matches!(error, LogError::Unreachable { .. }), "{error}");
}

#[test]
fn a_stopped_embedded_broker_is_unreachable() {
    let broker = EmbeddedBroker::start().unwrap();
    let kafka = broker.kafka("");
    drop(broker);
    let error = topics::wait_reachable(&kafka, Duration::from_millis(200)).unwrap_err();
    assert!(matches!(error, LogError::Unreachable { .. }), "{error}");
}

/// Each client has words of its own for it.
#[test]
fn an_outage_is_told_by_kind_and_not_by_client() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let kafka = kafka_at(free);
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false).finish();
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..20 {
            topics::wait_reachable(&kafka, Duration::from_millis(100)).unwrap_err();
        }
    });
    let said = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(said.lines().count() <= 1, "{said}");
}

/// What is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}
