//! One world in which a service has a fault: clients work until it has struck, then everything is judged.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use daybook_service::FIRES;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::run::Run;
use super::{Harm, Sabotage};
use crate::checks::CHECKS;
use crate::clients::{self, Field};
use crate::evidence::{Evidence, Part};
use crate::faults::{brokers, disks, read_model};
use crate::patience::Patience;
use crate::report::{keep_history, keep_log};
use crate::world::cluster::Cluster;
use crate::world::service::Service;
use crate::world::{Harmful, Plan, World};
use crate::{Fallible, gather};

/// Pause between two looks at whether the fault has struck.
const LOOK: Duration = Duration::from_millis(100);
/// How long clients go on afterwards, so that there is somebody to meet what came of it.
const AFTERMATH: Duration = Duration::from_secs(1);
/// How long clients work before their service is killed, and again while no broker is there.
const WORK: Duration = Duration::from_secs(2);
/// How long nobody may be held up.
const WATCHED: Duration = Duration::from_secs(5);
/// What a service logs when it finds something wrong.
const ERROR: &str = " ERROR ";
/// Most characters of a service's words that are shown.
const WORDS_MAX: usize = 200;

/// One world to be.
pub(super) struct Attempt<'s> {
    pub(super) sabotage: &'s Sabotage,
    /// Counted from 1.
    pub(super) number: usize,
    /// How often the fault has to strike.
    pub(super) strikes: usize,
    /// When to look even so.
    pub(super) by: Instant,
}

/// What came of it.
pub(super) struct Outcome {
    /// Names of the checks that found something, those that were expected first.
    pub(super) found_by: Vec<&'static str>,
    /// How often the fault struck.
    pub(super) struck: usize,
    /// What the services themselves said was wrong, each in its first words.
    pub(super) said: Vec<String>,
}

