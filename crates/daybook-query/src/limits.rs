//! Every bound of this service that is not a setting, each with its reason.

use std::time::Duration;

/// Largest `--wait-ms-max`: a waiting request holds one of [`REQUESTS_MAX`].
pub const WAIT_MS_MAX_LIMIT: u64 = 60_000;
pub const WAIT_DEFAULT: Duration = Duration::from_millis(2_000);

/// Largest `--catch-up-ms-max`: an hour, for those who would rather get 503 than an older answer.
pub const CATCH_UP_MS_MAX_LIMIT: u64 = 3_600_000;

pub const PAGE_DEFAULT: usize = 50;
/// Most items of a page: about 150 KB of JSON.
pub const PAGE_MAX: usize = 500;

/// Most keys that `/status` lists as parked: what a person reads. The count is of all.
pub const STATUS_KEYS_MAX: usize = 100;

/// Requests at work at the same time, waiting ones included; past it 503. Each holds a connection and little else.
pub const REQUESTS_MAX: usize = 4_096;
/// Of these, requests that wait for a token; past it 503. The rest is for those who take what is projected: a projection
/// that is far behind keeps nobody else waiting.
pub const WAITING_MAX: usize = REQUESTS_MAX / 2;
/// How long the reading and rendering of one answer may take, on top of the wait that it asked for.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
pub const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Up to this many rows are read on the runtime's own thread, if another one is left that does not read: from memory a row takes
/// a few microseconds, less than handing the work over. What is larger goes to the pool of threads that may block.
pub const READ_INLINE_ROWS_MAX: usize = 256;
/// How often a sleeping thread of the runtime is woken while such a read has another one: as long is nobody listened to at most,
/// if the disk does not answer. A wake-up takes some microseconds.
pub const LISTEN_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How often the file `CURRENT` is read, to see whether a new generation was published. One small read.
pub const CURRENT_POLL_INTERVAL: Duration = Duration::from_millis(250);
/// How often what `/status` says of the disk is measured: sizes of some dozen files, and whether a process rebuilds.
pub const MEASURE_INTERVAL: Duration = Duration::from_secs(1);
/// Threads for what blocks in the generation manager: its own tick, what is measured, a generation that is opened, and some that were being
/// opened when another was published.
pub const MANAGER_BLOCKING_THREADS_MAX: usize = 8;
/// Pause before something that failed for a passing reason (Kafka away, a topic not created yet) is tried again.
pub const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Generations that are wanted and not yet begun; what is wanted past it is wanted again at the next tick.
pub const BUILDS_WANTED_MAX: usize = 4;
/// How long requests in flight may take to end at a shutdown, on top of the longest wait.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// How long a rebuild, the followers and what they write may take to end once requests are answered; more than each of their
/// steps takes on a disk that answers. What the disk has not taken the log gives again.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a new generation may take for the last few events before it takes over; the served one stands still
/// meanwhile, and is followed again if it takes longer.
pub const SWAP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a new generation may take to be compared with what is served, which is followed meanwhile; it follows on and is
/// compared again if it takes longer. Long enough for a broker that is away for a moment. A few seconds more pass while one
/// does not answer.
pub const COMPARE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before it is compared again, in which it follows the log.
pub const COMPARE_PAUSE: Duration = Duration::from_secs(2);
/// How often it is checked whether what is served has got as far: it usually has at the first check.
pub const COMPARE_POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long the projection may take to begin with what is asked of it about the quarantine: longer than one commit, and
/// than one search of the log while a few brokers do not answer (a second for the cluster, three for each topic and each leader,
/// fifteen for the records where it resumed before).
pub const REPAIR_WAIT: Duration = Duration::from_secs(40);
/// Largest request of an operator of the read model: all events that may be left out, with their reasons.
pub const ADMIN_BODY_BYTES_MAX: usize = 32 << 20;
/// How long one attempt to build waits for a broker. Short, because a request to stop is seen only between attempts.
pub const BROKER_TIMEOUT: Duration = Duration::from_secs(3);

/// Parts of a cache of rows that are locked apart: more than threads that read.
pub const CACHE_SHARDS: usize = 16;
/// Rows of each part; 65,536 in all, some 20 MB of products. Past it the part is emptied.
pub const CACHE_SHARD_ROWS_MAX: usize = 4_096;
