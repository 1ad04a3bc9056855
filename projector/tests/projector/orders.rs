//! The shop's rows: many orders, cancels in old parts, tombstones, and bytes that nobody wrote.

use std::ops::ControlFlow;

use proptest::prelude::*;

use daybook_projection::{Generation, View};
use projector::orders::{Order, Orders, PART_ORDERS};
use projector::products::{ProductRow, Products};
use projector::users::{UserRow, Users};
use uuid::Uuid;

use crate::domain::{cancelled, created, discontinued, placed, signed_up, user_deleted};
use crate::log::{Log, fresh, project};

const USER: Uuid = Uuid::from_u128(0x77);
const PRODUCT: Uuid = Uuid::from_u128(0x99);

fn projected(log: &Log) -> (tempfile::TempDir, Generation) {
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    project(&generation, &log.records);
    (directory, generation)
}

fn all_orders(generation: &Generation) -> Vec<Order> {
    let mut orders = Vec::new();
    let all = |part: &[Order]| {
        orders.extend_from_slice(part);
        ControlFlow::Continue(())
    };
    assert!(projector::orders::each(generation, USER, all).unwrap().is_continue());
    orders
}

/// Ten thousand orders of one user, every eleventh cancelled, with ids made by `id`.
fn many_orders(id: impl Fn(u128) -> Uuid) -> Vec<Order> {
    const ORDERS: u128 = 10_000;
    let mut log = Log::default();
    (0..ORDERS).for_each(|n| drop(log.write(&placed(id(n), USER, PRODUCT, 1 + n as u32 % 5))));
    (0..ORDERS).step_by(11).for_each(|n| drop(log.write(&cancelled(id(n), USER, PRODUCT))));
    let (_directory, generation) = projected(&log);
    let orders = all_orders(&generation);
    assert_eq!(orders.len() as u128, ORDERS);
    for (n, order) in (0_u128..).zip(&orders) {
        assert_eq!((order.order_id, order.quantity), (id(n), 1 + n as u32 % 5), "order {n}");
        assert_eq!(order.placed_position, n as u64);
        assert_eq!(order.cancelled_at_us.is_some(), n % 11 == 0, "order {n}");
    }
    assert_pages_are(&generation, &orders);
    orders
}

fn assert_pages_are(generation: &Generation, orders: &[Order]) {
    for (from, limit) in [(0, 1), (0, 500), (127, 2), (128, 128), (9_990, 500), (10_000, 5), (20_000, 5)] {
        let page = projector::orders::page(generation, USER, from as u64, limit).unwrap();
        let to = (from + limit).min(orders.len());
        assert_eq!(page.orders, orders.get(from..to).unwrap_or_default(), "{limit} from {from}");
        assert_eq!(page.next_index, (to < orders.len()).then_some(to as u64), "{limit} from {from}");
        assert_eq!(page.total, orders.len() as u64);
    }
}

#[test]
fn a_user_with_very_many_orders() {
    many_orders(|n| Uuid::from_u128(n + 1));
}

#[test]
fn ids_need_not_ascend() {
    many_orders(|n| Uuid::from_u128(n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)));
}

#[test]
fn no_value_is_large() {
    let mut log = Log::default();
    for n in 0..1_000_u128 {
        log.write(&placed(Uuid::from_u128(n + 1), USER, PRODUCT, u32::MAX));
    }
    let (_directory, generation) = projected(&log);
    let row = generation.row(Orders::ID, USER).unwrap().unwrap();
    let part = generation.part(Orders::ID, USER, 0).unwrap().unwrap();
    assert!(row.len().max(part.len()) < 8 << 10, "{} and {} bytes", row.len(), part.len());
    assert!(generation.part(Orders::ID, USER, (1_000 / PART_ORDERS) as u32).unwrap().is_none());
}

