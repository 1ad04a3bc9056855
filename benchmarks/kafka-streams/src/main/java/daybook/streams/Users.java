package daybook.streams;

import java.io.IOException;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.state.KeyValueStore;

/** Which users there are; a deleted one stays deleted whatever comes later. */
final class Users extends Fold {
    static final String STORE = "users";
    private static final byte ACTIVE = 1;
    private static final byte DELETED = 2;

    Users(Progress progress) {
        super(STORE, progress);
    }

    @Override
    void fold(Event event, KeyValueStore<Bytes, byte[]> store) throws IOException {
        byte row = switch (event.type()) {
            case "shop.user.signed-up.v1", "shop.user.changed.v1" -> ACTIVE;
            case "shop.user.deleted.v1" -> DELETED;
            default -> throw event.unknown();
        };
        Bytes key = Keys.of(event.data().userId());
        byte[] before = store.get(key);
        if (before == null || before[0] != DELETED) {
            store.put(key, new byte[] {row});
        }
    }
}
