package daybook.streams;

import java.nio.ByteBuffer;
import java.util.UUID;
import org.apache.kafka.common.utils.Bytes;

/** Keys of rows: ids as bytes, one after the other. */
final class Keys {
    private Keys() {}

    static Bytes of(UUID... ids) {
        ByteBuffer bytes = ByteBuffer.allocate(16 * ids.length);
        for (UUID id : ids) {
            bytes.putLong(id.getMostSignificantBits()).putLong(id.getLeastSignificantBits());
        }
        return Bytes.wrap(bytes.array());
    }
}