#[test]
fn who_has_seen_enough_reads_no_further_part() {
    let mut log = Log::default();
    (0..5 * PART_ORDERS as u128).for_each(|n| drop(log.write(&placed(Uuid::from_u128(n), USER, PRODUCT, 1))));
    let (_directory, generation) = projected(&log);
    let mut parts = 0;
    let two = |_: &[Order]| {
        parts += 1;
        if parts == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(projector::orders::each(&generation, USER, two).unwrap().is_break());
    assert_eq!(parts, 2);
}

#[test]
fn a_deleted_user_stays_deleted_whatever_comes_first() {
    let rows = |events: &[_]| {
        let mut log = Log::default();
        events.iter().for_each(|event| drop(log.write(event)));
        projector::users::load(&projected(&log).1, USER).unwrap()
    };
    assert_eq!(rows(&[]), None);
    assert_eq!(rows(&[signed_up(USER)]), Some(UserRow::Active));
    assert_eq!(rows(&[signed_up(USER), user_deleted(USER)]), Some(UserRow::Deleted));
    assert_eq!(rows(&[user_deleted(USER), signed_up(USER)]), Some(UserRow::Deleted));
}

#[test]
fn a_discontinued_product_stays_so_and_keeps_its_details() {
    let rows = |events: &[_]| {
        let mut log = Log::default();
        events.iter().for_each(|event| drop(log.write(event)));
        projector::products::load(&projected(&log).1, PRODUCT).unwrap()
    };
    let pants = ProductRow {
        title: Some("pants".to_owned()),
        image: Some("pants.jpg".to_owned()),
        price_cents: Some(-5),
        discontinued: false,
    };
    let gone = ProductRow { discontinued: true, ..pants.clone() };
    assert_eq!(rows(&[created(PRODUCT, "pants", Some(-5))]), Some(pants));
    assert_eq!(rows(&[created(PRODUCT, "pants", Some(-5)), discontinued(PRODUCT)]), Some(gone.clone()));
    assert_eq!(rows(&[discontinued(PRODUCT), created(PRODUCT, "pants", Some(-5))]), Some(gone));
    assert_eq!(
        rows(&[discontinued(PRODUCT)]),
        Some(ProductRow { discontinued: true, ..ProductRow::default() })
    );
}

#[test]
fn products_are_listed_by_id_with_a_cursor() {
    let mut log = Log::default();
    for n in (1..=10_u128).rev() {
        log.write(&created(Uuid::from_u128(n << 100), &format!("product {n}"), None));
    }
    let (_directory, generation) = projected(&log);
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = projector::products::list(&generation, after, 3).unwrap();
        assert!(page.len() <= 3);
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        seen.extend(page.into_iter().map(|(id, row)| (id.as_u128() >> 100, row.title.unwrap())));
    }
    assert_eq!(seen, (1..=10).map(|n| (n, format!("product {n}"))).collect::<Vec<_>>());
}

/// Whatever stands on the disk, reading it ends in a row or in an error.
fn decodes_or_refuses<V: View>(bytes: &[u8])
where
    V::Row: PartialEq + std::fmt::Debug,
{
    if let Ok(row) = V::decode(bytes) {
        let mut again = Vec::new();
        V::encode(&row, &mut again).unwrap();
        assert_eq!(V::decode(&again).as_ref(), Ok(&row));
    }
}

proptest! {
    #[test]
    fn corrupt_bytes_are_an_error_and_no_panic(bytes: Vec<u8>) {
        decodes_or_refuses::<Orders>(&bytes);
        decodes_or_refuses::<Products>(&bytes);
        decodes_or_refuses::<Users>(&bytes);
    }

    /// Near misses reach further than noise: a real row with some bytes changed or cut off.
    #[test]
    fn damaged_rows_are_an_error_and_no_panic(flips in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4), cut: usize) {
        let mut log = Log::default();
        (0..5_u128).for_each(|n| drop(log.write(&placed(Uuid::from_u128(n + 1), USER, PRODUCT, 3))));
        log.write(&cancelled(Uuid::from_u128(2), USER, PRODUCT));
        let row = ROW.with(|row| row.get_or_init(|| projected(&log).1.row(Orders::ID, USER).unwrap().unwrap().to_vec()).clone());
        let mut bytes = row;
        for (at, to) in flips {
            let at = at % bytes.len();
            bytes[at] = to;
        }
        bytes.truncate(cut % (bytes.len() + 1));
        decodes_or_refuses::<Orders>(&bytes);
    }
}

thread_local! {
    static ROW: std::cell::OnceCell<Vec<u8>> = const { std::cell::OnceCell::new() };
}

#[test]
fn a_row_of_five_orders_cut_anywhere_is_refused() {
    let mut log = Log::default();
    (0..5_u128).for_each(|n| drop(log.write(&placed(Uuid::from_u128(n + 1), USER, PRODUCT, 3))));
    let row = projected(&log).1.row(Orders::ID, USER).unwrap().unwrap().to_vec();
    for cut in 0..row.len() {
        assert!(Orders::decode(&row[..cut]).is_err(), "cut to {cut} bytes");
    }
}

#[test]
fn values_that_were_never_written_are_refused() {
    let orders = |count: &[u8]| Orders::decode(&[&[0, 1], count].concat()).unwrap_err().to_string();
    assert!(orders(&[0x81, 0x01]).contains("129"), "more orders than a row holds");
    assert!(orders(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).contains("never written"));
    assert!(Orders::decode(&[0, 2, 0]).is_err(), "neither ascending nor not");
    assert!(Products::decode(&[16]).is_err(), "a field that no product has");
    assert!(Users::decode(&[3]).is_err(), "a state that no user has");
}
