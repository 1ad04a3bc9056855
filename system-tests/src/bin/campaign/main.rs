//! The campaign: clients work, faults happen, and in the end everything is compared with everything.

mod checks;
mod clients;
mod evidence;
mod faults;
mod flags;
mod gather;
mod history;
mod log;
mod patience;
mod report;
mod sabotage;
mod spoil;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser as _;
use quickstart::client::Client as Http;
use system_tests::binaries;
use tokio::runtime::{Handle, Runtime};

use clients::Field;
use evidence::Evidence;
use flags::Flags;
use patience::Patience;
use report::{progress, say};
use world::cluster::Cluster;
use world::{Plan, World};

/// An error is a sentence for whoever runs the campaign.
pub(crate) type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Exit code: a check found something, or did not find what it should.
const FOUND: u8 = 1;
/// What is said after SIGINT or SIGTERM.
const STOPPED: &str = "stopped by a signal";
/// Exit code: the campaign could not be carried out.
const NOT_CARRIED_OUT: u8 = 4;

fn main() -> ExitCode {
    let flags = Flags::parse();
    let seed = flags.seed.unwrap_or_else(|| uuid::Uuid::now_v7().as_u64_pair().1);
    match run(&flags, seed) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => failed(&flags, seed, FOUND),
        Err(error) => {
            progress(&format!("not carried out: {error}"));
            failed(&flags, seed, NOT_CARRIED_OUT)
        }
    }
}

fn failed(flags: &Flags, seed: u64, code: u8) -> ExitCode {
    let minutes = flags.minutes.as_secs_f64() / 60.0;
    let Flags { brokers, clients, .. } = flags;
    let what = |name: &str, asked: &Option<String>| {
        asked.as_ref().map_or_else(String::new, |asked| format!(" --{name} {asked}"))
    };
    let wrong = what("spoil", &flags.spoil) + &what("sabotage", &flags.sabotage);
    say(&format!(
        "seed {seed}; again with: cargo run --release -p system-tests --bin campaign -- --minutes {minutes} --seed {seed} --brokers {brokers} --clients {clients}{wrong}"
    ));
    ExitCode::from(code)
}

/// Whether everything held.
fn run(flags: &Flags, seed: u64) -> Fallible<bool> {
    let directory = Directory::new(flags)?;
    // Cores of processes that crash lie there as well, where the limit on them lets them.
    std::env::set_current_dir(&directory.path)?;
    let held = campaign(flags, seed, &directory.path);
    if matches!(held, Ok(true)) {
        directory.remove()?;
    } else {
        say(&format!("kept: {}", directory.path.display()));
    }
    held
}

fn campaign(flags: &Flags, seed: u64, directory: &Path) -> Fallible<bool> {
    let runtime = Runtime::new()?;
    let stop = stop_at_signal(runtime.handle());
    let http = Http::new();
    progress(&format!("seed {seed}, {} broker(s), in {}", flags.brokers, directory.display()));
    build(flags, &stop)?;
    let cluster = Cluster::start(&directory.join("kafka"), &flags.brokers, flags.port, runtime.handle())?;
    if let Some(asked) = &flags.sabotage {
        return sabotage::run(
            asked,
            cluster,
            &sabotage::Run { flags, seed, directory, http, stop, handle: runtime.handle() },
        );
    }
    let (port, patience) = (flags.port, Patience::LONG);
    let plan = Plan { directory, port, topic_prefix: "", harmful: None, patience };
    let mut world = World::start(cluster, &plan, &http, runtime.handle())?;
    let field = Arc::new(Field::new(world.urls(), http.clone(), patience.command));
    let worked = work(flags, seed, &mut world, &field, &stop, runtime.handle());
    let history = std::mem::take(&mut *field.history());
    let quiet = field.spans(&world.quiet);
    // Kept before all else: if a service does not come back, it is what there is to look at.
    report::keep_history(&history, directory)?;
    let faults = worked?;
    progress("bringing everything to rest");
    let evidence = gather::evidence(&mut world, history, quiet, &http, runtime.handle())?;
    report::keep_log(&evidence.log, directory)?;
    say(&format!("seed       {seed}"));
    report::counts(&evidence, &faults, (world.projectors.done, world.projectors.gave_up));
    let failed = report::checks(&evidence);
    let blind = blind_checks(flags.spoil.as_deref(), &evidence);
    // Last, where whoever sees only the end of it finds it.
    failed.iter().chain(&blind).for_each(|wrong| say(wrong));
    Ok(failed.is_empty() && blind.is_empty())
}

