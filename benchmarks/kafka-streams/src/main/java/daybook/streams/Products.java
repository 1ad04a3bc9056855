package daybook.streams;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.state.KeyValueStore;

/** Products with their details; a discontinued one stays so whatever comes later. */
final class Products extends Fold {
    static final String STORE = "products";
    private static final ObjectMapper JSON = new ObjectMapper();

    /** A product; its texts are null if nothing but the discontinuation is known. */
    record Row(String title, String image, Long priceCents, boolean discontinued) {}

    Products(Progress progress) {
        super(STORE, progress);
    }

    @Override
    void fold(Event event, KeyValueStore<Bytes, byte[]> store) throws IOException {
        Bytes key = Keys.of(event.data().productId());
        byte[] bytes = store.get(key);
        Row before = bytes == null ? new Row(null, null, null, false) : JSON.readValue(bytes, Row.class);
        store.put(key, JSON.writeValueAsBytes(after(before, event)));
    }

    private static Row after(Row before, Event event) throws IOException {
        Event.Data data = event.data();
        return switch (event.type()) {
            case "shop.product.created.v1",
                    "shop.product.created.v2",
                    "shop.product.changed.v1",
                    "shop.product.changed.v2" ->
                new Row(data.title(), data.image(), data.priceCents(), before.discontinued());
            case "shop.product.discontinued.v1" ->
                new Row(before.title(), before.image(), before.priceCents(), true);
            default -> throw event.unknown();
        };
    }
}
