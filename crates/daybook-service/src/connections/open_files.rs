//! Room for connections in the process's table of open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files beside the connections: store, log, brokers.
const OTHER_FILES_MAX: u64 = 1_024;

/// Raises the limit of open files to what so many connections need, as far as the process may; says so if it may not.
pub(super) fn make_room_for(connections: usize) {
    let needed = connections as u64 + OTHER_FILES_MAX;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return;
    }
    let wanted = maximum.map_or(needed, |maximum| maximum.min(needed));
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        tracing::warn!("the limit of open files stays at {current:?}: {error}");
    }
    if wanted < needed {
        tracing::warn!(
            "this process may open {wanted} files and needs up to {needed} for {connections} connections; raise the hard \
             limit (ulimit -H -n), or lower --connections-max"
        );
    }
}
