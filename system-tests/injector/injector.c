// Makes writes and syncs of a process fail, or hang, by the word of a file.
//
// Preloaded into a process (LD_PRELOAD), it takes the place of the C library's functions. INJECTOR_RULES names a file that
// may be changed while the process runs; it is read at each call, and its absence means that nothing fails. Each line is
// a rule:
//
//   OPERATION PART FIRST COUNT ACTION LABEL
//
// OPERATION is `write` (write, pwrite, writev, pwritev, fallocate), `sync` (fsync, fdatasync, sync_file_range) or `any`.
// PART is a string without spaces that the file's path contains. Calls that fit are counted from 1, from when the line
// was there first; those from FIRST on are struck, COUNT of them, or all if that is 0. ACTION is `EIO`, `ENOSPC` or `hang`:
// wait until the line is gone, and then do what was asked. LABEL makes one line another than the one before it.
//
// INJECTOR_LOG, if it is there, is a file to which a line is appended for each call that is struck: the rule, and the path.
//
// Not seen: memory that is mapped, system calls made without the C library, and io_uring.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define RULES_MAX 8
#define LINE_MAX_BYTES 512

enum operation { WRITE = 1, SYNC = 2 };

struct rule {
  char line[LINE_MAX_BYTES];
  uint64_t seen;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rule known[RULES_MAX];
static const char *rules_path, *log_path;

__attribute__((constructor)) static void begin(void) {
  rules_path = getenv("INJECTOR_RULES");
  log_path = getenv("INJECTOR_LOG");
}

static int read_rules(char text[RULES_MAX * LINE_MAX_BYTES]) {
  int file = syscall(SYS_openat, AT_FDCWD, rules_path, O_RDONLY | O_CLOEXEC, 0);
  ssize_t bytes = 0;
  if (file >= 0) {
    bytes = syscall(SYS_read, file, text, RULES_MAX * LINE_MAX_BYTES - 1);
    syscall(SYS_close, file);
  }
  text[bytes > 0 ? bytes : 0] = 0;
  return bytes > 0;
}

// How often a call has fitted this rule, this one included. The lock is held.
static uint64_t count(const char *line) {
  struct rule *empty = NULL;
  for (int index = 0; index < RULES_MAX; index++) {
    if (strcmp(known[index].line, line) == 0) return ++known[index].seen;
    if (!empty && !known[index].line[0]) empty = &known[index];
  }
  if (!empty) empty = &known[0];
  strcpy(empty->line, line);
  return empty->seen = 1;
}

// Rules that are gone are forgotten. The lock is held.
static void forget(const char *text) {
  for (int index = 0; index < RULES_MAX; index++)
    if (known[index].line[0] && !strstr(text, known[index].line)) known[index].line[0] = 0;
}

static void note(const char *line, const char *path) {
  char text[LINE_MAX_BYTES + PATH_MAX + 8];
  if (!log_path) return;
  int file = syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) return;
  int bytes = snprintf(text, sizeof text, "%s: %s\n", line, path);
  syscall(SYS_write, file, text, bytes);
  syscall(SYS_close, file);
}

static void wait_until_gone(const char *line) {
  char text[RULES_MAX * LINE_MAX_BYTES];
  const struct timespec pause = {.tv_nsec = 5000000};
  while (read_rules(text) && strstr(text, line)) nanosleep(&pause, NULL);
}

static int fits(const char *named, enum operation operation) {
  return strcmp(named, "any") == 0 || strcmp(named, operation == SYNC ? "sync" : "write") == 0;
}

// The error with which a call must fail, 0 if it must not.
static int struck(enum operation operation, int fd) {
  char text[RULES_MAX * LINE_MAX_BYTES], rest[RULES_MAX * LINE_MAX_BYTES], link[64], path[PATH_MAX];
  int before = errno, error = 0;
  if (!rules_path || !read_rules(text)) goto done;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t bytes = readlink(link, path, sizeof path - 1);
  if (bytes <= 0) goto done;
  path[bytes] = 0;
  strcpy(rest, text);
  char *next = rest;
  for (char *line; !error && (line = strsep(&next, "\n"));) {
    char named[16], part[256], action[16];
    unsigned long long first, most;
    if (strlen(line) >= LINE_MAX_BYTES) continue;
    if (sscanf(line, "%15s %255s %llu %llu %15s", named, part, &first, &most, action) != 5) continue;
    if (!fits(named, operation) || !strstr(path, part)) continue;
    pthread_mutex_lock(&lock);
    forget(text);
    uint64_t at = count(line);
    pthread_mutex_unlock(&lock);
    if (at < first || (most > 0 && at >= first + most)) continue;
    note(line, path);
    if (strcmp(action, "hang") == 0) wait_until_gone(line);
    if (strcmp(action, "EIO") == 0) error = EIO;
    if (strcmp(action, "ENOSPC") == 0) error = ENOSPC;
  }
done:
  errno = before;
  return error;
}

#define UNLESS_STRUCK(operation, fd, call)  \
  int error = struck(operation, fd);        \
  if (!error) return call;                  \
  errno = error;                            \
  return -1

ssize_t write(int fd, const void *bytes, size_t size) { UNLESS_STRUCK(WRITE, fd, syscall(SYS_write, fd, bytes, size)); }

ssize_t writev(int fd, const struct iovec *parts, int parts_count) {
  UNLESS_STRUCK(WRITE, fd, syscall(SYS_writev, fd, parts, parts_count));
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
  UNLESS_STRUCK(WRITE, fd, syscall(SYS_pwrite64, fd, bytes, size, offset));
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) {
  UNLESS_STRUCK(WRITE, fd, syscall(SYS_pwrite64, fd, bytes, size, offset));
}

ssize_t pwritev(int fd, const struct iovec *parts, int parts_count, off_t offset) {
  UNLESS_STRUCK(WRITE, fd, syscall(SYS_pwritev, fd, parts, parts_count, (long)offset, 0L));
}

ssize_t pwritev64(int fd, const struct iovec *parts, int parts_count, off64_t offset) {
  UNLESS_STRUCK(WRITE, fd, syscall(SYS_pwritev, fd, parts, parts_count, (long)offset, 0L));
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
  UNLESS_STRUCK(WRITE, fd, syscall(SYS_fallocate, fd, mode, offset, length));
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
  UNLESS_STRUCK(WRITE, fd, syscall(SYS_fallocate, fd, mode, offset, length));
}

int fsync(int fd) { UNLESS_STRUCK(SYNC, fd, syscall(SYS_fsync, fd)); }

int fdatasync(int fd) { UNLESS_STRUCK(SYNC, fd, syscall(SYS_fdatasync, fd)); }

int sync_file_range(int fd, off64_t offset, off64_t bytes, unsigned flags) {
  UNLESS_STRUCK(SYNC, fd, syscall(SYS_sync_file_range, fd, offset, bytes, flags));
}
