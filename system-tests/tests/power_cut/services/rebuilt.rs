//! Service A on a disk that loses its power while its index is put aside and built again, once and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use system_tests::broker::TestBroker;
use system_tests::power_cut::tree::{Node, Tree};

use super::load::{Shopper, live};
use super::log::Watch;
use super::recorder::Workshop;
use super::users::{Recorded, TOPIC};
use crate::points::{Asked, Figures, Image, data};

const CLIENTS: usize = 8;
/// Commands of a client before anything is recorded: part of what they make is in the log, part in the journal only.
const COMMANDS_BEFORE: [usize; 2] = [60, 20];
/// What a service is told that is not to send anything.
const AWAY: [&str; 4] = ["--kafka", "linger.ms=900000", "--drain-timeout-ms", "0"];
/// The processes between two power cuts: each is killed behind one of so many entries, of which a start with a rebuild has
/// some eighty. The first one is mostly killed in the middle of it.
const ENTRIES: [u64; 2] = [80, 240];
/// Commands of a client that a process takes, if it is not killed before.
const COMMANDS: usize = 1;
const INDEX: &str = "data/store/index";

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn whatever_a_power_cut_leaves_of_an_index_that_is_built_again_nothing_is_lost_with_it() {
    let mut figures = Figures::default();
    let (mut rebuilds, under_way) = (Rebuilds::default(), Arc::new(AtomicUsize::new(0)));
    for asked in Asked::by_environment().recordings() {
        let (workshop, recorded) = record(asked, &mut rebuilds).await;
        let under_way = Arc::clone(&under_way);
        let look = move |recorded: Arc<Recorded>, image: Arc<Image>| {
            let store = data(image.directory.path()).join("store");
            if store.join("index.building").exists() || !store.join("index").exists() {
                under_way.fetch_add(1, Ordering::Relaxed);
            }
            async move { recorded.look(&image).await }
        };
        figures.look_at(&workshop.eras, asked.seed, recorded, look).await;
    }
    let under_way = under_way.load(Ordering::Relaxed);
    eprintln!("rebuilt: {rebuilds:?}, {under_way} images in the middle of one");
    figures.end("rebuilt").gaps_are_bounded(CLIENTS);
    assert!(rebuilds.begun > 0 && under_way > 0, "{rebuilds:?}, {under_way}");
}

/// What recorded processes did.
#[derive(Debug, Default)]
struct Rebuilds {
    begun: usize,
    ended: usize,
}

async fn record(asked: Asked, rebuilds: &mut Rebuilds) -> (Workshop, Recorded) {
    let mut random = StdRng::seed_from_u64(asked.seed);
    let broker = TestBroker::embedded();
    let watch = Watch::start(broker.kafka(), &[TOPIC]);
    let mut shoppers: Vec<Shopper> = (0..CLIENTS).map(|number| Shopper::new(number, asked.seed)).collect();
    let mut workshop = Workshop::new("users");
    workshop.begin_era();
    for (commands, more) in COMMANDS_BEFORE.into_iter().zip([&[][..], &AWAY]) {
        let mut process = workshop.start(&flags(&broker, more), None);
        shoppers = live(shoppers, process.address(), commands).await;
        process.terminate();
    }
    workshop.end_prologue();
    for _ in 0..asked.eras {
        workshop.change(|tree| spoil(tree, &mut random));
        workshop.begin_era();
        for entries in ENTRIES {
            // What the journal has and the log has not stays so as long as nobody sends it.
            let more = if random.random_bool(0.7) { &AWAY[..] } else { &[] };
            let mut process = workshop.start(&flags(&broker, more), Some(random.random_range(1..=entries)));
            if let Some(address) = process.address_if_it_lives() {
                shoppers = live(shoppers, address, COMMANDS).await;
            }
            if process.has_ended().is_none() {
                process.signal(libc::SIGTERM);
            }
            let (_, said) = process.last_words();
            rebuilds.begun += usize::from(said.contains("the store's index is built again"));
            rebuilds.ended += usize::from(said.contains("the store's index was built again"));
        }
        workshop.end_era(&mut random);
    }
    (workshop, Recorded::of(shoppers, watch))
}

fn flags(broker: &TestBroker, more: &[&str]) -> Vec<String> {
    let mut flags = broker.flags();
    flags.extend(more.iter().map(|flag| (*flag).to_owned()));
    flags
}

/// The index of a disk is damaged so that a start notices, or gone; one that is just being built is left as it is.
fn spoil(tree: &mut Tree, random: &mut StdRng) {
    let choice = random.random_range(0..3);
    if choice == 0 {
        tree.retain(|name, _| name != INDEX && !name.starts_with(&format!("{INDEX}/")));
    } else if let Some(Node::File(db)) = tree.get_mut(&format!("{INDEX}/db")) {
        match choice {
            1 => db.truncate(db.len() / 3),
            _ => db.iter_mut().take(64).for_each(|byte| *byte = 0xaa),
        }
    }
}