impl Attempt<'_> {
    /// Makes the world, and judges what is left of it. What was found is removed.
    pub(super) fn carry_out(&self, cluster: Cluster, run: &Run<'_>) -> Fallible<(Outcome, Cluster)> {
        let name = format!("{}-{}", self.sabotage.failpoint.name, self.number);
        let directory = run.directory.join(&name);
        std::fs::create_dir_all(&directory)?;
        let Sabotage { failpoint, service, harm, .. } = *self.sabotage;
        let harmful = Harmful { service, failpoint, flags: harm.flags() };
        let plan = Plan {
            directory: &directory,
            port: run.flags.port,
            topic_prefix: &format!("{name}."),
            harmful: Some(harmful),
            patience: Patience::SHORT,
        };
        let mut world = World::start(cluster, &plan, &run.http, run.handle)?;
        let evidence = self.evidence(&mut world, &directory, run)?;
        let outcome = Outcome {
            found_by: self.found_by(&evidence),
            struck: self.struck(&world),
            // Whoever loses Kafka has enough to say about that.
            said: if harm == Harm::None { words(&world) } else { Vec::new() },
        };
        let cluster = world.end();
        if self.sabotage.is_found_by(&outcome.found_by) {
            std::fs::remove_dir_all(&directory)?;
        }
        Ok((outcome, cluster))
    }

    fn evidence(&self, world: &mut World, directory: &Path, run: &Run<'_>) -> Fallible<Evidence> {
        let field = Arc::new(Field::new(world.urls(), run.http.clone(), world.patience.command));
        let mut clients = clients::start(run.flags.clients, run.seed, &field, run.handle);
        match self.sabotage.harm {
            Harm::None => self.until_struck(world, run),
            Harm::KillWithoutKafka | Harm::LoseDiskWithoutKafka => self.kill_without_kafka(world)?,
            Harm::FillDisk | Harm::FailIndex | Harm::RemoveIndex => self.harm_disk(world, run)?,
            Harm::DamageGeneration => self.damage_generations(world, run)?,
            Harm::Watch => {
                std::thread::sleep(WORK);
                brokers::watch(world, WATCHED);
            }
        }
        field.stop();
        while let Some(ended) = run.handle.block_on(clients.join_next()) {
            ended?;
        }
        if self.sabotage.harm.is_without_kafka() {
            self.bring_back(world)?;
        }
        let history = std::mem::take(&mut *field.history());
        keep_history(&history, directory)?;
        let evidence = gather::evidence(world, history, field.spans(&world.quiet), &run.http, run.handle)?;
        keep_log(&evidence.log, directory)?;
        Ok(evidence)
    }

    fn until_struck(&self, world: &mut World, run: &Run<'_>) {
        while self.struck(world) < self.strikes && !self.is_over(run) {
            std::thread::sleep(LOOK);
            world.look();
        }
        std::thread::sleep(AFTERMATH);
        world.look();
    }

    /// What the service has acknowledged since Kafka was gone is nowhere but with itself when it dies.
    fn kill_without_kafka(&self, world: &mut World) -> Fallible<()> {
        std::thread::sleep(WORK);
        brokers::kill_all(world)?;
        std::thread::sleep(WORK);
        world.service(self.sabotage.service)?.kill();
        Ok(())
    }

    /// Before, clients make something that can be missed afterwards.
    fn harm_disk(&self, world: &mut World, run: &Run<'_>) -> Fallible<()> {
        std::thread::sleep(WORK);
        let service = self.sabotage.service;
        let mut random = StdRng::seed_from_u64(run.seed);
        match self.sabotage.harm {
            Harm::FillDisk => disks::fill(world, service, AFTERMATH)?,
            Harm::FailIndex => disks::fail(world, service, Part::Index, &mut random)?,
            _ => disks::remove_index(world, service)?,
        }
        std::thread::sleep(WORK);
        world.look();
        Ok(())
    }

    /// Much damage is found by the store itself, so one after the other until the fault has struck.
    fn damage_generations(&self, world: &mut World, run: &Run<'_>) -> Fallible<()> {
        std::thread::sleep(WORK);
        let mut random = StdRng::seed_from_u64(run.seed.wrapping_add(self.number as u64));
        loop {
            read_model::damage_generation(world, &mut random)?;
            if self.struck(world) >= self.strikes || self.is_over(run) {
                return Ok(());
            }
        }
    }

    fn is_over(&self, run: &Run<'_>) -> bool {
        Instant::now() >= self.by || run.stop.load(Ordering::Relaxed)
    }

    /// Starts what was killed, once nobody asks for anything any more that it could lose otherwise.
    fn bring_back(&self, world: &mut World) -> Fallible<()> {
        world.cluster.all_up()?;
        let killed = world.service(self.sabotage.service)?;
        match self.sabotage.harm {
            Harm::LoseDiskWithoutKafka => killed.start_on_new_disk()?,
            _ => killed.start(),
        }
        // A service that refuses to start has noticed; that is not what it is about.
        let back = killed.ready();
        world.unasked.extend(back.err().map(|error| error.to_string()));
        Ok(())
    }

    fn struck(&self, world: &World) -> usize {
        let log = world.services.get(self.sabotage.service).map(|service| service.log());
        log.map_or(0, |log| log.matches(FIRES).count())
    }

    fn found_by(&self, evidence: &Evidence) -> Vec<&'static str> {
        let found = CHECKS.iter().filter(|check| !(check.judge)(evidence).findings.is_empty());
        let (mut expected, others): (Vec<_>, Vec<_>) =
            found.map(|check| check.name).partition(|name| self.sabotage.found_by.contains(name));
        expected.extend(others);
        expected
    }
}

/// The first thing that each service found wrong by itself.
fn words(world: &World) -> Vec<String> {
    let words = |service: &Service| {
        let log = service.log();
        let (_, error) = log.lines().find_map(|line| line.split_once(ERROR))?;
        // Before it stands the module that says it.
        let words = error.split_once(": ").map_or(error, |(_, words)| words);
        Some(format!("{} itself: {}", service.name, words.chars().take(WORDS_MAX).collect::<String>()))
    };
    world.services.iter().filter_map(words).collect()
}
