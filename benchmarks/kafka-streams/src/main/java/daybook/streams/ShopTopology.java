package daybook.streams;

import java.util.List;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** Three folds side by side. Orders are keyed by their user, as they have to be found, so nothing is repartitioned. */
final class ShopTopology {
    private static final String USERS = "users.events";
    private static final String PRODUCTS = "products.events";
    private static final String ORDERS = "orders.events";

    private ShopTopology() {}

    /** Full names of the topics that it reads. */
    static List<String> topics(Settings settings) {
        return List.of(settings.topic(USERS), settings.topic(PRODUCTS), settings.topic(ORDERS));
    }

    static Topology of(Settings settings, Progress progress) {
        Topology topology = new Topology();
        add(topology, settings, USERS, Users.STORE, () -> new Users(progress));
        add(topology, settings, PRODUCTS, Products.STORE, () -> new Products(progress));
        add(topology, settings, ORDERS, Orders.STORE, () -> new Orders(progress));
        return topology;
    }

    private static void add(
            Topology topology,
            Settings settings,
            String topic,
            String store,
            ProcessorSupplier<byte[], byte[], Void, Void> fold) {
        topology.addSource(topic, settings.topic(topic));
        topology.addProcessor(store + "-fold", fold, topic);
        topology.addStateStore(persistent(store, settings.isCached()), store + "-fold");
    }

    private static StoreBuilder<KeyValueStore<Bytes, byte[]>> persistent(String name, boolean cached) {
        var store = Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore(name), Serdes.Bytes(), Serdes.ByteArray());
        return cached ? store.withCachingEnabled() : store.withCachingDisabled();
    }
}
