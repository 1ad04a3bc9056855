package daybook.streams;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** What this process takes of the machine. */
final class Usage {
    private Usage() {}

    /** The largest resident set that it has had; as a replay tells it, from `/proc`. */
    static long memoryBytesPeak() throws IOException {
        List<String> status = Files.readAllLines(Path.of("/proc/self/status"));
        String kib = status.stream()
                .filter(line -> line.startsWith("VmHWM:"))
                .map(line -> line.replaceAll("\\D", ""))
                .findFirst()
                .orElseThrow(() -> new IOException("/proc/self/status does not tell VmHWM"));
        return Long.parseLong(kib) << 10;
    }

    /** Of all cores. */
    static double cpuSeconds() {
        var system = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        return system.getProcessCpuTime() / 1e9;
    }

    /** Bytes of all files below a directory. */
    static long bytesOnDisk(Path directory) throws IOException {
        long bytes = 0;
        try (Stream<Path> files = Files.walk(directory)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                bytes += Files.size(file);
            }
        }
        return bytes;
    }
}
