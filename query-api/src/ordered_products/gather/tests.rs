use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// The order of position `n`: of product `product`, `n` seconds after 1970.
fn order(n: u32, product: u128, quantity: u32, cancelled: bool) -> Order {
    Order {
        order_id: Uuid::from_u128(u128::from(n) + 1),
        product_id: Uuid::from_u128(product),
        quantity,
        placed_position: u64::from(n),
        placed_at_us: i64::from(n) * 1_000_000,
        cancelled_at_us: cancelled.then_some(9_000_000_000),
    }
}

/// `product quantity orders first..last`, positions standing for times.
fn shown(products: &[OrderedProduct]) -> Vec<String> {
    let show = |product: &OrderedProduct| {
        let OrderedProduct { product_id, quantity, orders, first_ordered_at_us, last_ordered_at_us, .. } =
            product;
        let (first, last) = (first_ordered_at_us / 1_000_000, last_ordered_at_us / 1_000_000);
        assert_eq!(first.unsigned_abs(), product.first_position);
        format!("{} {quantity} {orders} {first}..{last}", product_id.as_u128())
    };
    products.iter().map(show).collect()
}

#[test]
fn each_product_is_listed_once_in_the_order_of_its_first_purchase() {
    let table: [(&str, &[Order], &[&str]); 6] = [
        ("nothing", &[], &[]),
        ("one order", &[order(3, 7, 2, false)], &["7 2 1 3..3"]),
        (
            "bought again",
            &[order(0, 7, 1, false), order(1, 8, 1, false), order(5, 7, 4, false)],
            &["7 5 2 0..5", "8 1 1 1..1"],
        ),
        ("only cancelled", &[order(0, 7, 1, true)], &[]),
        (
            "the first one cancelled moves the product to its next purchase",
            &[order(0, 7, 1, true), order(1, 8, 1, false), order(2, 7, 3, false)],
            &["8 1 1 1..1", "7 3 1 2..2"],
        ),
        ("the last one cancelled", &[order(0, 7, 1, false), order(9, 7, 1, true)], &["7 1 1 0..0"]),
    ];
    for (case, orders, expected) in table {
        let gathered = Gathered::from_orders(orders);
        assert_eq!(shown(gathered.page(None, 500).0), expected, "{case}");
    }
}

#[test]
fn a_page_ends_where_the_next_one_begins() {
    let orders: Vec<_> = (0..5).map(|n| order(n * 10, u128::from(n), 1, false)).collect();
    let gathered = Gathered::from_orders(&orders);
    let page = |after, limit| {
        let (page, next) = gathered.page(after, limit);
        (page.iter().map(|product| product.product_id.as_u128()).collect::<Vec<_>>(), next)
    };
    assert_eq!(page(None, 2), (vec![0, 1], Some(10)));
    assert_eq!(page(Some(10), 2), (vec![2, 3], Some(30)));
    assert_eq!(page(Some(30), 2), (vec![4], None));
    assert_eq!(page(None, 5), (vec![0, 1, 2, 3, 4], None));
    assert_eq!(page(Some(12), 1), (vec![2], Some(20)), "a purchase that is gone still marks its place");
    assert_eq!(page(Some(u64::MAX), 5), (vec![], None));
}

#[test]
fn quantities_add_up_beyond_what_one_order_can_hold() {
    let orders = [order(0, 7, u32::MAX, false), order(1, 7, u32::MAX, false)];
    assert_eq!(Gathered::from_orders(&orders).page(None, 1).0[0].quantity, 2 * u64::from(u32::MAX));
}

/// The same, as one would write it without a thought for speed.
fn naive(orders: &[Order]) -> Vec<OrderedProduct> {
    let counted: Vec<_> = orders.iter().filter(|order| order.cancelled_at_us.is_none()).collect();
    let ids: BTreeSet<Uuid> = counted.iter().map(|order| order.product_id).collect();
    let mut products: Vec<_> = ids
        .into_iter()
        .map(|id| {
            let of_product: Vec<_> = counted.iter().filter(|order| order.product_id == id).collect();
            OrderedProduct {
                product_id: id,
                quantity: of_product.iter().map(|order| u64::from(order.quantity)).sum(),
                orders: of_product.len() as u64,
                first_position: of_product.iter().map(|order| order.placed_position).min().unwrap(),
                first_ordered_at_us: of_product.iter().map(|order| order.placed_at_us).min().unwrap(),
                last_ordered_at_us: of_product.iter().map(|order| order.placed_at_us).max().unwrap(),
            }
        })
        .collect();
    products.sort_by_key(|product| product.first_position);
    products
}

fn any_orders() -> impl Strategy<Value = Vec<Order>> {
    let one = (0..12u128, 1..5u32, any::<bool>(), 1..9u32);
    prop::collection::vec(one, 0..60).prop_map(|orders| {
        let mut position = 0;
        let place = |(product, quantity, cancelled, gap): (u128, u32, bool, u32)| {
            position += gap;
            order(position, product, quantity, cancelled)
        };
        orders.into_iter().map(place).collect()
    })
}

/// All pages one after the other.
fn paged(gathered: &Gathered, limit: usize) -> Vec<OrderedProduct> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = gathered.page(after, limit);
        assert!(page.len() <= limit);
        all.extend_from_slice(page);
        if next.is_none() {
            return all;
        }
        after = next;
    }
}

proptest! {
    #[test]
    fn gathers_what_the_naive_join_gathers(orders in any_orders(), limit in 1..8usize) {
        prop_assert_eq!(paged(&Gathered::from_orders(&orders), limit), naive(&orders));
    }

    #[test]
    fn orders_placed_between_two_pages_neither_hide_nor_repeat_a_product(
        orders in any_orders(), cut in 0..60usize, limit in 1..8usize
    ) {
        let before = &orders[..cut.min(orders.len())];
        let early = Gathered::from_orders(before);
        let (first, next) = early.page(None, limit);
        let Some(next) = next else { return Ok(()) };
        let late = Gathered::from_orders(&orders);
        let (rest, _) = late.page(Some(next), usize::MAX);
        let listed = |products: &[OrderedProduct]| products.iter().map(|product| product.product_id).collect::<Vec<_>>();
        let all = [listed(first), listed(rest)].concat();
        prop_assert_eq!(all, listed(&naive(&orders)));
    }
}
