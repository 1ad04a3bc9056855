//! The journal's directory: which files there are, how one is made, how its name becomes durable. One spare segment is kept ready,
//! so that changing to a new one costs no writing of zeros.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::footer::{Footer, Trailer};
use crate::frame::{BLOCK_BYTES, Frame};
use crate::segment::{Header, table_bytes};

const SUFFIX: &str = ".journal";
/// A segment of zeros that waits to be used.
const SPARE: &str = "spare";
/// One that is being filled with zeros.
const SPARE_NEW: &str = "spare.new";
/// One that is being given its header.
const SEGMENT_NEW: &str = "segment.new";
/// Zeros written at a time.
const ZEROS_BYTES: usize = 1024 * 1024;

#[derive(Debug, Clone)]
pub(crate) struct Directory {
    path: PathBuf,
}

#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) segments: Vec<u64>,
    pub(crate) foreign: Vec<PathBuf>,
}

impl Directory {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn segment(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:020}{SUFFIX}"))
    }

    fn spare(&self) -> PathBuf {
        self.path.join(SPARE)
    }

    /// Says what there is; nothing if the directory does not exist.
    pub(crate) fn list(&self) -> io::Result<Listing> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listing::default()),
            entries => entries?,
        };
        let mut listing = Listing::default();
        for entry in entries {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            match name.strip_suffix(SUFFIX).and_then(|number| number.parse().ok()) {
                Some(number) => listing.segments.push(number),
                None if [SPARE, SPARE_NEW, SEGMENT_NEW].contains(&&*name) => {}
                None => listing.foreign.push(self.path.join(&*name)),
            }
        }
        listing.segments.sort_unstable();
        Ok(listing)
    }

    /// Makes the directory, durably. What lies above it is made and synced before it is made itself: where it is there, all of
    /// that is durable whenever a process was interrupted, and only its own name need be synced. What an interrupted
    /// process left half made in it is written over.
    pub(crate) fn make(&self) -> io::Result<()> {
        let parent = match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        if !self.path.is_dir() {
            fs::create_dir_all(parent)?;
            // What may not be opened is none that was made here.
            let mut above = parent.ancestors().skip(1).map_while(|above| File::open(above).ok());
            above.try_for_each(|above| above.sync_all())?;
            fs::create_dir(&self.path)?;
        }
        File::open(parent)?.sync_all()
    }

    pub(crate) fn has_spare(&self, bytes: u64) -> bool {
        fs::metadata(self.spare()).is_ok_and(|metadata| metadata.len() == bytes)
    }

    /// Makes a spare segment: zeros that are on the disk before it has its name. Writing into them later changes no
    /// metadata, as writing into a hole or into what was only reserved would.
    pub(crate) fn make_spare(&self, bytes: u64) -> io::Result<()> {
        let new = self.path.join(SPARE_NEW);
        let made = fill_with_zeros(&new, bytes).and_then(|()| fs::rename(&new, self.spare()));
        if made.is_err() {
            // A half made one takes the very room that is missing. What remains is removed at the next start.
            let _ = fs::remove_file(&new);
        }
        made.and_then(|()| self.sync())
    }

    /// Opens the spare segment, and the directory. What the system has too few of, such as open files, is found out here,
    /// before anything is changed.
    pub(crate) fn open_spare(&self) -> io::Result<OpenSpare> {
        let file = OpenOptions::new().read(true).write(true).open(self.spare())?;
        Ok(OpenSpare { file, directory: File::open(&self.path)? })
    }

    /// Turns the spare into segment `number` which begins with `begin`: durable under its name, or not there at all.
    pub(crate) fn begin_segment(&self, spare: OpenSpare, number: u64, begin: &[u8]) -> io::Result<File> {
        let OpenSpare { file, directory } = spare;
        let new = self.path.join(SEGMENT_NEW);
        fs::rename(self.spare(), &new)?;
        file.write_all_at(begin, 0)?;
        file.sync_all()?;
        fs::rename(&new, self.segment(number))?;
        directory.sync_all()?;
        Ok(file)
    }

    pub(crate) fn open_segment(&self, number: u64) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.segment(number))
    }

    pub(crate) fn remove_segment(&self, number: u64) -> io::Result<()> {
        fs::remove_file(self.segment(number))?;
        self.sync()
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

#[derive(Debug)]
pub(crate) struct OpenSpare {
    file: File,
    directory: File,
}

fn fill_with_zeros(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let zeros = vec![0; ZEROS_BYTES];
    let mut left = bytes;
    while left > 0 {
        let some = left.min(ZEROS_BYTES as u64);
        // At most `ZEROS_BYTES`.
        file.write_all(&zeros[..some as usize])?;
        left -= some;
    }
    file.sync_all()
}

/// Writes a segment's footer behind its records, and cuts off the zeros that are left. What was acknowledged lies before.
/// Returns its bytes then.
pub(crate) fn close_segment(file: &File, end_block: u32, footer: &Footer) -> io::Result<u64> {
    let mut tail = footer.encode();
    let footer_bytes = tail.len() as u32;
    tail.resize(tail.len().next_multiple_of(BLOCK_BYTES), 0);
    tail.extend_from_slice(&Trailer { footer_block: end_block, footer_bytes }.encode());
    let begin = u64::from(end_block) * BLOCK_BYTES as u64;
    file.write_all_at(&tail, begin)?;
    let bytes = begin + tail.len() as u64;
    file.set_len(bytes)?;
    file.sync_all()?;
    Ok(bytes)
}

/// How a disk says that it cannot give what it has.
const EIO: i32 = 5;

/// Whether an error is how a disk, or a process that changed its files, says that bytes are gone.
pub(crate) fn is_unreadable(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, UnexpectedEof};
    error.raw_os_error() == Some(EIO) || matches!(error.kind(), IsADirectory | UnexpectedEof)
}

