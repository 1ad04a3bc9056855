// Notes what a process does to the files of one directory: what it writes, what it names, and what it syncs.
//
// Preloaded into a process (LD_PRELOAD), it takes the place of the C library's functions. RECORDER_DIRECTORY is the
// directory, as an absolute path without links; RECORDER_LOG is the file that the entries are appended to, outside of it;
// RECORDER_KILL_AT, if it is there, is the number of the entry behind which the process is killed with SIGKILL.
//
// A lock is held over an operation and its entry, so that the order of the entries is the order of the operations, and so
// that no operation is done and not noted when the process kills itself. A sync is noted twice and not under the lock: only
// what was done before its begin is certain after its end. What failed is not noted.
//
// Not seen: memory that is mapped, system calls made without the C library, and io_uring. That nothing was missed is shown
// by replaying the entries and comparing the result with the directory.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

// Known to system-tests/src/power_cut/log.rs as well.
enum kind {
  CREATE = 1,
  TRUNCATE = 2,
  WRITE = 3,
  EXTEND = 4,
  SYNC_BEGIN = 5,
  SYNC_END = 6,
  SYNC_RANGE = 7,
  RENAME = 8,
  UNLINK = 9,
  MAKE_DIRECTORY = 10,
  REMOVE_DIRECTORY = 11,
};

struct entry {
  uint32_t kind;
  uint32_t name_bytes;
  uint32_t other_name_bytes;
  uint32_t data_bytes;
  uint64_t ns;    // CLOCK_MONOTONIC
  uint64_t inode; // 0 where only names say what is meant
  uint64_t a;     // an offset, a length, or the number of a sync
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char directory[PATH_MAX];
static size_t directory_bytes;
static int log_file = -1;
static uint64_t entries, kill_at, syncs;

static void fail(const char *what) {
  dprintf(2, "the recorder cannot go on: %s: %s\n", what, strerror(errno));
  _exit(121);
}

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("RECORDER_DIRECTORY"), *log = getenv("RECORDER_LOG"), *at = getenv("RECORDER_KILL_AT");
  if (!path || !log) return;
  if (strlen(path) >= sizeof directory) fail("the directory's name is too long");
  strcpy(directory, path);
  directory_bytes = strlen(directory);
  kill_at = at ? strtoull(at, NULL, 10) : 0;
  log_file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log_file < 0) fail("opening its log");
}

static void append(const void *bytes, size_t count) {
  const char *from = bytes;
  while (count > 0) {
    ssize_t written = syscall(SYS_write, log_file, from, count);
    if (written <= 0) fail("writing its log");
    from += written;
    count -= written;
  }
}

// The lock is held. `data` lies in `parts` buffers, of which `data_bytes` bytes count.
static void note_with(enum kind kind, uint64_t inode, uint64_t a, const char *name, const char *other,
                      const struct iovec *parts, size_t data_bytes) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  struct entry entry = {.kind = kind,
                        .name_bytes = name ? strlen(name) : 0,
                        .other_name_bytes = other ? strlen(other) : 0,
                        .data_bytes = data_bytes,
                        .ns = now.tv_sec * 1000000000ull + now.tv_nsec,
                        .inode = inode,
                        .a = a};
  append(&entry, sizeof entry);
  append(name, entry.name_bytes);
  append(other, entry.other_name_bytes);
  for (; data_bytes > 0; parts++) {
    size_t some = parts->iov_len < data_bytes ? parts->iov_len : data_bytes;
    append(parts->iov_base, some);
    data_bytes -= some;
  }
  if (++entries == kill_at) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }
}

static void note(enum kind kind, uint64_t inode, uint64_t a) { note_with(kind, inode, a, NULL, NULL, NULL, 0); }

// What lies behind the directory in `path`: "" for itself, NULL for what is not below it.
static const char *below(const char *path) {
  if (log_file < 0 || strncmp(path, directory, directory_bytes) != 0) return NULL;
  const char *rest = path + directory_bytes;
  return *rest == '/' ? rest + 1 : *rest == 0 ? rest : NULL;
}

