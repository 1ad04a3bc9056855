//! Which options of librdkafka may be set by `--kafka KEY=VALUE`: all but those on which a guarantee rests.

use std::convert::Infallible;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

const WHY_BROKERS: &str = "the brokers are given by --brokers";
const WHY_DURABLE: &str = "an acknowledged event must be on all in-sync replicas";
const WHY_IN_ORDER: &str = "events must get into the log once, in order and without a gap";
const WHY_PARTITION: &str = "Daybook chooses the partition itself, as Kafka's default partitioner does";
const WHY_REPORTED: &str = "every record's delivery must be reported";
const WHY_NO_GROUP: &str = "Daybook keeps its checkpoints in its own stores and uses no consumer group";
const WHY_NO_RESET: &str = "a missing offset must stop the reader, not move it";
const WHY_HIGH_WATERMARK: &str = "another program's open transaction would hide the events behind it, and two services could write one topic";
const WHY_TOPICS: &str =
    "a topic that the broker creates by itself may drop events; Daybook creates its topics";
const WHY_QUEUE: &str =
    "events of partitions that take nothing would fill a smaller queue and keep all others waiting";
const WHY_OWN: &str = "Daybook needs it as it is";

const REFUSED: &[(&str, &str)] = &[
    ("acks", WHY_DURABLE),
    ("allow.auto.create.topics", WHY_TOPICS),
    ("auto.commit.enable", WHY_NO_GROUP),
    ("auto.commit.interval.ms", WHY_NO_GROUP),
    ("auto.offset.reset", WHY_NO_RESET),
    ("bootstrap.servers", WHY_BROKERS),
    ("consume.callback.max.messages", WHY_OWN),
    ("delivery.report.only.error", WHY_REPORTED),
    ("delivery.timeout.ms", WHY_IN_ORDER),
    ("enable.auto.commit", WHY_NO_GROUP),
    ("enable.auto.offset.store", WHY_NO_GROUP),
    ("enable.gapless.guarantee", WHY_IN_ORDER),
    ("enable.idempotence", WHY_IN_ORDER),
    ("enable.partition.eof", WHY_OWN),
    ("group.id", WHY_NO_GROUP),
    ("group.instance.id", WHY_NO_GROUP),
    ("group.protocol", WHY_NO_GROUP),
    ("isolation.level", WHY_HIGH_WATERMARK),
    ("log.queue", WHY_OWN),
    ("max.in.flight", WHY_IN_ORDER),
    ("max.in.flight.requests.per.connection", WHY_IN_ORDER),
    ("message.send.max.retries", WHY_IN_ORDER),
    ("message.timeout.ms", WHY_IN_ORDER),
    ("metadata.broker.list", WHY_BROKERS),
    ("partitioner", WHY_PARTITION),
    ("queue.buffering.max.kbytes", WHY_QUEUE),
    ("queue.buffering.max.messages", WHY_QUEUE),
    ("queuing.strategy", WHY_IN_ORDER),
    ("request.required.acks", WHY_DURABLE),
    ("retries", WHY_IN_ORDER),
    ("test.mock.num.brokers", WHY_BROKERS),
    ("transactional.id", WHY_IN_ORDER),
];

pub fn kafka_option(item: &str) -> Result<(String, String), Infallible> {
    let (key, value) = item.split_once('=').unwrap_or_default();
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Checks one option. The error is a sentence that names the option but never its value, which may be a secret.
pub(crate) fn check(key: &str, value: &str) -> Result<(), String> {
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == key) {
        return Err(format!("--kafka {key} cannot be set: {why}; leave it out"));
    }
    let mut config = ClientConfig::new();
    config.set(key, value);
    config.create_native_config().map(|_| ()).map_err(|error| unusable(key, &error))
}

fn unusable(key: &str, error: &KafkaError) -> String {
    let reason = match error {
        KafkaError::ClientConfig(_, description, ..) => description.trim(),
        _ => "it contains a zero byte",
    };
    let remedy = if reason.contains("OpenSSL") { "; build with --features daybook-kafka/tls" } else { "" };
    format!("--kafka {key} is refused by librdkafka: {reason}{remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_carry_a_guarantee_are_refused_with_the_reason() {
        for key in ["acks", "enable.idempotence", "group.id", "auto.offset.reset", "bootstrap.servers"] {
            let sentence = check(key, "1").unwrap_err();
            assert!(sentence.starts_with(&format!("--kafka {key} cannot be set: ")), "{sentence}");
        }
    }

    #[test]
    fn nobody_can_have_events_hidden_behind_an_open_transaction() {
        for value in ["read_committed", "read_uncommitted"] {
            let sentence = check("isolation.level", value).unwrap_err();
            assert!(
                sentence.contains("isolation.level") && sentence.contains("open transaction"),
                "{sentence}"
            );
        }
    }

    /// A misspelt name in the list would refuse nothing.
    #[test]
    fn every_refused_option_is_one_that_librdkafka_knows() {
        for (key, _) in REFUSED {
            let mut config = ClientConfig::new();
            config.set(*key, "1");
            // Known and wrongly set is fine here.
            let refused = config.create_native_config().map(|_| ()).map_err(|error| unusable(key, &error));
            assert!(
                !refused.is_err_and(|sentence| sentence.contains("No such")),
                "librdkafka has no option {key}"
            );
        }
    }

    #[test]
    fn an_alias_of_a_refused_option_is_refused_too() {
        for key in ["queue.buffering.max.kbytes", "queue.buffering.max.messages"] {
            assert!(check(key, "1000").unwrap_err().contains("keep all others waiting"), "{key}");
        }
        for key in ["request.required.acks", "delivery.timeout.ms", "max.in.flight", "metadata.broker.list"] {
            assert!(check(key, "1").is_err(), "{key}");
        }
    }

    #[test]
    fn other_options_pass_and_wrong_ones_are_named_without_their_value() {
        check("socket.keepalive.enable", "true").unwrap();
        check("sasl.password", "a=b").unwrap();
        let unknown = check("sasl.pasword", "secret").unwrap_err();
        assert!(unknown.contains("sasl.pasword") && !unknown.contains("secret"), "{unknown}");
        #[cfg(not(feature = "tls"))]
        assert!(check("security.protocol", "SASL_SSL").unwrap_err().contains("--features daybook-kafka/tls"));
        let wrong = check("linger.ms", "secret").unwrap_err();
        assert!(wrong.contains("linger.ms") && !wrong.contains("secret"), "{wrong}");
    }
}
