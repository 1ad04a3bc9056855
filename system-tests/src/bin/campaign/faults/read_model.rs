//! Harm to D's read model, and projectors at work beside D.

use std::fs;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use system_tests::process;

use super::away;
use crate::Fallible;
use crate::evidence::Verified;
use crate::report::progress;
use crate::world::projectors::{Task, differs};
use crate::world::{QUERY, World};

/// How often a replay is killed instead of left alone.
const REPLAY_KILLED: f64 = 0.3;
/// How long a projector is at work beside whom D is restarted.
const SLOW_S: u64 = 10;
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(50);
/// What a projector says that could not compare, because clients went on too fast.
const AGAIN: &str = "verify again";
/// How often it is asked again then.
const VERIFICATIONS_MAX: usize = 5;
/// What it says of rows that nobody can read any more, and what is to be done about it: a replay.
const UNREADABLE: &str = "cannot be read; rebuild it";

/// Beside D, which serves meanwhile, and then serves what was built.
pub(super) fn replay(world: &mut World, random: &mut StdRng) {
    world.projectors.start(Task::Replay);
    if random.random_bool(REPLAY_KILLED) {
        away(random);
        world.look();
        world.projectors.kill();
    }
}

/// D begins with nothing.
pub(super) fn remove(world: &mut World) -> Fallible<()> {
    world.look();
    world.projectors.kill();
    let read_model = world.read_model();
    let query = world.service(QUERY)?;
    query.kill();
    fs::remove_dir_all(&read_model).map_err(|error| format!("{}: {error}", read_model.display()))?;
    query.start();
    query.ready()
}

/// D is killed and has to come back while a projector works in its directory.
pub(super) fn restart_beside_projector(world: &mut World, random: &mut StdRng) -> Fallible<()> {
    let task = if random.random_bool(0.5) { Task::Replay } else { Task::Verify };
    world.look();
    world.projectors.kill();
    let rate = (world.records()? / SLOW_S).max(1);
    progress(&format!("  {task:?}, {rate} records/s"));
    world.projectors.start_slowly(task, rate);
    let deadline = Instant::now() + world.patience.ready;
    while !world.projectors.has_begun() {
        if Instant::now() >= deadline {
            return Err("a projector has not begun to read".into());
        }
        std::thread::sleep(POLL);
    }
    let query = world.service(QUERY)?;
    query.kill();
    query.start();
    query.ready()
}

/// A bit of a generation is another one when D opens it for the first time: whatever it serves then has to be right.
pub(crate) fn damage_generation(world: &mut World, random: &mut StdRng) -> Fallible<()> {
    world.look();
    world.projectors.kill();
    world.service(QUERY)?.kill();
    replayed(world)?;
    let what = flip_bit(world, random)?;
    progress(&format!("  {what}"));
    let query = world.service(QUERY)?;
    query.start();
    query.ready()?;
    let mut verified = verified(world);
    if verified.said.contains(UNREADABLE) && !differs(&verified.said) {
        // It is told, and mended as it says.
        progress("  rows of it cannot be read; replayed");
        replayed(world)?;
        verified = self::verified(world);
    }
    if !verified.said.contains(AGAIN) {
        let said = format!("{what}:\n{}", verified.said);
        world.verified.push(Verified { said, ..verified });
    }
    Ok(())
}

/// A replay that is waited for.
fn replayed(world: &World) -> Fallible<()> {
    let finished = process::run("projector", &world.projectors.flags(Task::Replay));
    match finished.code {
        Some(0) => Ok(()),
        _ => Err(format!("a replay ended with {:?}: {}", finished.code, finished.stderr.trim_end()).into()),
    }
}

/// Whether what D serves, or would serve, is what the log says.
pub(crate) fn verified(world: &World) -> Verified {
    let flags = world.projectors.flags(Task::Verify);
    let verify = || {
        let finished = process::run("projector", &flags);
        let (code, out, err) = (finished.code, finished.stdout, finished.stderr);
        // A signal leaves no code.
        Verified { same: code == Some(0), said: format!("exit code {code:?}: {out}{err}") }
    };
    let mut verified = verify();
    for _ in 1..VERIFICATIONS_MAX {
        if !verified.said.contains(AGAIN) {
            break;
        }
        verified = verify();
    }
    verified
}

/// In what is written of the store of the generation that is published, not near its ends. What sled has noted of an earlier
/// opening goes with it, for it would tell by that how much is missing. A sentence about it.
fn flip_bit(world: &World, random: &mut StdRng) -> Fallible<String> {
    let read_model = world.read_model();
    let name = fs::read_to_string(read_model.join("CURRENT"))?;
    let rows = read_model.join(name.trim_end()).join("rows");
    for entry in fs::read_dir(&rows).map_err(|error| format!("{}: {error}", rows.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("snap.") {
            fs::remove_file(entry.path())?;
        }
    }
    let path = rows.join("db");
    let mut bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    // Most of a small store is room that nobody has written to.
    let written: Vec<usize> = (0..bytes.len()).filter(|at| bytes.get(*at) != Some(&0)).collect();
    let inner = written.get(written.len() / 5..written.len() / 10 * 9).unwrap_or_default();
    let at = *inner.choose(random).ok_or_else(|| format!("{} is empty", path.display()))?;
    let bit = random.random_range(0..8);
    let length = bytes.len();
    bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << bit);
    fs::write(&path, bytes)?;
    Ok(format!("bit {bit} of byte {at} of {length} of {} flipped", path.display()))
}
