package daybook.streams;

/**
 * What one run took. Seconds, CPU and memory are those until the last event was processed; bytes on disk are those after
 * everything was flushed.
 *
 * @param events processed
 * @param rows in the three stores afterwards
 * @param seconds from the start of Kafka Streams on
 * @param cpuSeconds of the whole process, its start included
 * @param memoryBytes the largest resident set that the process has had
 * @param bytesOnDisk of the state directory
 * @param changelogBytes of the changelog topics, all replicas
 */
record Result(
        long events,
        long rows,
        double seconds,
        double cpuSeconds,
        long memoryBytes,
        long bytesOnDisk,
        long changelogBytes) {}
