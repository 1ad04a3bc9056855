//! Given, when, then for every rule and every rejection.

use daybook_event::problem::Problem;
use schemas::products::{ProductDetails, ProductDiscontinued, ProductEvent};
use uuid::Uuid;

use crate::products::{ProductChange, ProductCommand, ProductRejection, Products};
use crate::testing::given;
use daybook_command::UniqueKeys;

const ID: Uuid = Uuid::from_u128(7);
const PRICE_CENTS_MAX: i64 = 9_007_199_254_740_991;

fn pants() -> ProductDetails {
    ProductDetails {
        product_id: ID,
        title: "pants".to_owned(),
        image: "pants.jpg".to_owned(),
        price_cents: Some(1_999),
    }
}

fn created() -> ProductEvent {
    ProductEvent::Created(pants())
}

fn discontinued() -> ProductEvent {
    ProductEvent::Discontinued(ProductDiscontinued { product_id: ID })
}

fn change(change: ProductChange) -> ProductCommand {
    ProductCommand::Change(ID, change)
}

fn title(title: &str) -> ProductChange {
    ProductChange { title: Some(title.to_owned()), ..ProductChange::default() }
}

fn price(price_cents: Option<i64>) -> ProductChange {
    ProductChange { price_cents: Some(price_cents), ..ProductChange::default() }
}

#[test]
fn a_product_is_created() {
    given::<Products>([]).when(ProductCommand::Create(pants())).then([created()]);
    let spaced = ProductDetails { title: " pants\n".to_owned(), image: "\tpants.jpg".to_owned(), ..pants() };
    given::<Products>([]).when(ProductCommand::Create(spaced)).then([created()]);
}

#[test]
fn a_product_may_have_no_price_and_any_other_from_nothing_on() {
    for price_cents in [None, Some(0), Some(PRICE_CENTS_MAX)] {
        let product = ProductDetails { price_cents, ..pants() };
        given::<Products>([])
            .when(ProductCommand::Create(product.clone()))
            .then([ProductEvent::Created(product)]);
    }
}

