package daybook.streams;

import java.io.IOException;
import java.nio.ByteBuffer;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Every user's orders. The key is the user's id, then the order's, so that a scan of a user's prefix finds them, and an
 * order costs one small write however many its user has.
 */
final class Orders extends Fold {
    static final String STORE = "orders";
    /** Product, quantity, position, time of placing and of cancelling (0 if it was not). */
    private static final int ROW_BYTES = 16 + 4 + 8 + 8 + 8;
    private static final int CANCELLED_AT = ROW_BYTES - 8;

    Orders(Progress progress) {
        super(STORE, progress);
    }

    @Override
    void fold(Event event, KeyValueStore<Bytes, byte[]> store) throws IOException {
        Bytes key = Keys.of(event.data().userId(), event.data().orderId());
        switch (event.type()) {
            case "shop.order.placed.v1", "shop.order.placed.v2" -> store.put(key, placed(event));
            case "shop.order.cancelled.v1" -> store.put(key, cancelled(store.get(key), event));
            default -> throw event.unknown();
        }
    }

    private static byte[] placed(Event event) {
        Event.Data data = event.data();
        // Version 1 had no quantity and meant one piece.
        long quantity = data.quantity() == null ? 1 : data.quantity();
        return ByteBuffer.allocate(ROW_BYTES)
                .putLong(data.productId().getMostSignificantBits())
                .putLong(data.productId().getLeastSignificantBits())
                .putInt((int) quantity)
                .putLong(event.position())
                .putLong(event.timeUs())
                .array();
    }

    private static byte[] cancelled(byte[] row, Event event) throws IOException {
        if (row == null) {
            throw new IOException("an order is cancelled but was never placed: " + event.data().orderId());
        }
        // The cache may hold the array itself, so it is not changed.
        byte[] after = row.clone();
        ByteBuffer.wrap(after).putLong(CANCELLED_AT, event.timeUs());
        return after;
    }
}
