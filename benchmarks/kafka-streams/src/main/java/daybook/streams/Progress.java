package daybook.streams;

import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.streams.processor.api.RecordMetadata;

/** How far the stream threads are: done when the last record that every partition had at the start is processed. */
final class Progress {
    private final Map<TopicPartition, Brokers.Range> wanted;
    /** Last offsets of the partitions that are not done. */
    private final Map<TopicPartition, Long> left = new ConcurrentHashMap<>();
    private final CompletableFuture<Void> done = new CompletableFuture<>();
    private final LongAdder processed = new LongAdder();

    Progress(Map<TopicPartition, Brokers.Range> wanted) {
        this.wanted = wanted;
        wanted.forEach((partition, range) -> {
            if (range.records() > 0) {
                left.put(partition, range.end() - 1);
            }
        });
    }

    /** Called by a stream thread after each record. */
    void processed(RecordMetadata at) {
        processed.increment();
        TopicPartition partition = new TopicPartition(at.topic(), at.partition());
        Long last = left.get(partition);
        if (last != null && at.offset() >= last) {
            left.remove(partition);
            if (left.isEmpty()) {
                done.complete(null);
            }
        }
    }

    void fail(Throwable failure) {
        done.completeExceptionally(failure);
    }

    long processed() {
        return processed.sum();
    }

    /** @throws IllegalStateException if other than the expected number of records was processed */
    void await(Duration within) throws InterruptedException, ExecutionException, TimeoutException {
        if (!left.isEmpty()) {
            try {
                done.get(within.toMillis(), TimeUnit.MILLISECONDS);
            } catch (TimeoutException late) {
                throw new TimeoutException("after " + within.toSeconds() + " s not all was processed, but "
                        + processed() + " of " + expected() + " events");
            }
        }
        if (processed() != expected()) {
            throw new IllegalStateException(expected() + " events were there, " + processed() + " were processed");
        }
    }

    private long expected() {
        return wanted.values().stream().mapToLong(Brokers.Range::records).sum();
    }
}
