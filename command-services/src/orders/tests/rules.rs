//! Given, when, then for every rule and every rejection.

use std::num::NonZeroU32;

use daybook_event::Event as _;
use daybook_event::problem::Problem;
use schemas::orders::{OrderCancelled, OrderEvent, OrderPlaced};
use uuid::Uuid;

use crate::orders::{OrderCommand, OrderFacts, OrderRejection, Orders, PlaceOrder, Product, User};
use crate::testing::{Known, given};
use daybook_command::{Aggregate as _, Existence, UniqueKeys};

const ID: Uuid = Uuid::from_u128(7);
const USER: Uuid = Uuid::from_u128(8);
const PRODUCT: Uuid = Uuid::from_u128(9);
const BOTH_THERE: Option<OrderFacts> =
    Some(OrderFacts { user: Existence::Present(User), product: Existence::Present(Product) });

fn place(quantity: i64) -> OrderCommand {
    OrderCommand::Place(PlaceOrder { order_id: ID, user_id: USER, product_id: PRODUCT, quantity })
}

fn placed(quantity: u32) -> OrderEvent {
    let quantity = NonZeroU32::new(quantity).unwrap();
    OrderEvent::Placed(OrderPlaced { order_id: ID, user_id: USER, product_id: PRODUCT, quantity })
}

fn cancelled() -> OrderEvent {
    OrderEvent::Cancelled(OrderCancelled { order_id: ID, user_id: USER, product_id: PRODUCT })
}

fn facts(user: Existence<User>, product: Existence<Product>) -> Option<OrderFacts> {
    Some(OrderFacts { user, product })
}

#[test]
fn a_user_orders_a_product() {
    for quantity in [1, 2, 1_000_000] {
        given::<Orders>([]).when_knowing(place(quantity.into()), &BOTH_THERE).then([placed(quantity)]);
    }
}

#[test]
fn a_quantity_has_bounds() {
    for quantity in [0, -1, 1_000_001, i64::MAX, i64::MIN, 1 << 32] {
        let rejection = given::<Orders>([]).when_knowing(place(quantity), &BOTH_THERE).rejection();
        assert!(matches!(rejection, OrderRejection::Field(invalid) if invalid.field == "quantity"));
    }
}

#[test]
fn the_user_must_be_there() {
    let order = |user| given::<Orders>([]).when_knowing(place(1), &facts(user, Existence::Present(Product)));
    order(Existence::Unknown).rejected(OrderRejection::UserUnknown);
    order(Existence::Gone).rejected(OrderRejection::UserDeleted);
}

#[test]
fn the_product_must_be_sold() {
    let order =
        |product| given::<Orders>([]).when_knowing(place(1), &facts(Existence::Present(User), product));
    order(Existence::Unknown).rejected(OrderRejection::ProductUnknown);
    order(Existence::Gone).rejected(OrderRejection::ProductDiscontinued);
}

#[test]
fn an_id_is_ordered_once() {
    given::<Orders>([placed(1)]).when_knowing(place(1), &BOTH_THERE).rejected(OrderRejection::AlreadyPlaced);
}

#[test]
fn an_order_is_cancelled_once_also_when_user_and_product_are_gone() {
    given::<Orders>([placed(3)]).when(OrderCommand::Cancel(ID)).then([cancelled()]);
    given::<Orders>([placed(3), cancelled()])
        .when(OrderCommand::Cancel(ID))
        .rejected(OrderRejection::AlreadyCancelled);
    given::<Orders>([]).when(OrderCommand::Cancel(ID)).rejected(OrderRejection::Unknown);
}

#[test]
fn an_order_lies_with_its_user() {
    assert_eq!((placed(1).key(), cancelled().key()), (USER, USER));
}

#[test]
fn facts_are_looked_up_where_they_belong() {
    let known = Known::<Orders>::nothing();
    let known = known.with(USER, Existence::<User>::Gone).with(PRODUCT, Existence::Present(Product));
    let found = facts(Existence::Gone, Existence::Present(Product));
    assert_eq!(known.facts(None, &place(1)).unwrap(), found);
    let cancel = OrderCommand::Cancel(ID);
    assert_eq!(known.facts(None, &cancel).unwrap(), None);
    assert_eq!(known.facts(Some(&Orders::evolve(None, &placed(1))), &cancel).unwrap(), found);
}

#[test]
fn each_rejection_has_its_status_slug_and_field() {
    assert!(given::<Orders>([placed(1)]).unique_keys().is_empty());
    assert_eq!(UniqueKeys::<Orders>::form(), 0, "no state is looked at for them");
    let expected = [
        (OrderRejection::AlreadyPlaced, 409, "already-placed", None),
        (OrderRejection::UserUnknown, 422, "buyer-unknown", Some("user_id")),
        (OrderRejection::UserDeleted, 409, "buyer-deleted", Some("user_id")),
        (OrderRejection::ProductUnknown, 422, "ordered-product-unknown", Some("product_id")),
        (OrderRejection::ProductDiscontinued, 409, "ordered-product-discontinued", Some("product_id")),
        (OrderRejection::Unknown, 404, "order-unknown", None),
        (OrderRejection::AlreadyCancelled, 409, "already-cancelled", None),
    ];
    for (rejection, status, slug, field) in expected {
        let problem = Problem::from(rejection);
        assert_eq!((problem.status, &*problem.kind), (status, &*format!("/problems/{slug}")));
        assert_eq!(problem.extensions.get("field").and_then(|field| field.as_str()), field);
    }
}
