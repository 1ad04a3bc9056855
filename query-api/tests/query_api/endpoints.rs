//! Every endpoint, its body and its headers.

use axum::http::Method;
use serde_json::{Value, json};

use crate::events::{cancelled, created, discontinued, id, placed, signed_up, user_deleted};
use crate::http::{get, get_after, get_with, send};
use crate::setting::Setting;

const USER: u128 = 1;
const PANTS: u128 = 10;
const MUG: u128 = 11;

fn user(path: &str) -> String {
    format!("/users/{}{path}", id(USER))
}

fn at(position: u64) -> String {
    format!("1970-01-01T00:00:{position:02}.000000Z")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_notes_question_is_answered() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[
        signed_up(USER),
        created(PANTS, "pants", Some(4_900)),
        placed(100, USER, PANTS, 2),
        placed(101, USER, MUG, 1),
        placed(102, USER, PANTS, 3),
    ]);
    let products = get_after(&service.router(), &user("/products"), &token).await.ok();
    let expected = json!({
        "user_id": id(USER),
        "products": [
            { "product_id": id(PANTS), "title": "pants", "image": "pants.jpg", "price_cents": 4_900,
              "discontinued": false, "quantity": 5, "orders": 2, "first_ordered_at": at(0), "last_ordered_at": at(2) },
            { "product_id": id(MUG), "title": null, "image": null, "price_cents": null,
              "discontinued": false, "quantity": 1, "orders": 1, "first_ordered_at": at(1), "last_ordered_at": at(1) },
        ],
        "next": null,
    });
    assert_eq!(products, expected);
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_stand_in_the_order_of_the_documentation() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token =
        setting.log.write_all(&[signed_up(USER), created(PANTS, "pants", None), placed(100, USER, PANTS, 1)]);
    let text = |answer: crate::http::Answer| answer.text;
    let (user_id, product_id, order_id) = (id(USER), id(PANTS), id(100));
    assert_eq!(
        text(get_after(&service.router(), &user("/products"), &token).await),
        format!(
            r#"{{"user_id":"{user_id}","products":[{{"product_id":"{product_id}","title":"pants","image":"pants.jpg","price_cents":null,"discontinued":false,"quantity":1,"orders":1,"first_ordered_at":"{at}","last_ordered_at":"{at}"}}],"next":null}}"#,
            at = at(0)
        )
    );
    assert_eq!(
        text(get(&service.router(), &user("/orders")).await),
        format!(
            r#"{{"user_id":"{user_id}","orders":[{{"order_id":"{order_id}","product_id":"{product_id}","title":"pants","quantity":1,"status":"placed","placed_at":"{at}","cancelled_at":null}}],"next":null}}"#,
            at = at(0)
        )
    );
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_order_is_shown_among_orders_and_not_counted_among_products() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[
        signed_up(USER),
        created(PANTS, "pants", None),
        placed(100, USER, PANTS, 2),
        placed(101, USER, MUG, 1),
        cancelled(100, USER, PANTS),
    ]);
    let orders = get_after(&service.router(), &user("/orders"), &token).await.ok();
    let expected = json!([
        { "order_id": id(100), "product_id": id(PANTS), "title": "pants", "quantity": 2, "status": "cancelled",
          "placed_at": at(0), "cancelled_at": at(2) },
        { "order_id": id(101), "product_id": id(MUG), "title": null, "quantity": 1, "status": "placed",
          "placed_at": at(1), "cancelled_at": null },
    ]);
    assert_eq!(orders["orders"], expected);
    let products = get(&service.router(), &user("/products")).await.ok();
    assert_eq!(ids(&products["products"], "product_id"), [id(MUG).to_string()]);
    service.stop().await.unwrap();
}

