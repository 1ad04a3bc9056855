package daybook.streams;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import java.util.Map;

/** Lets Kafka Streams do service D's job once, and prints what it took as one line of JSON. */
public final class Main {
    private static final ObjectMapper JSON =
            new ObjectMapper().setPropertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE);

    private Main() {}

    public static void main(String[] arguments) {
        try {
            Result result = Run.of(Settings.of(arguments));
            System.out.println(JSON.writeValueAsString(Map.of("streamed", result)));
        } catch (IllegalArgumentException usage) {
            System.err.println("error: " + usage.getMessage());
            System.exit(2);
        } catch (Exception failure) {
            System.err.println("error: " + sentence(failure));
            System.exit(1);
        }
    }

    /** The failure with all its causes. */
    private static String sentence(Throwable failure) {
        String own = failure.getMessage() == null ? failure.getClass().getSimpleName() : failure.getMessage();
        return failure.getCause() == null ? own : own + ": " + sentence(failure.getCause());
    }
}
