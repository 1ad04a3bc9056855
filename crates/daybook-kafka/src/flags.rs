//! The command line's part about Kafka, and which options of librdkafka may be set by it: all but those on which a guarantee rests.

use std::convert::Infallible;

use clap::builder::TypedValueParser;
use daybook_service::SettingErrors;
use daybook_service::settings::{number, setting};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use crate::Kafka;

/// More partitions than any shop needs, and still few enough to open at once.
const PARTITIONS_MAX: i32 = 1_000;
/// Kafka's own limit is its 16-bit number; no cluster keeps this many copies.
const REPLICATION_FACTOR_MAX: i32 = 100;
/// Kafka allows 249 characters for a topic's name; the rest is for the bare name.
const TOPIC_PREFIX_CHARS_MAX: usize = 200;

pub fn topic_prefix() -> impl TypedValueParser<Value = String> {
    let expected = format!("at most {TOPIC_PREFIX_CHARS_MAX} letters, digits, '.', '_' or '-'");
    setting(expected, String::new(), |raw| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        (raw.len() <= TOPIC_PREFIX_CHARS_MAX && raw.chars().all(allowed)).then(|| raw.to_owned())
    })
}

/// How topics are, as all programs take it; one that creates none does nothing with the number of copies.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct TopicFlags {
    /// Partitions of each topic; cannot be changed once the topics exist
    #[arg(
        long,
        env = "DAYBOOK_PARTITIONS",
        default_value = "6",
        value_name = "N",
        value_parser = number(1..=PARTITIONS_MAX)
    )]
    pub partitions: i32,
    /// Copies that Kafka keeps of a topic that is created
    #[arg(
        long,
        env = "DAYBOOK_REPLICATION_FACTOR",
        default_value = "1",
        value_name = "N",
        value_parser = number(1..=REPLICATION_FACTOR_MAX)
    )]
    pub replication_factor: i32,
}

impl Kafka {
    /// Checks what the flags say of brokers and options.
    pub fn check(&self, errors: &mut SettingErrors) {
        for broker in self.brokers.split(',').map(str::trim).filter(|broker| !is_broker(broker)) {
            errors.push(format!("--brokers: {broker:?} is not HOST:PORT"));
        }
        for (index, (key, value)) in self.options.iter().enumerate() {
            if key.is_empty() {
                // The item itself is not shown: it may be the rest of a password with a ';' in it.
                errors.push(format!("--kafka: item {} is not KEY=VALUE", index + 1));
            } else if let Err(sentence) = check(key, value) {
                errors.push(sentence);
            }
        }
    }
}

fn is_broker(broker: &str) -> bool {
    // librdkafka takes "SSL://host:port" as well.
    let address = broker.split_once("://").map_or(broker, |(_, address)| address);
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

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
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        kafka: Kafka,
        #[command(flatten)]
        topics: TopicFlags,
    }

    fn check(arguments: &[&str]) -> Result<Program, Vec<String>> {
        let arguments = [&["program"], arguments].concat();
        let program = Program::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}"));
        let mut errors = SettingErrors::of_flags();
        program.kafka.check(&mut errors);
        errors.finish().map_err(|errors| errors.sentences().to_vec())?;
        Ok(program)
    }

    #[test]
    fn the_defaults_are_right() {
        let settings = check(&[]).unwrap();
        assert_eq!(settings.kafka.brokers, "127.0.0.1:9092");
        assert_eq!((settings.topics.partitions, settings.topics.replication_factor), (6, 1));
        assert_eq!(settings.kafka.topic_name("users.events"), "users.events");
        assert!(!settings.kafka.embedded);
    }

    #[test]
    fn all_wrong_settings_are_reported_together() {
        let errors = check(&[
            "--brokers=nowhere,127.0.0.1:9092,:1",
            "--kafka=acks=0",
            "--kafka=s3cret",
            "--kafka=no.such.option=s3cret",
            "--topic-prefix=a b",
            "--partitions=0",
            "--replication-factor=many",
        ])
        .unwrap_err();
        let expected = [
            "--topic-prefix: \"a b\"",
            "--partitions: \"0\" is not a number from 1 to 1000",
            "--replication-factor: \"many\"",
            "--brokers: \"nowhere\"",
            "--brokers: \":1\"",
            "--kafka acks",
            "--kafka: item 2",
            "--kafka no.such.option",
        ];
        assert_eq!(errors.len(), expected.len(), "{errors:#?}");
        for (sentence, beginning) in errors.iter().zip(expected) {
            assert!(sentence.starts_with(beginning), "{sentence}");
            assert!(!sentence.contains("s3cret"), "{sentence}");
        }
    }

    #[test]
    fn options_keep_their_values_and_do_not_show_them() {
        let settings =
            check(&["--kafka", "sasl.password=p=w d", "--kafka", "socket.keepalive.enable=true"]).unwrap();
        let expected = [("sasl.password", "p=w d"), ("socket.keepalive.enable", "true")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(settings.kafka.options, expected);
        let shown = format!("{:?}", settings.kafka);
        assert!(shown.contains("sasl.password") && !shown.contains("p=w d"), "{shown}");
    }

    #[test]
    fn brokers_may_be_several_and_name_their_protocol() {
        for brokers in ["a:1,b:65535", "[::1]:9092", "SSL://kafka.example:9093, b:2"] {
            assert_eq!(check(&["--brokers", brokers]).unwrap().kafka.brokers, brokers);
        }
        for brokers in ["", "a", "a:", "a:0", "a:65536", "a b:1", "a:1,,b:2"] {
            assert!(check(&["--brokers", brokers]).is_err(), "{brokers:?}");
        }
    }
}

#[cfg(test)]
mod options_tests {
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
