//! The command line's part about Kafka.

use daybook_service::SettingErrors;

use crate::{Kafka, options};

/// More partitions than any shop needs, and still few enough to open at once.
const PARTITIONS_MAX: i32 = 1_000;
/// Kafka's own limit is its 16-bit number; no cluster keeps this many copies.
const REPLICATION_FACTOR_MAX: i32 = 100;
/// Kafka allows 249 characters for a topic's name; the rest is for the bare name.
const TOPIC_PREFIX_CHARS_MAX: usize = 200;

/// Flags for `#[command(flatten)]`. Taken as text and checked by [`KafkaFlags::check`], so that all wrong settings are
/// reported together.
#[derive(clap::Args, Clone, Debug)]
pub struct KafkaFlags {
    /// Kafka brokers as HOST:PORT, several joined by commas
    #[arg(long, env = "DAYBOOK_BROKERS", default_value = "127.0.0.1:9092", value_name = "HOST:PORT,…")]
    pub brokers: String,

    /// Option for librdkafka (TLS, SASL and the rest); repeatable, or several joined by ';'
    #[arg(
        long = "kafka",
        env = "DAYBOOK_KAFKA",
        value_name = "KEY=VALUE",
        value_delimiter = ';',
        hide_env_values = true
    )]
    pub kafka: Vec<String>,

    /// Text before every topic name
    #[arg(long, env = "DAYBOOK_TOPIC_PREFIX", default_value = "", value_name = "TEXT")]
    pub topic_prefix: String,

    /// Partitions of each topic; cannot be changed once the topics exist
    #[arg(long, env = "DAYBOOK_PARTITIONS", default_value = "6", value_name = "N")]
    pub partitions: String,

    /// Copies that Kafka keeps of a topic that is created
    #[arg(long, env = "DAYBOOK_REPLICATION_FACTOR", default_value = "1", value_name = "N")]
    pub replication_factor: String,

    /// The brokers are librdkafka's mock cluster (tests only)
    #[arg(long, env = "DAYBOOK_EMBEDDED_BROKER", hide = true)]
    pub embedded_broker: bool,
}

/// What [`KafkaFlags`] say, checked.
#[derive(Clone, Debug)]
pub struct KafkaSettings {
    /// Where the log is.
    pub kafka: Kafka,
    /// Partitions of each topic.
    pub partitions: i32,
    /// Copies of a topic that is created.
    pub replication_factor: i32,
}

impl KafkaFlags {
    /// Checks all flags. None if any is wrong; the sentences are in `errors` then.
    pub fn check(&self, errors: &mut SettingErrors) -> Option<KafkaSettings> {
        let brokers = check_brokers(&self.brokers, errors);
        let options = check_options(&self.kafka, errors);
        let topic_prefix = check_topic_prefix(&self.topic_prefix, errors);
        let partitions = errors.parse_in("--partitions", &self.partitions, 1..=PARTITIONS_MAX);
        let replication_factor =
            errors.parse_in("--replication-factor", &self.replication_factor, 1..=REPLICATION_FACTOR_MAX);
        Some(KafkaSettings {
            kafka: Kafka {
                brokers: brokers?,
                options: options?,
                topic_prefix: topic_prefix?,
                embedded: self.embedded_broker,
            },
            partitions: partitions?,
            replication_factor: replication_factor?,
        })
    }
}

fn check_brokers(raw: &str, errors: &mut SettingErrors) -> Option<String> {
    let wrong: Vec<&str> = raw.split(',').map(str::trim).filter(|broker| !is_broker(broker)).collect();
    for broker in &wrong {
        errors.push(format!("--brokers: {broker:?} is not HOST:PORT"));
    }
    wrong.is_empty().then(|| raw.trim().to_owned())
}

fn is_broker(broker: &str) -> bool {
    // librdkafka takes "SSL://host:port" as well.
    let address = broker.split_once("://").map_or(broker, |(_, address)| address);
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn check_options(raw: &[String], errors: &mut SettingErrors) -> Option<Vec<(String, String)>> {
    let before = errors.sentences().len();
    let mut options = Vec::with_capacity(raw.len());
    for (index, item) in raw.iter().enumerate() {
        match item.split_once('=') {
            Some((key, value)) => {
                let (key, value) = (key.trim(), value.trim());
                if let Err(sentence) = options::check(key, value) {
                    errors.push(sentence);
                }
                options.push((key.to_owned(), value.to_owned()));
            }
            // The item itself is not shown: it may be the rest of a password with a ';' in it.
            None => errors.push(format!("--kafka: item {} is not KEY=VALUE", index + 1)),
        }
    }
    (errors.sentences().len() == before).then_some(options)
}

fn check_topic_prefix(raw: &str, errors: &mut SettingErrors) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let ok = raw.len() <= TOPIC_PREFIX_CHARS_MAX && raw.chars().all(allowed);
    if !ok {
        errors.push(format!(
            "--topic-prefix: {raw:?} is not at most {TOPIC_PREFIX_CHARS_MAX} letters, digits, '.', '_' or '-'"
        ));
    }
    ok.then(|| raw.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        flags: KafkaFlags,
    }

    fn check(arguments: &[&str]) -> Result<KafkaSettings, Vec<String>> {
        let arguments = [&["program"], arguments].concat();
        let flags = Program::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}")).flags;
        let mut errors = SettingErrors::default();
        let settings = flags.check(&mut errors);
        assert_eq!(
            settings.is_none(),
            !errors.sentences().is_empty(),
            "a wrong setting always has a sentence"
        );
        settings.ok_or_else(|| errors.sentences().to_vec())
    }

    #[test]
    fn the_defaults_are_right() {
        let settings = check(&[]).unwrap();
        assert_eq!(settings.kafka.brokers, "127.0.0.1:9092");
        assert_eq!((settings.partitions, settings.replication_factor), (6, 1));
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
            "--brokers: \"nowhere\"",
            "--brokers: \":1\"",
            "--kafka acks",
            "--kafka: item 2",
            "--kafka no.such.option",
            "--topic-prefix: \"a b\"",
            "--partitions: \"0\" is not a number from 1 to 1000",
            "--replication-factor: \"many\"",
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
        let shown = format!("{settings:?}");
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