/// All bytes of a segment. If `lenient`, zeros stand where the disk gives nothing.
pub(crate) fn read_content(file: &File, lenient: bool) -> io::Result<Vec<u8>> {
    let mut content = vec![0; file.metadata()?.len() as usize];
    match file.read_exact_at(&mut content, 0) {
        Err(error) if lenient && is_unreadable(&error) => {}
        read => return read.map(|()| content),
    }
    for (block, bytes) in (0..).zip(content.chunks_mut(BLOCK_BYTES)) {
        match file.read_exact_at(bytes, block * BLOCK_BYTES as u64) {
            Err(error) if is_unreadable(&error) => bytes.fill(0),
            read => read?,
        }
    }
    Ok(content)
}

/// The bytes of the record that begins at `byte` of a segment, as far as its first block says how many there are.
pub(crate) fn read_record(file: &File, byte: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; BLOCK_BYTES];
    file.read_exact_at(&mut bytes, byte)?;
    if let Ok(frame) = Frame::decode(&bytes) {
        bytes.resize(frame.blocks() as usize * BLOCK_BYTES, 0);
        file.read_exact_at(&mut bytes[BLOCK_BYTES..], byte + BLOCK_BYTES as u64)?;
    }
    Ok(bytes)
}

/// The footer of a segment, if it is closed and its footer can be read.
pub(crate) fn read_footer(file: &File) -> io::Result<Option<(Footer, u32)>> {
    let bytes = file.metadata()?.len();
    let Some(last) = bytes.checked_sub(BLOCK_BYTES as u64) else { return Ok(None) };
    let mut block = [0; BLOCK_BYTES];
    file.read_exact_at(&mut block, last)?;
    let Some(trailer) = Trailer::decode(&block) else { return Ok(None) };
    let begin = u64::from(trailer.footer_block) * BLOCK_BYTES as u64;
    if begin + u64::from(trailer.footer_bytes) > last {
        return Ok(None);
    }
    let mut footer = vec![0; trailer.footer_bytes as usize];
    file.read_exact_at(&mut footer, begin)?;
    Ok(Footer::decode(&footer).ok().map(|footer| (footer, trailer.footer_block)))
}

/// The header of a segment, and the block behind it.
pub(crate) fn read_header(file: &File) -> io::Result<Result<(Header, u32), crate::Damaged>> {
    let bytes = file.metadata()?.len();
    let mut begin = vec![0; (BLOCK_BYTES as u64).min(bytes) as usize];
    file.read_exact_at(&mut begin, 0)?;
    if let Some(table) = table_bytes(&begin).filter(|table| *table > begin.len() && *table as u64 <= bytes) {
        begin.resize(table, 0);
        file.read_exact_at(&mut begin, 0)?;
    }
    let blocks = table_bytes(&begin).map_or(1, crate::frame::blocks);
    Ok(Header::decode(&begin).map(|header| (header, blocks)))
}

/// Pause before a disk that had no room is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Whether there is a spare segment, and why not.
#[derive(Debug, Default)]
struct State {
    ready: bool,
    failure: Option<(io::ErrorKind, String)>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        *self.lock() = state;
        self.changed.notify_all();
    }
}

#[derive(Debug)]
pub(crate) struct Spare {
    shared: Arc<Shared>,
    /// Dropped first, so that the thread ends.
    wanted: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Spare {
    pub(crate) fn start(directory: Directory, bytes: u64) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        // One wish is as good as many.
        let (wanted, wishes) = sync_channel(1);
        let work = {
            let shared = Arc::clone(&shared);
            move || keep_one_ready(&directory, bytes, &wishes, &shared)
        };
        let thread = thread::Builder::new().name("journal-spare".to_owned()).spawn(work)?;
        let spare = Self { shared, wanted: Some(wanted), thread: Some(thread) };
        spare.taken();
        Ok(spare)
    }

    /// The spare was used: another one is wanted.
    pub(crate) fn taken(&self) {
        self.shared.set(State::default());
        match self.wanted.as_ref().map(|wanted| wanted.try_send(())) {
            // A wish that is already there, or a thread that ended: waiting for it then says so by its bound.
            None | Some(Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(()))) => {}
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.shared.lock().ready
    }

    /// Why there is none, if making it failed.
    pub(crate) fn failure(&self) -> Option<String> {
        self.shared.lock().failure.as_ref().map(|(_, failure)| failure.clone())
    }

    /// Waits until a spare is ready, or making it failed, at most so long.
    pub(crate) fn wait(&self, timeout: Duration) -> io::Result<()> {
        let undecided = |state: &mut State| !state.ready && state.failure.is_none();
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), timeout, undecided);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match (&state.failure, state.ready) {
            (_, true) => Ok(()),
            (Some((kind, failure)), false) => Err(io::Error::new(*kind, failure.clone())),
            (None, false) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        drop(self.wanted.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that makes spare segments of the journal has panicked");
        }
    }
}

fn keep_one_ready(directory: &Directory, bytes: u64, wishes: &Receiver<()>, shared: &Shared) {
    let mut failed = false;
    loop {
        let wish = if failed { wishes.recv_timeout(RETRY_PAUSE) } else { wishes.recv().map_err(Into::into) };
        if wish == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        let made = if directory.has_spare(bytes) { Ok(()) } else { directory.make_spare(bytes) };
        failed = made.is_err();
        let failure = made.err().map(|error| (error.kind(), error.to_string()));
        shared.set(State { ready: !failed, failure });
    }
}
