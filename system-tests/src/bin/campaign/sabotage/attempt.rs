//! One world in which a service has a fault: clients work until it has struck, then everything is judged.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::run::Run;
use super::{Harm, Sabotage};
use crate::checks::CHECKS;
use crate::clients::{self, Field};
use crate::evidence::Evidence;
use crate::patience::Patience;
use crate::report::{keep_history, keep_log};
use crate::world::cluster::Cluster;
use crate::world::{Plan, World};
use crate::{Fallible, faults, gather};

/// Pause between two looks at whether the fault has struck.
const LOOK: Duration = Duration::from_millis(100);
/// How long clients go on afterwards, so that there is somebody to meet what came of it.
const AFTERMATH: Duration = Duration::from_secs(1);
/// How long clients work before their service is killed, and again while no broker is there.
const WORK: Duration = Duration::from_secs(2);
/// What the services log at each strike.
const STRIKES: &str = "sabotage strikes";
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
        let name = format!("{}-{}", self.sabotage.fault.name(), self.number);
        let directory = run.directory.join(&name);
        std::fs::create_dir_all(&directory)?;
        let plan = Plan {
            directory: &directory,
            port: run.flags.port,
            topic_prefix: &format!("{name}."),
            fault: Some((self.sabotage.service, self.sabotage.fault)),
            patience: Patience::SHORT,
        };
        let mut world = World::start(cluster, &plan, &run.http, run.handle)?;
        let evidence = self.evidence(&mut world, &directory, run)?;
        let outcome = Outcome {
            found_by: self.found_by(&evidence),
            struck: self.struck(&world),
            said: world.services.iter().filter_map(|service| words(service.name, &service.log())).collect(),
        };
        let cluster = world.end();
        if self.sabotage.found_by.iter().all(|check| outcome.found_by.contains(check)) {
            std::fs::remove_dir_all(&directory)?;
        }
        Ok((outcome, cluster))
    }

    fn evidence(&self, world: &mut World, directory: &Path, run: &Run<'_>) -> Fallible<Evidence> {
        let field = Arc::new(Field::new(world.urls(), run.http.clone(), world.patience.command));
        let mut clients = clients::start(run.flags.clients, run.seed, &field, run.handle);
        match self.sabotage.harm {
            Harm::None => self.until_struck(world, run),
            Harm::KillWithoutKafka => self.kill_without_kafka(world)?,
        }
        field.stop();
        while let Some(ended) = run.handle.block_on(clients.join_next()) {
            ended?;
        }
        let history = std::mem::take(&mut *field.history());
        keep_history(&history, directory)?;
        let evidence = gather::evidence(world, history, &run.http, run.handle)?;
        keep_log(&evidence.log, directory)?;
        Ok(evidence)
    }

    fn until_struck(&self, world: &mut World, run: &Run<'_>) {
        let over = || Instant::now() >= self.by || run.stop.load(Ordering::Relaxed);
        while self.struck(world) < self.strikes && !over() {
            std::thread::sleep(LOOK);
            world.look();
        }
        std::thread::sleep(AFTERMATH);
        world.look();
    }

    /// What the service has acknowledged then is nowhere but on its disk.
    fn kill_without_kafka(&self, world: &mut World) -> Fallible<()> {
        for _ in 0..self.strikes {
            std::thread::sleep(WORK);
            faults::kill_all(world)?;
            std::thread::sleep(WORK);
            let harmed = world.service(self.sabotage.service)?;
            harmed.kill();
            harmed.start_without_kafka();
            world.cluster.all_up()?;
            // A service that refuses to start has noticed; that is not what it is about.
            let back = world.service(self.sabotage.service)?.ready();
            world.unasked.extend(back.err().map(|error| error.to_string()));
            world.look();
        }
        Ok(())
    }

    fn struck(&self, world: &World) -> usize {
        let log = world.services.get(self.sabotage.service).map(|service| service.log());
        log.map_or(0, |log| log.matches(STRIKES).count())
    }

    fn found_by(&self, evidence: &Evidence) -> Vec<&'static str> {
        let found = CHECKS.iter().filter(|check| !(check.judge)(evidence).findings.is_empty());
        let (mut expected, others): (Vec<_>, Vec<_>) =
            found.map(|check| check.name).partition(|name| self.sabotage.found_by.contains(name));
        expected.extend(others);
        expected
    }
}

/// The first thing that a service found wrong.
fn words(name: &str, log: &str) -> Option<String> {
    let (_, words) = log.lines().find_map(|line| line.split_once(ERROR))?;
    Some(format!("{name} itself: {}", words.chars().take(WORDS_MAX).collect::<String>()))
}
