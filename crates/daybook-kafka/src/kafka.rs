//! Which Kafka to talk to, and how each kind of client is configured for it.

use std::convert::Infallible;
use std::fmt;

use rdkafka::ClientConfig;

use crate::flags;

/// Where the log is and how to reach it. Flags, for `#[command(flatten)]`, which [`Kafka::check`] checks.
#[derive(clap::Args, Clone)]
pub struct Kafka {
    /// Kafka brokers as HOST:PORT, several joined by commas
    #[arg(
        long,
        env = "DAYBOOK_BROKERS",
        default_value = "127.0.0.1:9092",
        value_name = "HOST:PORT,…",
        value_parser = |raw: &str| Ok::<_, Infallible>(raw.trim().to_owned())
    )]
    pub brokers: String,
    /// Option for librdkafka (TLS, SASL and the rest); repeatable, or several joined by ';'
    #[arg(
        long = "kafka",
        env = "DAYBOOK_KAFKA",
        value_name = "KEY=VALUE",
        value_delimiter = ';',
        hide_env_values = true,
        value_parser = flags::kafka_option
    )]
    pub options: Vec<(String, String)>,
    /// Text before every topic name
    #[arg(
        long,
        env = "DAYBOOK_TOPIC_PREFIX",
        default_value = "",
        value_name = "TEXT",
        value_parser = flags::topic_prefix()
    )]
    pub topic_prefix: String,
    /// The brokers are librdkafka's mock cluster, which answers no admin requests and keeps little (tests only)
    #[arg(long = "embedded-broker", env = "DAYBOOK_EMBEDDED_BROKER", hide = true)]
    pub embedded: bool,
}

impl Kafka {
    /// The name of a topic as Kafka knows it: the prefix and the bare name.
    pub fn topic_name(&self, bare: &str) -> String {
        format!("{}{bare}", self.topic_prefix)
    }

    /// A client that only asks: metadata, watermarks, admin requests.
    pub(crate) fn inspector_config(&self) -> ClientConfig {
        self.with_options(self.own_config(INSPECTOR))
    }

    /// `sources` is the number of partitions that the reader is going to read.
    pub(crate) fn reader_config(&self, sources: usize, fetch_ahead: FetchAhead) -> ClientConfig {
        let mut config = self.own_config(READER);
        for (key, value) in fetch_ahead.options(sources) {
            config.set(key, value);
        }
        self.with_options(config)
    }

