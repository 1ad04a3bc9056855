//! A batch that is taken in part, because sled meets pages that cannot be read while it moves them: nothing is answered of it,
//! and the generation is replaced while the service runs.

use std::ops::RangeInclusive;
use std::path::Path;
use std::process::Command;

use daybook_projection::Generation;
use serde_json::{Value, json};

use crate::http::{get, get_after};
use crate::served::{id, launched, layout};
use crate::setting::{Setting, status};
use crate::stopped::{damage, retitled};

/// With their titles a few of sled's segments. The embedded broker keeps all their events.
const FUNDS: RangeInclusive<u128> = 1..=5_000;
/// One fund in so many is damaged; more than one, since sled's own thread for moving pages ends at the first.
const DAMAGED_EVERY: u128 = 1_000;
/// Funds on both sides of a damaged one that stay as they are: more than lie in one of sled's pages.
const UNTOUCHED: u128 = 60;
/// Set for the process that has nothing else to do.
const ALONE: &str = "DAYBOOK_TEST_ALONE";
/// How often all others are changed.
const ROUNDS: u32 = 2;
/// One try in ten meets damage where it reads (3 of 24, and 1 of 14), or none at all.
const TRIES_MAX: u32 = 5;

fn title(fund: u128) -> String {
    format!("the title of fund {fund} {}", "x".repeat(300))
}

fn is_far_from_damage(fund: &u128) -> bool {
    let behind = fund % DAMAGED_EVERY;
    behind > UNTOUCHED && behind < DAMAGED_EVERY - UNTOUCHED
}

/// In a process of its own: all stores of a process share sled's thread that moves pages, and what that thread meets first
/// tears no batch.
#[test]
fn a_generation_that_took_part_of_a_batch_is_replaced_while_the_service_runs() {
    let this = std::env::current_exe().unwrap();
    let mut alone = Command::new(this);
    alone.args(["--exact", "torn::in_a_process_of_its_own", "--ignored", "--nocapture"]).env(ALONE, "1");
    assert!(alone.status().unwrap().success());
}

/// Whoever serves it need not read all of its rows first, which would leave nothing to be met on the disk.
fn finished_as_it_is(generation: &Path) {
    std::fs::write(generation.join("BUILDING"), "").unwrap();
    let resumed = Generation::resume(generation, &layout(), "a test").unwrap();
    std::fs::remove_file(generation.join("FINISHED")).unwrap();
    resumed.finish().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "done by the test before it, in a process of its own"]
async fn in_a_process_of_its_own() {
    if std::env::var_os(ALONE).is_none() {
        return;
    }
    for _ in 0..TRIES_MAX {
        if is_replaced_once_torn().await {
            return;
        }
    }
    panic!("no batch was torn in {TRIES_MAX} tries");
}

/// Whether a batch was torn, and not a row read before it that lies in a page with a damaged one, or nothing: which page sled reads
/// or moves when is its own affair.
async fn is_replaced_once_torn() -> bool {
    let setting = Setting::new();
    let service = setting.serve().await;
    let events: Vec<_> = FUNDS.map(|fund| launched(fund, &title(fund), None)).collect();
    let token = setting.log.write_all(&events);
    get_after(&service.router(), "/funds", &token).await.ok();
    service.stop().await.unwrap();
    finished_as_it_is(&setting.data_dir().join("gen-000001"));
    // Opened again, sled has none of its pages in memory.
    let service = setting.serve().await;
    let router = service.router();
    assert_eq!(get(&router, "/status").await.ok()["generation"], "gen-000001");
    let rows = setting.data_dir().join("gen-000001/rows/db");
    let hit = FUNDS.filter(|fund| fund.is_multiple_of(DAMAGED_EVERY));
    hit.for_each(|fund| damage(&rows, title(fund).as_bytes()));
    let mut last = String::new();
    for round in 0..ROUNDS {
        // Each row of a batch makes sled move a page, once most of that page's segment has been written anew.
        let events: Vec<_> =
            FUNDS.filter(is_far_from_damage).map(|fund| retitled(fund, &format!("round {round}"))).collect();
        last = setting.log.write_all(&events);
    }
    let reads_damage = |status: &Value| {
        status["stopped"]["detail"].as_str().is_some_and(|why| why.starts_with("cannot read"))
    };
    let changes = FUNDS.filter(is_far_from_damage).count() * ROUNDS as usize;
    let written = u64::try_from(FUNDS.count() + changes).unwrap();
    let has_all = |status: &Value| {
        let partitions = status["partitions"].as_array().into_iter().flatten();
        partitions.filter_map(|partition| partition["checkpoint"].as_u64()).sum::<u64>() == written
    };
    let is_replaced = |status: &Value| status["generation"] == "gen-000002";
    let ended = |status: &Value| is_replaced(status) || reads_damage(status) || has_all(status);
    let reported = status(&router, "another generation", ended).await;
    if !is_replaced(&reported) {
        service.stop().await.unwrap();
        return false;
    }
    assert_eq!(reported["stopped"], json!(null));
    get_after(&router, "/funds", &last).await.ok();
    for fund in FUNDS.filter(|fund| fund.is_multiple_of(DAMAGED_EVERY)) {
        let shown = get(&router, &format!("/funds/{}", id(fund))).await.ok();
        assert_eq!(shown["title"], title(fund));
    }
    service.stop().await.unwrap();
    true
}
