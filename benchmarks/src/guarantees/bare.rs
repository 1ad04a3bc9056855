//! What Kafka alone gives as many clients as commands have: a bare producer, each client with one record in flight.

use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use daybook_kafka::topics::{self, TopicSpec};
use daybook_kafka::{Delivery, Outgoing, Writer};

use super::service::CLIENTS;
use crate::Outcome;
use crate::broker::Broker;
use crate::load::{Load, Times};
use crate::loader::PARTITIONS;

const TOPIC: &str = "records";
/// How long one record may take.
const DELIVERED_WITHIN: Duration = Duration::from_secs(60);

type Delivered = Receiver<(usize, Result<(), String>)>;

/// A producer with the settings that a service has, and nothing before it.
pub(super) struct Bare {
    writer: Writer,
    delivered: Delivered,
    sent: Vec<Instant>,
}

impl Bare {
    /// On a topic of its own, which lies on `brokers` brokers.
    pub(super) fn open(broker: &Broker, brokers: i32) -> Outcome<Self> {
        let kafka = broker.kafka(&format!("bench-bare-{}-", std::process::id()));
        topics::ensure(&kafka, TOPIC, &TopicSpec { partitions: PARTITIONS, replication_factor: brokers })?;
        let (sender, delivered) = mpsc::channel();
        let writer = Writer::open(&kafka, move |delivery: Delivery<'_>| {
            let result = delivery.result.map(|_| ()).map_err(|error| error.to_string());
            // An error means that the measurement is over.
            let _ = sender.send((delivery.tag as usize, result));
        })?;
        Ok(Self { writer, delivered, sent: vec![Instant::now(); CLIENTS] })
    }

    /// Keeps every client's record in flight for some seconds.
    pub(super) fn records(&mut self, seconds: u64) -> Outcome<Load> {
        let mut times = Times::begin()?;
        let until = Instant::now() + Duration::from_secs(seconds);
        (0..CLIENTS).try_for_each(|client| self.send(client, 0))?;
        let (mut number, mut in_flight) = (0, CLIENTS);
        while in_flight > 0 {
            let (client, result) = self.delivered.recv_timeout(DELIVERED_WITHIN)?;
            result?;
            times.took(self.sent[client].elapsed());
            if Instant::now() < until {
                number += 1;
                self.send(client, number)?;
            } else {
                in_flight -= 1;
            }
        }
        Ok(times.end())
    }

    fn send(&mut self, client: usize, number: u64) -> Outcome {
        // As long as a sign-up is in the log.
        let value = format!(
            r#"{{"specversion":"1.0","id":"{number:032x}","client":{client},"data":"{:0>300}"}}"#,
            number * 7_919
        );
        self.sent[client] = Instant::now();
        let partition = (client % PARTITIONS as usize) as i32;
        Ok(self.writer.send(Outgoing {
            topic: TOPIC,
            partition,
            key: client.to_string().as_bytes(),
            value: value.as_bytes(),
            headers: &[],
            tag: client as u64,
        })?)
    }
}
