//! The command line's part about Kafka.

use clap::builder::TypedValueParser;
use daybook_service::SettingErrors;
use daybook_service::settings::{number, setting};

use crate::{Kafka, options};

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

pub fn partitions() -> impl TypedValueParser<Value = i32> {
    number(1..=PARTITIONS_MAX)
}

pub fn replication_factor() -> impl TypedValueParser<Value = i32> {
    number(1..=REPLICATION_FACTOR_MAX)
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
            } else if let Err(sentence) = options::check(key, value) {
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        kafka: Kafka,
        #[arg(long, default_value = "6", value_parser = partitions())]
        partitions: i32,
        #[arg(long, default_value = "1", value_parser = replication_factor())]
        replication_factor: i32,
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