// The inode of an open file or directory that is recorded, else 0.
static uint64_t inode_of(int fd) {
  struct stat stat;
  char link[64], path[PATH_MAX];
  int before = errno;
  uint64_t inode = 0;
  if (log_file >= 0 && syscall(SYS_fstat, fd, &stat) == 0 && (S_ISREG(stat.st_mode) || S_ISDIR(stat.st_mode))) {
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t bytes = readlink(link, path, sizeof path - 1);
    if (bytes > 0) {
      path[bytes] = 0;
      if (below(path)) inode = stat.st_ino;
    }
  }
  errno = before;
  return inode;
}

// The name of `path` below the recorded directory, in `to`; NULL if it lies elsewhere. Links are followed up to the last
// part of it.
static const char *recorded(int at, const char *path, char to[PATH_MAX]) {
  char whole[PATH_MAX], parent[PATH_MAX], link[64];
  int before = errno;
  const char *found = NULL;
  if (log_file < 0 || !path) return NULL;
  if (*path == '/' || at == AT_FDCWD) {
    if (snprintf(whole, sizeof whole, "%s%s", *path == '/' ? "" : "./", path) >= (int)sizeof whole) return NULL;
  } else {
    snprintf(link, sizeof link, "/proc/self/fd/%d", at);
    ssize_t bytes = readlink(link, parent, sizeof parent - 1);
    if (bytes <= 0) goto done;
    parent[bytes] = 0;
    if (snprintf(whole, sizeof whole, "%s/%s", parent, path) >= (int)sizeof whole) goto done;
  }
  for (size_t end = strlen(whole); end > 1 && whole[end - 1] == '/'; end--) whole[end - 1] = 0;
  char *slash = strrchr(whole, '/');
  *slash = 0;
  if (!realpath(slash == whole ? "/" : whole, parent)) goto done;
  if (snprintf(to, PATH_MAX, "%s/%s", parent, slash + 1) >= PATH_MAX) goto done;
  found = below(to);
done:
  errno = before;
  return found;
}

static int open_noted(int at, const char *path, int flags, mode_t mode) {
  char buffer[PATH_MAX];
  const char *name = flags & (O_CREAT | O_TRUNC) ? recorded(at, path, buffer) : NULL;
  if (!name) return syscall(SYS_openat, at, path, flags, mode);
  struct stat before, after;
  pthread_mutex_lock(&lock);
  int existed = syscall(SYS_newfstatat, at, path, &before, 0) == 0;
  int fd = syscall(SYS_openat, at, path, flags, mode);
  if (fd >= 0) {
    if (syscall(SYS_fstat, fd, &after) != 0) fail("asking for an inode");
    if (!existed)
      note_with(CREATE, after.st_ino, 0, name, NULL, NULL, 0);
    else if (flags & O_TRUNC && before.st_size > 0)
      note(TRUNCATE, after.st_ino, 0);
  }
  int error = errno;
  pthread_mutex_unlock(&lock);
  errno = error;
  return fd;
}

#define MODE(flags, mode)                        \
  mode_t mode = 0;                               \
  if (flags & (O_CREAT | __O_TMPFILE)) {         \
    va_list rest;                                \
    va_start(rest, flags);                       \
    mode = va_arg(rest, mode_t);                 \
    va_end(rest);                                \
  }

