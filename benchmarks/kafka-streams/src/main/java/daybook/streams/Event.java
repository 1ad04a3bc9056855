package daybook.streams;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.UUID;

/** What matters of a structured CloudEvent; `schemas/envelope.schema.json` describes all of it. */
@JsonIgnoreProperties(ignoreUnknown = true)
record Event(String type, String time, String sequence, Data data) {
    private static final ObjectReader JSON = new ObjectMapper().readerFor(Event.class);

    /** Fields of any event's data; those that a type does not have are null. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    record Data(
            @JsonProperty("user_id") UUID userId,
            @JsonProperty("product_id") UUID productId,
            @JsonProperty("order_id") UUID orderId,
            @JsonProperty("quantity") Long quantity,
            @JsonProperty("title") String title,
            @JsonProperty("image") String image,
            @JsonProperty("price_cents") Long priceCents) {}

    static Event open(byte[] value) throws IOException {
        return JSON.readValue(value);
    }

    /** Position in its partition. */
    long position() {
        return Long.parseUnsignedLong(sequence);
    }

    /** When it was decided, in microseconds since 1970. */
    long timeUs() {
        return ChronoUnit.MICROS.between(Instant.EPOCH, Instant.parse(time));
    }

    /** For a type that the topic should not have. */
    IOException unknown() {
        return new IOException("unknown type " + type);
    }
}
