//! The relay on a broker: order, contiguity, restarts, and what it keeps.

use std::time::Duration;

use daybook_kafka::{testing, topics};
use serde_json::json;

use super::toy::{Toys, router};
use crate::testing::{Call, Log, PARTITIONS, TestService, broker, eventually, kafka_is_away};

/// Makes toys from several clients at once; returns how many.
async fn burst(toys: &TestService<Toys>, label: &str, clients: usize, each: usize) -> usize {
    let client = |client: usize| {
        let (router, label) = (toys.router.clone(), label.to_owned());
        tokio::spawn(async move {
            for number in 0..each {
                let name = format!("{label} {client} {number}");
                Call::post("/toys", &json!({"name": name})).send(&router).await.is(201);
            }
        })
    };
    let clients: Vec<_> = (0..clients).map(client).collect();
    let count = clients.len() * each;
    for client in clients {
        client.await.unwrap();
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_arrives_once_and_in_order() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let count = burst(&toys, "toy", 16, 25).await;
    toys.relayed();
    let log = Log::read(&broker.kafka(""), "toys.events");
    assert_eq!(log.partitions.iter().map(Vec::len).sum::<usize>(), count, "nothing was repeated");
    assert_eq!(log.events().len(), count);
    assert!(log.partitions.iter().all(|records| !records.is_empty()), "all partitions are used");
    for (key, value) in log.partitions.iter().flatten() {
        let event: serde_json::Value = serde_json::from_slice(value).unwrap();
        assert_eq!(event["subject"], **key);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_say_what_they_are() {
    let broker = broker();
    let kafka = broker.kafka("");
    let toys = TestService::<Toys>::start(kafka.clone(), router);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    Call::post("/toys", &json!({"name": "bear"}))
        .header("traceparent", trace)
        .send(&toys.router)
        .await
        .is(201);
    toys.relayed();
    let tails =
        (0..PARTITIONS).map(|partition| testing::tail_record(&kafka, "toys.events", partition).unwrap());
    let event = |record: &topics::OwnedRecord| daybook_event::claim::open(record.value.as_deref()).is_none();
    let record = tails.flatten().find(event).unwrap();
    let content_type = ("content-type".to_owned(), b"application/cloudevents+json; charset=UTF-8".to_vec());
    assert_eq!(record.headers, [content_type, ("traceparent".to_owned(), trace.as_bytes().to_vec())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kafka_did_not_get_before_a_stop_it_gets_after_the_start() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let mut count = burst(&toys, "first", 4, 5).await;
    for round in 0..4 {
        // Every other time Kafka takes nothing; always the service stops without waiting for it.
        let away = round % 2 == 0;
        toys.restart(|settings| {
            settings.kafka.options.clear();
            settings.limits.drain_timeout = Duration::ZERO;
            if away {
                kafka_is_away(settings);
            }
        })
        .unwrap();
        count += burst(&toys, &format!("round {round}"), 4, 5).await;
    }
    toys.restart(|settings| settings.kafka.options.clear()).unwrap();
    toys.relayed();
    assert_eq!(Log::read(&broker.kafka(""), "toys.events").events().len(), count);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_service_hands_its_outbox_over_first() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let count = burst(&toys, "toy", 8, 25).await;
    toys.stop();
    let log = Log::read(&broker.kafka(""), "toys.events");
    assert_eq!(log.partitions.iter().map(Vec::len).sum::<usize>(), count);
}

/// Kafka refuses the second event for good; it and all later ones of its partition wait, none is skipped.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_kafka_refuses_is_never_skipped() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
        settings.kafka.options = vec![("message.max.bytes".to_owned(), "3000".to_owned())];
        settings.limits.drain_timeout = Duration::ZERO;
    });
    let made = Call::post("/toys", &json!({"name": "small"})).send(&toys.router).await;
    let path = format!("/toys/{}", made.is(201).text("toy_id"));
    Call::delete(&path).send(&toys.router).await.is(204);
    toys.relayed();
    Call::post("/toys", &json!({"name": "x".repeat(4_000)})).send(&toys.router).await.is(201);
    burst(&toys, "later", 1, 30).await;
    let failures = || toys.service().metrics.relay_failures.get();
    eventually("the relay to begin again", || (failures() >= 2).then_some(()));
    let ready = Call::get("/health/ready").send(&toys.router).await.is(200).json();
    assert!(ready["relay"]["unsent_events"].as_u64() >= Some(1), "{ready}");
    assert!(ready["relay"]["trouble"].as_str().is_some_and(|said| said.contains("too large")), "{ready}");
    toys.restart(|settings| settings.kafka.options.clear()).unwrap();
    toys.relayed();
    assert_eq!(Log::read(&broker.kafka(""), "toys.events").events().len(), 33);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_older_segments_sent_events_are_kept_up_to_their_number_and_age() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
        settings.limits.kept_events_max = 1;
    });
    burst(&toys, "toy", 1, 60).await;
    toys.relayed();
    let kept = |toys: &TestService<Toys>| toys.journaled().len();
    assert_eq!(kept(&toys), 60, "the segment that is written is not counted");
    toys.restart(|_| {}).unwrap();
    burst(&toys, "another toy", 1, 60).await;
    eventually("old events to go", || (kept(&toys) == 60).then_some(()));
    toys.restart(|settings| settings.limits.kept_age_max = Duration::ZERO).unwrap();
    eventually("all events to be too old", || (kept(&toys) == 0).then_some(()));
    toys.restart(|_| {}).unwrap();
}

/// The log is asked, not our own mark: what was acknowledged and is not there is to be sent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_distrusted_is_compared_anew_while_the_service_runs() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    burst(&toys, "sent", 1, 20).await;
    toys.restart(kafka_is_away).unwrap();
    burst(&toys, "lost", 1, 10).await;
    let positions = &toys.service().positions;
    let durable = positions.snapshot().durable;
    positions.set_acknowledged(&durable.into_iter().map(Some).collect::<Vec<_>>());
    assert_eq!(positions.unsent(), 0);
    positions.distrust_log(0, "an election".to_owned());
    eventually("the lost events to be unsent again", || (positions.unsent() == 10).then_some(()));
    toys.restart(|settings| settings.kafka.options.clear()).unwrap();
    toys.relayed();
    assert_eq!(Log::read(&broker.kafka(""), "toys.events").events().len(), 30);
}