#[track_caller]
fn refused_field(details: ProductDetails) -> String {
    let creating = given::<Products>([]).when(ProductCommand::Create(details.clone())).rejection();
    let all = ProductChange {
        title: Some(details.title),
        image: Some(details.image),
        price_cents: Some(details.price_cents),
    };
    let changing = given::<Products>([created()]).when(change(all)).rejection();
    assert_eq!(creating, changing, "creating and changing have the same rules");
    match creating {
        ProductRejection::Field(invalid) => invalid.field.to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn fields_have_their_rules() {
    for text in [String::new(), " ".to_owned(), "x".repeat(501), "a\u{1}b".to_owned()] {
        assert_eq!(refused_field(ProductDetails { title: text.clone(), ..pants() }), "title");
        assert_eq!(refused_field(ProductDetails { image: text, ..pants() }), "image");
    }
    for price_cents in [-1, PRICE_CENTS_MAX + 1] {
        let product = ProductDetails { price_cents: Some(price_cents), ..pants() };
        assert_eq!(refused_field(product), "price_cents");
    }
}

#[test]
fn an_image_is_a_relative_path_or_on_the_web() {
    let image = |image: &str| ProductDetails { image: image.to_owned(), ..pants() };
    let taken = [
        "pants.jpg",
        "BANK CHARGES.jpg",
        "a/b:c.jpg",
        "?a:b",
        "./a:b.jpg",
        "/a.jpg",
        "https://x.org/a.jpg",
        "HTTP://x.org",
        "http://x.org:80/a?b=//c",
        "pants 𝄞",
    ];
    for taken in taken {
        let created = ProductEvent::Created(image(taken));
        given::<Products>([]).when(ProductCommand::Create(image(taken))).then([created]);
    }
    let refused = [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "data:image/png;base64,AAAA",
        "file:///etc/passwd",
        "a:b.jpg",
        ":a.jpg",
        "//evil.example/a.jpg",
        "\\\\evil.example\\a.jpg",
        "/\\evil.example/a.jpg",
        "https:/x.org",
        "https:x.org",
        "https://",
        "https:///a.jpg",
        "https://?a",
        "java\tscript:alert(1)",
        "a\u{200b}.jpg",
    ];
    for refused in refused {
        assert_eq!(refused_field(image(refused)), "image", "{refused:?}");
    }
}

#[test]
fn a_change_is_judged_by_its_own_fields_alone() {
    let before = ProductDetails { image: "javascript:1".to_owned(), title: "\u{200b}".to_owned(), ..pants() };
    let after = ProductDetails { title: "trousers".to_owned(), ..before.clone() };
    given::<Products>([ProductEvent::Created(before.clone())])
        .when(change(title("trousers")))
        .then([ProductEvent::Changed(after)]);
    let after = ProductDetails { price_cents: None, ..before.clone() };
    given::<Products>([ProductEvent::Created(before)])
        .when(change(price(None)))
        .then([ProductEvent::Changed(after)]);
}

#[test]
fn an_id_is_created_once() {
    given::<Products>([created()])
        .when(ProductCommand::Create(pants()))
        .rejected(ProductRejection::AlreadyCreated);
    given::<Products>([created(), discontinued()])
        .when(ProductCommand::Create(pants()))
        .rejected(ProductRejection::AlreadyCreated);
}

#[test]
fn a_change_keeps_what_it_does_not_name() {
    let after = ProductDetails { title: "trousers".to_owned(), ..pants() };
    given::<Products>([created()]).when(change(title("trousers"))).then([ProductEvent::Changed(after)]);
    let after = ProductDetails { price_cents: Some(5), ..pants() };
    given::<Products>([created()]).when(change(price(Some(5)))).then([ProductEvent::Changed(after)]);
}

#[test]
fn a_price_is_taken_away_by_name() {
    let after = ProductDetails { price_cents: None, ..pants() };
    given::<Products>([created()]).when(change(price(None))).then([ProductEvent::Changed(after.clone())]);
    given::<Products>([ProductEvent::Created(after)]).when(change(price(None))).then_nothing();
}

#[test]
fn a_change_to_what_is_there_already_is_no_event() {
    given::<Products>([created()]).when(change(title(" pants "))).then_nothing();
    given::<Products>([created()]).when(change(price(Some(1_999)))).then_nothing();
}

#[test]
fn a_change_names_something() {
    given::<Products>([created()])
        .when(change(ProductChange::default()))
        .rejected(ProductRejection::NothingToChange);
}

#[test]
fn a_product_is_discontinued_once() {
    given::<Products>([created()]).when(ProductCommand::Discontinue(ID)).then([discontinued()]);
    given::<Products>([created(), discontinued()])
        .when(ProductCommand::Discontinue(ID))
        .rejected(ProductRejection::Discontinued);
}

#[test]
fn only_what_is_sold_is_changed_or_discontinued() {
    given::<Products>([]).when(change(title("x"))).rejected(ProductRejection::Unknown);
    given::<Products>([]).when(ProductCommand::Discontinue(ID)).rejected(ProductRejection::Unknown);
    given::<Products>([created(), discontinued()])
        .when(change(title("x")))
        .rejected(ProductRejection::Discontinued);
}

#[test]
fn each_rejection_has_its_status_and_slug() {
    assert!(given::<Products>([created()]).unique_keys().is_empty());
    assert_eq!(UniqueKeys::<Products>::form(), 0, "no state is looked at for them");
    let expected = [
        (ProductRejection::NothingToChange, 422, "nothing-to-change"),
        (ProductRejection::AlreadyCreated, 409, "already-created"),
        (ProductRejection::Unknown, 404, "product-unknown"),
        (ProductRejection::Discontinued, 404, "product-discontinued"),
    ];
    for (rejection, status, slug) in expected {
        let problem = Problem::from(rejection);
        assert_eq!((problem.status, &*problem.kind), (status, &*format!("/problems/{slug}")));
    }
}
