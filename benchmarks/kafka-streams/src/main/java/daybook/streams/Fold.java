package daybook.streams;

import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import org.apache.kafka.streams.state.KeyValueStore;

/** Folds the events of one topic into one store. What it cannot open or fold stops the whole run. */
abstract class Fold implements Processor<byte[], byte[], Void, Void> {
    private final String storeName;
    private final Progress progress;
    private ProcessorContext<Void, Void> context;
    private KeyValueStore<Bytes, byte[]> store;

    Fold(String storeName, Progress progress) {
        this.storeName = storeName;
        this.progress = progress;
    }

    /** Brings the store to where it is after `event`. */
    abstract void fold(Event event, KeyValueStore<Bytes, byte[]> store) throws IOException;

    @Override
    public void init(ProcessorContext<Void, Void> context) {
        this.context = context;
        store = context.getStateStore(storeName);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        RecordMetadata at = context.recordMetadata().orElseThrow();
        try {
            fold(Event.open(record.value()), store);
        } catch (IOException malformed) {
            throw new UncheckedIOException("no event at " + at, malformed);
        }
        progress.processed(at);
    }
}