/// Products are kept in memory between answers; nobody may notice.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_product_shows_in_the_next_answer() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[signed_up(USER), placed(100, USER, PANTS, 1)]);
    let title = async |token: &str| {
        let products = get_after(&service.router(), &user("/products"), token).await.ok();
        let orders = get(&service.router(), &user("/orders")).await.ok();
        assert_eq!(products["products"][0]["title"], orders["orders"][0]["title"]);
        products["products"][0]["title"].clone()
    };
    assert_eq!(title(&token).await, Value::Null);
    for name in ["pants", "trousers", "Hose 裤子"] {
        let token = setting.log.write(&created(PANTS, name, None));
        assert_eq!(title(&token).await, name);
    }
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn products_are_shown_alone_and_listed() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[
        created(MUG, "mug", None),
        created(PANTS, "pants", Some(1)),
        discontinued(MUG),
    ]);
    let mug = json!({ "product_id": id(MUG), "title": "mug", "image": "mug.jpg", "price_cents": null, "discontinued": true });
    let answer = get_after(&service.router(), &format!("/products/{}", id(MUG)), &token).await.ok();
    assert_eq!(answer, mug);
    let list = get(&service.router(), "/products").await.ok();
    assert_eq!(
        (ids(&list["products"], "product_id"), &list["next"]),
        (vec![id(PANTS).to_string(), id(MUG).to_string()], &Value::Null)
    );
    assert_eq!(list["products"][1], mug);
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_orders_has_an_empty_list_and_a_deleted_one_has_none() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[signed_up(USER), placed(100, 2, PANTS, 1)]);
    let products = get_after(&service.router(), &user("/products"), &token).await.ok();
    assert_eq!(products, json!({ "user_id": id(USER), "products": [], "next": null }));
    let stranger = get(&service.router(), &format!("/users/{}/products", id(2))).await;
    assert_eq!(stranger.problem(404)["type"], "/problems/not-found", "ordered, but never signed up");
    let token = setting.log.write(&user_deleted(USER));
    for path in ["/products", "/orders"] {
        get_after(&service.router(), &user(path), &token).await.problem(404);
    }
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_names_the_positions_it_rests_on() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let none = get(&service.router(), &user("/products")).await;
    assert_eq!((none.status, none.header("daybook-as-of")), (404, ""), "nothing has been projected");
    let signed_up_at = setting.log.write(&signed_up(USER));
    let placed_at = setting.log.write(&placed(100, USER, PANTS, 1));
    let created_at =
        [setting.log.write(&created(PANTS, "pants", None)), setting.log.write(&created(MUG, "mug", None))];
    assert_ne!(created_at[0][..17], created_at[1][..17], "the two products lie in different partitions");
    let token = [signed_up_at.as_str(), &placed_at, &created_at[0], &created_at[1]].join(",");
    let answer = get_after(&service.router(), &user("/products"), &token).await;
    let mut rests_on: Vec<_> = answer.header("daybook-as-of").split(',').collect();
    let mut expected: Vec<_> = token.split(',').collect();
    rests_on.sort_unstable();
    expected.sort_unstable();
    assert_eq!(rests_on, expected);
    // Taken as a token, it is a promise that any later answer keeps.
    get_after(&service.router(), &user("/orders"), answer.header("daybook-as-of")).await.ok();
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn unchanged_content_is_not_sent_again() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[signed_up(USER), placed(100, USER, PANTS, 1)]);
    let first = get_after(&service.router(), &user("/products"), &token).await;
    let tag = first.header("etag");
    let again = get_with(&service.router(), &user("/products"), &[("if-none-match", tag)]).await;
    assert_eq!((again.status, again.text.as_str(), again.header("etag")), (304, "", tag));
    let token = setting.log.write(&placed(101, USER, PANTS, 1));
    let after = [("if-none-match", tag), ("daybook-after", token.as_str()), ("daybook-wait-ms", "60000")];
    let changed = get_with(&service.router(), &user("/products"), &after).await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), tag);
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn head_has_the_headers_and_no_body() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let answer = send(&service.router(), Method::HEAD, "/products", &[]).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
    assert_eq!(answer.header("content-type"), "application/json");
    service.stop().await.unwrap();
}

fn ids(items: &Value, member: &str) -> Vec<String> {
    items.as_array().unwrap().iter().map(|item| item[member].as_str().unwrap().to_owned()).collect()
}
