package daybook.streams;

import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsConfig;

/**
 * What the command line says.
 *
 * @param brokers to connect to
 * @param topicPrefix stands before the names of the three topics, and before what Kafka Streams names itself
 * @param stateDir an empty directory for the stores, which are removed from it at the end
 * @param within how long the run may take
 * @param cacheBytes of all stores together; with 0 nothing is cached
 */
record Settings(String brokers, String topicPrefix, Path stateDir, Duration within, long cacheBytes) {
    /** As many as a replay keeps busy on two cores. */
    private static final int THREADS = 2;
    private static final String USAGE =
            "wanted: --brokers HOST:PORT --topic-prefix PREFIX --state-dir DIR --within-seconds N --cache-mib N";
    private static final List<String> FLAGS =
            List.of("--brokers", "--topic-prefix", "--state-dir", "--within-seconds", "--cache-mib");

    /** @throws IllegalArgumentException with a sentence that says what is wanted */
    static Settings of(String[] arguments) {
        Map<String, String> given = new HashMap<>();
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            given.put(arguments[i], arguments[i + 1]);
        }
        if (arguments.length != 2 * FLAGS.size() || !given.keySet().containsAll(FLAGS)) {
            throw new IllegalArgumentException(USAGE);
        }
        return new Settings(
                given.get("--brokers"),
                given.get("--topic-prefix"),
                Path.of(given.get("--state-dir")),
                Duration.ofSeconds(number("--within-seconds", given)),
                (long) number("--cache-mib", given) << 20);
    }

    private static int number(String flag, Map<String, String> given) {
        try {
            return Integer.parseUnsignedInt(given.get(flag));
        } catch (NumberFormatException malformed) {
            throw new IllegalArgumentException(flag + " is no whole number: " + given.get(flag), malformed);
        }
    }

    /**
     * Name of the consumer group, and beginning of the changelogs' names. No two runs share it: one that was killed
     * leaves its offsets, and the next one would go on from there with empty stores.
     */
    String applicationId() {
        return topicPrefix + "kafka-streams-" + ProcessHandle.current().pid();
    }

    /** Full name of a topic. */
    String topic(String bare) {
        return topicPrefix + bare;
    }

    /** Whether there is a cache in front of the stores. */
    boolean isCached() {
        return cacheBytes > 0;
    }

    Properties streams() {
        Properties properties = admin();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, applicationId());
        properties.put(StreamsConfig.STATE_DIR_CONFIG, stateDir.toString());
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, THREADS);
        properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, cacheBytes);
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
        properties.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        properties.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        properties.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        return properties;
    }

    Properties admin() {
        Properties properties = new Properties();
        properties.put(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        return properties;
    }
}
