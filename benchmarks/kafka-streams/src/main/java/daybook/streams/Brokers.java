package daybook.streams;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;

/** What the brokers know and hold beside the records. */
final class Brokers implements AutoCloseable {
    private final Admin admin;

    /** Offsets of a partition: the first, and the one after the last. */
    record Range(long begin, long end) {
        long records() {
            return end - begin;
        }
    }

    Brokers(Settings settings) {
        admin = Admin.create(settings.admin());
    }

    /** What is in the topics now. */
    Map<TopicPartition, Range> ends(List<String> topics) throws InterruptedException, ExecutionException {
        List<TopicPartition> partitions = admin.describeTopics(topics).allTopicNames().get().values().stream()
                .flatMap(topic -> topic.partitions().stream()
                        .map(partition -> new TopicPartition(topic.name(), partition.partition())))
                .toList();
        Map<TopicPartition, Long> begins = offsets(partitions, OffsetSpec.earliest());
        Map<TopicPartition, Long> ends = offsets(partitions, OffsetSpec.latest());
        Map<TopicPartition, Range> ranges = new HashMap<>();
        ends.forEach((partition, end) -> ranges.put(partition, new Range(begins.get(partition), end)));
        return ranges;
    }

    private Map<TopicPartition, Long> offsets(List<TopicPartition> partitions, OffsetSpec spec)
            throws InterruptedException, ExecutionException {
        var wanted = partitions.stream().collect(Collectors.toMap(partition -> partition, partition -> spec));
        return admin.listOffsets(wanted).all().get().entrySet().stream()
                .collect(Collectors.toMap(Map.Entry::getKey, entry -> entry.getValue().offset()));
    }

    /** Bytes of all replicas of an application's own topics. */
    long bytesOf(String applicationId) throws InterruptedException, ExecutionException {
        List<Integer> nodes = admin.describeCluster().nodes().get().stream().map(node -> node.id()).toList();
        return admin.describeLogDirs(nodes).allDescriptions().get().values().stream()
                .flatMap(directories -> directories.values().stream())
                .map(LogDirDescription::replicaInfos)
                .flatMap(replicas -> replicas.entrySet().stream())
                .filter(replica -> belongs(replica.getKey().topic(), applicationId))
                .mapToLong(replica -> replica.getValue().size())
                .sum();
    }

    /** Deletes an application's own topics and its group. */
    void forget(String applicationId) throws InterruptedException, ExecutionException {
        Set<String> topics = admin.listTopics().names().get().stream()
                .filter(topic -> belongs(topic, applicationId))
                .collect(Collectors.toSet());
        admin.deleteTopics(topics).all().get();
        try {
            admin.deleteConsumerGroups(List.of(applicationId)).all().get();
        } catch (ExecutionException failure) {
            // A run that fails early has none.
            if (!(failure.getCause() instanceof GroupIdNotFoundException)) {
                throw failure;
            }
        }
    }

    private static boolean belongs(String topic, String applicationId) {
        return topic.startsWith(applicationId + "-");
    }

    @Override
    public void close() {
        admin.close();
    }
}