int open(const char *path, int flags, ...) {
  MODE(flags, mode)
  return open_noted(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  MODE(flags, mode)
  return open_noted(AT_FDCWD, path, flags, mode);
}

int openat(int at, const char *path, int flags, ...) {
  MODE(flags, mode)
  return open_noted(at, path, flags, mode);
}

int openat64(int at, const char *path, int flags, ...) {
  MODE(flags, mode)
  return open_noted(at, path, flags, mode);
}

// Writes at `offset`, or at the file's own position if that is -1.
static ssize_t write_noted(int fd, const struct iovec *parts, int count, off64_t offset) {
  uint64_t inode = inode_of(fd);
  if (inode) pthread_mutex_lock(&lock);
  ssize_t written = offset < 0 ? syscall(SYS_writev, fd, parts, count)
                               : syscall(SYS_pwritev, fd, parts, count, (long)offset, 0L);
  if (!inode) return written;
  int error = errno;
  if (written > 0) {
    uint64_t at = offset < 0 ? (uint64_t)syscall(SYS_lseek, fd, 0, SEEK_CUR) - written : (uint64_t)offset;
    note_with(WRITE, inode, at, NULL, NULL, parts, written);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return written;
}

ssize_t write(int fd, const void *bytes, size_t count) {
  struct iovec part = {(void *)bytes, count};
  return write_noted(fd, &part, 1, -1);
}

ssize_t writev(int fd, const struct iovec *parts, int count) { return write_noted(fd, parts, count, -1); }

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
  struct iovec part = {(void *)bytes, count};
  return write_noted(fd, &part, 1, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
  struct iovec part = {(void *)bytes, count};
  return write_noted(fd, &part, 1, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  return write_noted(fd, parts, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
  return write_noted(fd, parts, count, offset);
}

static int truncate_noted(int fd, off64_t length) {
  uint64_t inode = inode_of(fd);
  if (!inode) return syscall(SYS_ftruncate, fd, length);
  pthread_mutex_lock(&lock);
  int done = syscall(SYS_ftruncate, fd, length), error = errno;
  if (done == 0) note(TRUNCATE, inode, length);
  pthread_mutex_unlock(&lock);
  errno = error;
  return done;
}

int ftruncate(int fd, off_t length) { return truncate_noted(fd, length); }
int ftruncate64(int fd, off64_t length) { return truncate_noted(fd, length); }

static int allocate_noted(int fd, int mode, off64_t offset, off64_t length) {
  uint64_t inode = inode_of(fd);
  if (!inode) return syscall(SYS_fallocate, fd, mode, offset, length);
  if (mode & ~FALLOC_FL_KEEP_SIZE) {
    errno = EOPNOTSUPP;
    return -1;
  }
  pthread_mutex_lock(&lock);
  int done = syscall(SYS_fallocate, fd, mode, offset, length), error = errno;
  if (done == 0 && mode == 0) note(EXTEND, inode, offset + length);
  pthread_mutex_unlock(&lock);
  errno = error;
  return done;
}

int fallocate(int fd, int mode, off_t offset, off_t length) { return allocate_noted(fd, mode, offset, length); }
int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return allocate_noted(fd, mode, offset, length); }
int posix_fallocate(int fd, off_t offset, off_t length) { return allocate_noted(fd, 0, offset, length) ? errno : 0; }
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return allocate_noted(fd, 0, offset, length) ? errno : 0; }

static int sync_noted(long call, int fd) {
  uint64_t inode = inode_of(fd);
  if (!inode) return syscall(call, fd);
  pthread_mutex_lock(&lock);
  uint64_t number = (uint64_t)getpid() << 32 | ++syncs;
  note(SYNC_BEGIN, inode, number);
  pthread_mutex_unlock(&lock);
  int done = syscall(call, fd), error = errno;
  pthread_mutex_lock(&lock);
  if (done == 0) note(SYNC_END, inode, number);
  pthread_mutex_unlock(&lock);
  errno = error;
  return done;
}

int fsync(int fd) { return sync_noted(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_noted(SYS_fdatasync, fd); }

int sync_file_range(int fd, off64_t offset, off64_t count, unsigned flags) {
  uint64_t inode = inode_of(fd);
  int done = syscall(SYS_sync_file_range, fd, offset, count, flags), error = errno;
  if (inode) {
    pthread_mutex_lock(&lock);
    note(SYNC_RANGE, inode, offset);
    pthread_mutex_unlock(&lock);
  }
  errno = error;
  return done;
}

static int rename_noted(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
  char from_buffer[PATH_MAX], to_buffer[PATH_MAX];
  const char *from_name = recorded(from_at, from, from_buffer), *to_name = recorded(to_at, to, to_buffer);
  if (!from_name && !to_name) return syscall(SYS_renameat2, from_at, from, to_at, to, flags);
  // What comes from elsewhere, or goes there, or changes places is nothing that the entries could say.
  if (!from_name || !to_name || flags & ~1u) {
    errno = EXDEV;
    return -1;
  }
  pthread_mutex_lock(&lock);
  int done = syscall(SYS_renameat2, from_at, from, to_at, to, flags), error = errno;
  if (done == 0) note_with(RENAME, 0, 0, from_name, to_name, NULL, 0);
  pthread_mutex_unlock(&lock);
  errno = error;
  return done;
}

int rename(const char *from, const char *to) { return rename_noted(AT_FDCWD, from, AT_FDCWD, to, 0); }

int renameat(int from_at, const char *from, int to_at, const char *to) {
  return rename_noted(from_at, from, to_at, to, 0);
}

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
  return rename_noted(from_at, from, to_at, to, flags);
}

static int unlink_noted(int at, const char *path, int flags) {
  char buffer[PATH_MAX];
  const char *name = recorded(at, path, buffer);
  if (!name) return syscall(SYS_unlinkat, at, path, flags);
  pthread_mutex_lock(&lock);
  int done = syscall(SYS_unlinkat, at, path, flags), error = errno;
  if (done == 0) note_with(flags & AT_REMOVEDIR ? REMOVE_DIRECTORY : UNLINK, 0, 0, name, NULL, NULL, 0);
  pthread_mutex_unlock(&lock);
  errno = error;
  return done;
}

int unlink(const char *path) { return unlink_noted(AT_FDCWD, path, 0); }
int unlinkat(int at, const char *path, int flags) { return unlink_noted(at, path, flags); }
int rmdir(const char *path) { return unlink_noted(AT_FDCWD, path, AT_REMOVEDIR); }

static int mkdir_noted(int at, const char *path, mode_t mode) {
  char buffer[PATH_MAX];
  const char *name = recorded(at, path, buffer);
  if (!name) return syscall(SYS_mkdirat, at, path, mode);
  struct stat stat;
  pthread_mutex_lock(&lock);
  int done = syscall(SYS_mkdirat, at, path, mode), error = errno;
  if (done == 0) {
    if (syscall(SYS_newfstatat, at, path, &stat, 0) != 0) fail("asking for an inode");
    note_with(MAKE_DIRECTORY, stat.st_ino, 0, name, NULL, NULL, 0);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return done;
}

int mkdir(const char *path, mode_t mode) { return mkdir_noted(AT_FDCWD, path, mode); }
int mkdirat(int at, const char *path, mode_t mode) { return mkdir_noted(at, path, mode); }

// Second names and copies inside of the kernel would be invisible to a replay: the caller has to do without.
static int refused(int at, const char *path) {
  char buffer[PATH_MAX];
  return recorded(at, path, buffer) != NULL;
}

int link(const char *from, const char *to) {
  if (!refused(AT_FDCWD, to)) return syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
  errno = EPERM;
  return -1;
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
  if (!refused(to_at, to)) return syscall(SYS_linkat, from_at, from, to_at, to, flags);
  errno = EPERM;
  return -1;
}

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t count, unsigned flags) {
  if (!inode_of(to)) return syscall(SYS_copy_file_range, from, from_at, to, to_at, count, flags);
  errno = ENOSYS;
  return -1;
}

ssize_t sendfile64(int to, int from, off64_t *offset, size_t count) {
  if (!inode_of(to)) return syscall(SYS_sendfile, to, from, offset, count);
  errno = ENOSYS;
  return -1;
}