/// Before anything is started that would have to be ended again.
fn build(flags: &Flags, stop: &AtomicBool) -> Fallible<()> {
    progress("building the services");
    let built = match flags.sabotage {
        Some(_) => binaries::services().and_then(|_| binaries::harmful()),
        None => binaries::services(),
    };
    // A signal that went to all of us has ended Cargo as well.
    if stop.load(Ordering::Relaxed) {
        return Err(STOPPED.into());
    }
    built?;
    Ok(())
}

/// Clients and faults, beside each other.
fn work(
    flags: &Flags,
    seed: u64,
    world: &mut World,
    field: &Arc<Field>,
    stop: &AtomicBool,
    handle: &Handle,
) -> Fallible<faults::Counts> {
    let mut clients = clients::start(flags.clients, seed, field, handle);
    let faults = if flags.no_faults {
        faults::watch(world, flags.minutes, stop)
    } else {
        faults::harm(world, seed, flags.minutes, stop)
    };
    field.stop();
    let faults = faults?;
    if stop.load(Ordering::Relaxed) {
        return Err(STOPPED.into());
    }
    progress("waiting for the clients' last commands");
    while let Some(ended) = handle.block_on(clients.join_next()) {
        ended?;
    }
    Ok(faults)
}

/// Set at SIGINT or SIGTERM, so that brokers and services are not left behind.
fn stop_at_signal(handle: &Handle) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&stop);
    handle.spawn(async move {
        daybook_service::shutdown_signal().await;
        set.store(true, Ordering::Relaxed);
    });
    stop
}

/// Spoils what was gathered as asked; a sentence about each that no check found.
fn blind_checks(asked: Option<&str>, evidence: &Evidence) -> Vec<String> {
    let mut blind = Vec::new();
    let Some(asked) = asked else { return blind };
    say("spoiled");
    for spoil in spoil::ALL.iter().filter(|spoil| asked == "all" || asked == spoil.name) {
        let mut spoiled = evidence.clone();
        let put_in = (spoil.spoil)(&mut spoiled).is_some();
        let check = checks::CHECKS.iter().find(|check| check.name == spoil.found_by);
        let found = put_in && check.is_some_and(|check| !(check.judge)(&spoiled).findings.is_empty());
        let said = match (put_in, found) {
            (_, true) => "found by",
            (true, false) => "NOT FOUND by",
            (false, _) => "NOT PUT IN, for",
        };
        say(&format!("  {:<20} {said} {}", spoil.name, spoil.found_by));
        if !found {
            blind.push(format!("spoil {}: {said} {}", spoil.name, spoil.found_by));
        }
    }
    blind
}

/// Where everything lies.
struct Directory {
    path: PathBuf,
}

impl Directory {
    fn new(flags: &Flags) -> Fallible<Self> {
        let Some(path) = &flags.dir else {
            return Ok(Self { path: tempfile::Builder::new().prefix("daybook-campaign-").tempdir()?.keep() });
        };
        std::fs::create_dir_all(path).map_err(|error| format!("--dir {}: {error}", path.display()))?;
        if path.read_dir()?.next().is_some() {
            return Err(format!("--dir {} is not empty; name an empty or new one", path.display()).into());
        }
        Ok(Self { path: path.canonicalize()? })
    }

    fn remove(self) -> Fallible<()> {
        std::fs::remove_dir_all(&self.path)
            .map_err(|error| format!("{}: {error}", self.path.display()).into())
    }
}