    pub(crate) fn writer_config(&self) -> ClientConfig {
        let mut config = self.own_config(WRITER);
        config.set("queue.buffering.max.messages", WRITER_QUEUE_RECORDS_MAX.to_string());
        config.set("queue.buffering.max.kbytes", (WRITER_QUEUE_BYTES_MAX >> 10).to_string());
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

/// Records accepted by a writer and not yet acknowledged; past it `send` says so. Enough for full batches to every
/// partition during a slow acknowledgement.
const WRITER_QUEUE_RECORDS_MAX: usize = 50_000;
/// The same in bytes, of keys and values. All partitions share it: with room for all that a relay may have under way, those
/// that take nothing keep nobody from sending to the others.
pub const WRITER_QUEUE_BYTES_MAX: usize = 160 << 20;

/// How long any request may go without an answer: then the connection is given up, and the request is repeated to who leads by
/// then. A broker that stands still answers nothing and closes nothing; others lead in its place after some ten seconds, and the
/// default of a minute would keep back what was under way to it for the rest of that minute.
///
/// It is safe where a broker is only slow. It may hold back the answer to what is written for its `request.timeout.ms`, 30 s,
/// until its replicas have it, or are expelled. What is repeated meanwhile is the same batch with the same number, which the
/// leader recognises: it is written once, and answered as soon as the first attempt would have been.
const ANSWER_MS_MAX: &str = "10000";

const COMMON: &[(&str, &str)] = &[
    ("client.id", "daybook"),
    // The default of ten seconds would keep the relay waiting that long after the broker is back.
    ("reconnect.backoff.max.ms", "1000"),
    ("socket.timeout.ms", ANSWER_MS_MAX),
    // Idle connections are closed by the broker as a matter of course; that is no news.
    ("log.connection.close", "false"),
    // A topic that the broker creates by itself has the broker's retention and would drop events.
    ("allow.auto.create.topics", "false"),
];

/// Our records are never transactional, and lie in the log up to its high watermark. The last stable offset, which
/// librdkafka goes by otherwise, is where a foreign program's open transaction begins: all of ours behind it would be
/// hidden for as long as that one likes.
const BY_HIGH_WATERMARK: (&str, &str) = ("isolation.level", "read_uncommitted");

const INSPECTOR: &[(&str, &str)] = &[BY_HIGH_WATERMARK];

const READER: &[(&str, &str)] = &[
    BY_HIGH_WATERMARK,
    // librdkafka assigns partitions only to a consumer with a group. It is never joined and nothing is committed.
    ("group.id", "daybook-without-group"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // Anything else would silently start elsewhere when the log is shorter than the checkpoint says.
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
    // Not the bound: that one counts bytes.
    ("queued.min.messages", "1000000"),
    // A batch of `Reader::poll_batch`: enough that a call costs nothing per record. Taken out of the queue, it no longer
    // counts against the bound.
    ("consume.callback.max.messages", "1000"),
    // A queue that was full is filled again at once; the default of a second would let it run empty in a replay, and
    // with little fetched ahead even 10 ms halve its speed.
    ("fetch.queue.backoff.ms", "1"),
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
    // At its lowest level: batches are small, and higher ones cost more than they save of them.
    ("compression.codec", "zstd"),
    ("compression.level", "1"),
    // Full batches form by themselves while earlier ones are under way, so this only costs latency; a little of it keeps a
    // steady trickle from becoming one request per record (measured: the same 250,000 records/s with 0, 0.5 and 2).
    ("linger.ms", "1"),
];

// Small answers and short queues are also the fast ones: what was just decompressed is read while it still lies in the
// processor's cache. Bigger ones only take memory as soon as the records' user is slower than the network.

/// A bound on what a reader holds fetched and unread; see [`crate::Reader::open_with`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchAhead {
    /// Over all partitions, decompressed, with what librdkafka needs around each record. Not exact: a partition's queue
    /// holds at least what one answer brings, and an answer at least one batch as it was written, so that a reader of
    /// many partitions may need more than a small bound.
    pub bytes_max: usize,
}

impl Default for FetchAhead {
    /// 64 MiB.
    fn default() -> FetchAhead {
        FetchAhead { bytes_max: 64 << 20 }
    }
}

/// What one answer may hold of one partition, compressed. Below the least, most answers end inside a batch, whose
/// beginning was then read and sent in vain; above the most, nothing is gained any more.
const FETCH_PARTITION_BYTES: std::ops::RangeInclusive<usize> = 64 << 10..=256 << 10;
/// What one answer of one broker may hold of all partitions, compressed.
const FETCH_RESPONSE_BYTES_MAX: usize = 4 << 20;
/// A queue is filled again when it is below its bound, by one answer: below this it would run empty in between.
const QUEUED_PARTITION_KBYTES_MIN: usize = 256;
/// The greatest that librdkafka takes.
const QUEUED_KBYTES_LIMIT: usize = 2_097_151;
/// The share of a partition's memory that its queue's bound may name. librdkafka counts keys and values only, in a queue
/// that an answer overshoots: events of some hundred bytes were measured to need four times as much.
const QUEUED_SHARE: usize = 4;
/// The share of a partition's memory that an answer may have; decompressed it is about six times as big.
const FETCH_SHARE: usize = 32;

impl FetchAhead {
    /// librdkafka's options for a reader of so many partitions, each with a queue of its own, to which librdkafka's
    /// bound applies.
    pub(crate) fn options(self, sources: usize) -> [(&'static str, String); 3] {
        let share = self.bytes_max / sources.max(1);
        let fetch_bytes =
            (share / FETCH_SHARE).clamp(*FETCH_PARTITION_BYTES.start(), *FETCH_PARTITION_BYTES.end());
        let queued_kbytes = ((share / QUEUED_SHARE) >> 10).max(QUEUED_PARTITION_KBYTES_MIN);
        [
            ("fetch.message.max.bytes", fetch_bytes.to_string()),
            ("fetch.max.bytes", FETCH_RESPONSE_BYTES_MAX.to_string()),
            ("queued.max.messages.kbytes", queued_kbytes.min(QUEUED_KBYTES_LIMIT).to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kafka(options: &[(&str, &str)]) -> Kafka {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Kafka { brokers: "a:1".to_owned(), options, topic_prefix: "shop.".to_owned(), embedded: false }
    }

    #[test]
    fn options_win_over_what_daybook_prefers() {
        let kafka = kafka(&[("linger.ms", "7"), ("fetch.max.bytes", "5000000")]);
        assert_eq!(kafka.writer_config().get("linger.ms"), Some("7"));
        assert_eq!(kafka.reader_config(3, FetchAhead::default()).get("fetch.max.bytes"), Some("5000000"));
        assert_eq!(kafka.inspector_config().get("linger.ms"), Some("7"));
    }

    #[test]
    fn no_client_waits_a_minute_for_a_broker_that_stands_still_unless_told_to() {
        let patience = |options: &[(&str, &str)]| {
            let kafka = kafka(options);
            [kafka.writer_config(), kafka.reader_config(1, FetchAhead::default()), kafka.inspector_config()]
                .map(|config| config.get("socket.timeout.ms").map(str::to_owned))
        };
        assert_eq!(patience(&[]), [(); 3].map(|()| Some("10000".to_owned())));
        assert_eq!(patience(&[("socket.timeout.ms", "60000")]), [(); 3].map(|()| Some("60000".to_owned())));
    }

    #[test]
    fn readers_and_questions_for_ends_go_by_the_high_watermark() {
        let kafka = kafka(&[]);
        for config in [kafka.inspector_config(), kafka.reader_config(1, FetchAhead::default())] {
            assert_eq!(config.get("isolation.level"), Some("read_uncommitted"));
        }
    }

    #[test]
    fn librdkafka_takes_the_configurations() {
        let kafka = kafka(&[]);
        let reader = |bytes_max| kafka.reader_config(18, FetchAhead { bytes_max });
        for config in
            [reader(0), reader(64 << 20), reader(usize::MAX), kafka.writer_config(), kafka.inspector_config()]
        {
            config.create_native_config().unwrap();
        }
    }
}

#[cfg(test)]
mod fetch_ahead_tests {
    use super::*;

    fn options(bytes_max: usize, sources: usize) -> [usize; 3] {
        FetchAhead { bytes_max }.options(sources).map(|(_, value)| value.parse().unwrap())
    }

    #[test]
    fn the_bound_is_shared_by_all_partitions() {
        assert_eq!(options(64 << 20, 16), [128 << 10, 4 << 20, 1 << 10]);
        assert_eq!(options(32 << 20, 8), [128 << 10, 4 << 20, 1 << 10]);
    }

    #[test]
    fn no_bound_is_too_small_or_too_great_for_librdkafka() {
        assert_eq!(options(0, 18), [64 << 10, 4 << 20, 256]);
        assert_eq!(options(1 << 20, 10_000), [64 << 10, 4 << 20, 256]);
        assert_eq!(options(usize::MAX, 0), [256 << 10, 4 << 20, QUEUED_KBYTES_LIMIT]);
    }
}
