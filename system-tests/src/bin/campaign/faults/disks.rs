//! Harm to the disk of a service that takes commands, and what the service makes of it.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use uuid::Uuid;

use crate::Fallible;
use crate::evidence::{DiskFault, FailedDisk, FullDisk, Part};
use crate::report::progress;
use crate::world::service::Service;
use crate::world::{QUERY, World};

/// Pause between two looks.
const POLL: Duration = Duration::from_millis(50);
/// End of the type of a problem: the service cannot write.
const STORE_FAILS: &str = "store-fails";

/// There is no room from the first command that is refused on, for so long.
pub(crate) fn fill(world: &mut World, service: usize, full: Duration) -> Fallible<()> {
    without_damage(world, service)?;
    let limit = world.patience.disk;
    let filled = world.service(service)?;
    let pid = filled.pid();
    filled.disk()?.fill();
    let refused = until(limit, || refuses(filled).then_some(())).is_some();
    let decided = refused && until(full, || decides(filled).then_some(())).is_some();
    let live = filled.get("/health/live");
    let query = world.service(QUERY)?.get(&format!("/users/{}/orders", Uuid::now_v7()));
    let filled = world.service(service)?;
    filled.disk()?.heal();
    let went_on = until(limit, || decides(filled).then_some(())).is_some() && filled.pid() == pid;
    let full = FullDisk { service: filled.name, refused, decided, live, query, went_on };
    world.disk_faults.push(DiskFault::Full(full));
    if went_on { world.service(service)?.ready() } else { again(world, service) }
}

fn refuses(service: &Service) -> bool {
    service.command_in_vain().is_some_and(|(status, problem)| status == 503 && problem.ends_with(STORE_FAILS))
}

fn decides(service: &Service) -> bool {
    service.command_in_vain().is_some_and(|(status, _)| status < 500)
}

/// One write or sync fails, which ends the process. It is started again, on a disk that is well.
pub(crate) fn fail(world: &mut World, service: usize, part: Part, random: &mut StdRng) -> Fallible<()> {
    without_damage(world, service)?;
    let limit = world.patience.disk;
    let failing = world.service(service)?;
    let disk = failing.disk()?;
    let struck = disk.struck();
    disk.fail_once(part, random);
    let ended = until(limit, || {
        // Something to write, whatever clients do.
        let _answer = failing.command_in_vain();
        failing.ended()
    });
    let disk = failing.disk()?;
    disk.heal();
    if disk.struck() == struck && ended.is_none() {
        return Err(format!("{} wrote nothing to its {part} in {} s", failing.name, limit.as_secs()).into());
    }
    let last = |said: &str| said.lines().next_back().unwrap_or_default().to_owned();
    let ended = ended.map(|(status, said)| (status.code(), last(&said)));
    let failed = FailedDisk { service: failing.name, part, ended };
    world.disk_faults.push(DiskFault::Failed(failed));
    again(world, service)?;
    if part == Part::Index { note_index(world, service) } else { Ok(()) }
}

/// A part of the index is not what was written.
pub(crate) fn damage_index(world: &mut World, service: usize, random: &mut StdRng) -> Fallible<()> {
    world.look();
    let damaged = world.service(service)?;
    damaged.kill();
    let what = damaged.disk()?.damage_index(random)?;
    progress(&format!("  {what}"));
    again(world, service)
}

/// The index is gone.
pub(crate) fn remove_index(world: &mut World, service: usize) -> Fallible<()> {
    world.look();
    let without = world.service(service)?;
    without.kill();
    without.disk()?.remove_index()?;
    again(world, service)?;
    note_index(world, service)
}

/// Damage that the service has not met yet would be met now, and what came of it be taken for another fault's work.
fn without_damage(world: &mut World, service: usize) -> Fallible<()> {
    world.look();
    if world.service(service)?.is_damaged() { remove_index(world, service) } else { Ok(()) }
}

/// Started, also where it still runs or has ended already.
fn again(world: &mut World, service: usize) -> Fallible<()> {
    let service = world.service(service)?;
    service.kill();
    service.start();
    service.ready()
}

/// Notes whether the service has built its index again.
fn note_index(world: &mut World, service: usize) -> Fallible<()> {
    let limit = world.patience.disk;
    let service = world.service(service)?;
    // What it says may come a little later than its answers.
    let built_again = until(limit, || service.has_built_index().then_some(())).is_some();
    let name = service.name;
    world.disk_faults.push(DiskFault::NoIndex { service: name, built_again });
    Ok(())
}

fn until<T>(limit: Duration, mut there: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        match there() {
            None if Instant::now() < deadline => std::thread::sleep(POLL),
            there => return there,
        }
    }
}
