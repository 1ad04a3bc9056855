//! Which Kafka to talk to, and how each kind of client is configured for it.

use std::fmt;

use rdkafka::ClientConfig;

/// Where the log is and how to reach it.
#[derive(Clone)]
pub struct Kafka {
    /// `host:port`, several joined by commas.
    pub brokers: String,
    /// Options handed to librdkafka as they are (TLS, SASL and the rest), already checked by
    /// [`crate::settings::KafkaFlags::check`].
    pub options: Vec<(String, String)>,
    /// Stands before every topic name; empty for none.
    pub topic_prefix: String,
    /// The brokers are librdkafka's mock cluster, which answers no admin requests and keeps little.
    pub embedded: bool,
}

impl Kafka {
    /// The name of a topic as Kafka knows it: the prefix and the bare name.
    #[must_use]
    pub fn topic_name(&self, bare: &str) -> String {
        format!("{}{bare}", self.topic_prefix)
    }

    /// A client that only asks: metadata, watermarks, admin requests.
    pub(crate) fn inspector_config(&self) -> ClientConfig {
        self.with_options(self.own_config(&[]))
    }

    /// `sources` is the number of partitions that the reader is going to read.
    pub(crate) fn reader_config(&self, sources: usize) -> ClientConfig {
        let mut config = self.own_config(READER);
        config.set("fetch.message.max.bytes", FETCH_PARTITION_BYTES_MAX.to_string());
        config.set("fetch.max.bytes", FETCH_RESPONSE_BYTES_MAX.to_string());
        config.set("queued.max.messages.kbytes", queued_kbytes_max(sources).to_string());
        self.with_options(config)
    }

    pub(crate) fn writer_config(&self) -> ClientConfig {
        let mut config = self.own_config(WRITER);
        config.set("queue.buffering.max.messages", WRITER_QUEUE_RECORDS_MAX.to_string());
        config.set("queue.buffering.max.kbytes", WRITER_QUEUE_KBYTES_MAX.to_string());
        self.with_options(config)
    }

    fn own_config(&self, own: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (key, value) in COMMON.iter().chain(own) {
            config.set(*key, *value);
        }
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    // The user's options come last and win; those that must not win were refused (`options`).
    fn with_options(&self, mut config: ClientConfig) -> ClientConfig {
        for (key, value) in &self.options {
            config.set(key, value);
        }
        config
    }
}

// Options may hold passwords: only their names are shown.
impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let option_names: Vec<&str> = self.options.iter().map(|(key, _)| key.as_str()).collect();
        f.debug_struct("Kafka")
            .field("brokers", &self.brokers)
            .field("option_names", &option_names)
            .field("topic_prefix", &self.topic_prefix)
            .field("embedded", &self.embedded)
            .finish()
    }
}

/// What one answer may hold of one partition, compressed. Bigger answers mean fewer round trips in a replay.
const FETCH_PARTITION_BYTES_MAX: usize = 4 << 20;
/// What one answer of one broker may hold of all partitions, compressed: it bounds how far the queues can be overshot.
const FETCH_RESPONSE_BYTES_MAX: usize = 16 << 20;
/// What a reader keeps fetched ahead over all its partitions, decompressed.
const QUEUED_KBYTES_MAX: usize = 256 << 10;
/// Below this a partition's queue would run empty between two fetches.
const QUEUED_PARTITION_KBYTES_MIN: usize = 4 << 10;

// With a queue per partition librdkafka applies its bound to each of them, so the whole is shared out here.
fn queued_kbytes_max(sources: usize) -> usize {
    (QUEUED_KBYTES_MAX / sources.max(1)).max(QUEUED_PARTITION_KBYTES_MIN)
}

/// Records accepted by a writer and not yet acknowledged; past it `send` says so. Enough for full batches to every
/// partition during a slow acknowledgement.
const WRITER_QUEUE_RECORDS_MAX: usize = 50_000;
/// The same in KiB.
const WRITER_QUEUE_KBYTES_MAX: usize = 64 << 10;

const COMMON: &[(&str, &str)] = &[
    ("client.id", "daybook"),
    // The default of ten seconds would keep the relay waiting that long after the broker is back.
    ("reconnect.backoff.max.ms", "1000"),
    // Idle connections are closed by the broker as a matter of course; that is no news.
    ("log.connection.close", "false"),
    // A topic that the broker creates by itself has the broker's retention and would drop events.
    ("allow.auto.create.topics", "false"),
];

const READER: &[(&str, &str)] = &[
    // librdkafka assigns partitions only to a consumer with a group. It is never joined and nothing is committed.
    ("group.id", "daybook-without-group"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // Anything else would silently start elsewhere when the log is shorter than the checkpoint says.
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
    ("queued.min.messages", "1000000"),
    // A queue that was full is filled again at once; the default of a second would let it run empty in a replay.
    ("fetch.queue.backoff.ms", "10"),
    // A broker answers at once when there is something. The wait is what the end of a partition costs, and on the
    // embedded broker, which does not wake up by itself, what every new record costs.
    ("fetch.wait.max.ms", "10"),
    // A flipped bit would become a wrong row. It is computed over the compressed batch and costs 2 % of a bare replay.
    ("check.crcs", "true"),
];

const WRITER: &[(&str, &str)] = &[
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("enable.gapless.guarantee", "true"),
    // No local expiry: an expired record would be a gap. The outbox has its own bound.
    ("message.timeout.ms", "0"),
    ("compression.codec", "zstd"),
    // Full batches form by themselves while earlier ones are under way, so this only costs latency; a little of it keeps a
    // steady trickle from becoming one request per record (measured: the same 250,000 records/s with 0, 0.5 and 2).
    ("linger.ms", "1"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn kafka(options: &[(&str, &str)]) -> Kafka {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Kafka { brokers: "a:1".to_owned(), options, topic_prefix: "shop.".to_owned(), embedded: false }
    }

    #[test]
    fn what_readers_fetch_ahead_is_bounded_over_all_partitions() {
        assert_eq!(queued_kbytes_max(1), QUEUED_KBYTES_MAX);
        assert_eq!(queued_kbytes_max(18), QUEUED_KBYTES_MAX / 18);
        assert_eq!(queued_kbytes_max(10_000), QUEUED_PARTITION_KBYTES_MIN);
        assert_eq!(queued_kbytes_max(0), QUEUED_KBYTES_MAX);
    }

    #[test]
    fn options_win_over_what_daybook_prefers() {
        let kafka = kafka(&[("linger.ms", "7"), ("fetch.max.bytes", "5000000")]);
        assert_eq!(kafka.writer_config().get("linger.ms"), Some("7"));
        assert_eq!(kafka.reader_config(3).get("fetch.max.bytes"), Some("5000000"));
        assert_eq!(kafka.inspector_config().get("linger.ms"), Some("7"));
    }

    #[test]
    fn librdkafka_takes_the_configurations() {
        let kafka = kafka(&[]);
        for config in [kafka.reader_config(18), kafka.writer_config(), kafka.inspector_config()] {
            config.create_native_config().unwrap();
        }
    }
}
