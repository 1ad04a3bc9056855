//! The threads that sled 0.34 begins when it opens a directory.

use std::io;
use std::sync::mpsc::channel;
use std::thread::{Builder, JoinHandle};

/// Threads that sled begins at the first opening in a process, and one more for a store that it syncs by the clock.
const THREADS: usize = 7 + 1;

/// Sees whether the system gives the threads of an opening. sled itself only says so in the log if it gets none, and then waits
/// for ever for work that nobody does.
pub(crate) fn check_threads() -> io::Result<()> {
    check(|work| Builder::new().spawn(work)).map_err(|error| {
        let told =
            format!("the system gives no thread for the store: {error}; check the limits of this process");
        io::Error::new(error.kind(), told)
    })
}

/// Begins all of them before the first one ends, since sled's stay, and ends them again.
fn check(mut begin: impl FnMut(Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>>) -> io::Result<()> {
    let (mut begun, mut result) = (Vec::new(), Ok(()));
    for _ in 0..THREADS {
        let (end, ends) = channel::<()>();
        // Received is that nobody sends any more.
        let wait = move || {
            let _ended = ends.recv();
        };
        match begin(Box::new(wait)) {
            Ok(thread) => begun.push((end, thread)),
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    for (end, thread) in begun {
        drop(end);
        // It does nothing that could panic.
        let _joined = thread.join();
    }
    result
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Of a system that gives so many threads at the same time.
    fn checked(threads_max: usize) -> io::Result<()> {
        let alive = Arc::new(AtomicUsize::new(0));
        let result = check(|work| {
            if alive.fetch_add(1, Ordering::SeqCst) == threads_max {
                alive.fetch_sub(1, Ordering::SeqCst);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let alive = alive.clone();
            Builder::new().spawn(move || {
                work();
                alive.fetch_sub(1, Ordering::SeqCst);
            })
        });
        assert_eq!(alive.load(Ordering::SeqCst), 0, "none is left");
        result
    }

    #[test]
    fn the_threads_of_an_opening_are_asked_for_at_the_same_time() {
        checked(THREADS).unwrap();
        for too_few in [0, 1, THREADS - 1] {
            assert_eq!(checked(too_few).unwrap_err().kind(), io::ErrorKind::WouldBlock, "{too_few}");
        }
    }
}
