package daybook.streams;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.state.QueryableStoreTypes;

/** One run: from nothing until everything that was in the topics at its start is in the stores. */
final class Run {
    private Run() {}

    /** Leaves nothing behind, on disk or on the brokers, whether it fails or not. */
    static Result of(Settings settings)
            throws InterruptedException, ExecutionException, TimeoutException, IOException {
        try (Brokers brokers = new Brokers(settings)) {
            Progress progress = new Progress(brokers.ends(ShopTopology.topics(settings)));
            KafkaStreams streams = new KafkaStreams(ShopTopology.of(settings, progress), settings.streams());
            try {
                return measure(settings, brokers, progress, streams);
            } finally {
                close(settings, streams);
                streams.cleanUp();
                brokers.forget(settings.applicationId());
            }
        }
    }

    private static Result measure(Settings settings, Brokers brokers, Progress progress, KafkaStreams streams)
            throws InterruptedException, ExecutionException, TimeoutException, IOException {
        streams.setUncaughtExceptionHandler(failure -> {
            progress.fail(failure);
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        long began = System.nanoTime();
        streams.start();
        progress.await(settings.within());
        double seconds = (System.nanoTime() - began) / 1e9;
        double cpuSeconds = Usage.cpuSeconds();
        long memoryBytes = Usage.memoryBytesPeak();
        long rows = rows(streams);
        close(settings, streams);
        return new Result(
                progress.processed(),
                rows,
                seconds,
                cpuSeconds,
                memoryBytes,
                Usage.bytesOnDisk(settings.stateDir()),
                brokers.bytesOf(settings.applicationId()));
    }

    /** Flushes everything. It leaves its group as well, which could not be deleted otherwise. */
    private static void close(Settings settings, KafkaStreams streams) {
        streams.close(CloseOptions.timeout(settings.within())
                .withGroupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP));
    }

    private static long rows(KafkaStreams streams) {
        long rows = 0;
        for (String name : List.of(Users.STORE, Products.STORE, Orders.STORE)) {
            var store = streams.store(StoreQueryParameters.fromNameAndType(
                    name, QueryableStoreTypes.<Bytes, byte[]>keyValueStore()));
            try (var all = store.all()) {
                for (; all.hasNext(); all.next()) {
                    rows++;
                }
            }
        }
        return rows;
    }
}
