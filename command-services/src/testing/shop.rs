//! Services A, B and C on one broker.

use event_log::embedded::EmbeddedBroker;
use serde_json::json;

use super::requests::{Call, Reply};
use super::service::{TestService, broker};
use crate::shop::orders::Orders;
use crate::shop::products::Products;
use crate::shop::users::Users;
use crate::shop::{orders, products, users};

pub(crate) struct Shop {
    pub(crate) users: TestService<Users>,
    pub(crate) products: TestService<Products>,
    pub(crate) orders: TestService<Orders>,
    pub(crate) broker: EmbeddedBroker,
}

impl Shop {
    pub(crate) fn start() -> Self {
        let broker = broker();
        Self {
            users: TestService::start(broker.kafka(""), users::http::router),
            products: TestService::start(broker.kafka(""), products::http::router),
            orders: TestService::start(broker.kafka(""), orders::http::router),
            broker,
        }
    }

    /// A user and a product; their ids, and a token for both.
    pub(crate) async fn user_and_product(&self, email: &str) -> (String, String, String) {
        let user = json!({"email": email, "name": "Ada", "address": "1 Row"});
        let user = Call::post("/users", &user).send(&self.users.router).await;
        let product = json!({"title": "pants", "image": "pants.jpg"});
        let product = Call::post("/products", &product).send(&self.products.router).await;
        let token = format!("{},{}", token(&user), token(&product));
        (user.is(201).text("user_id"), product.is(201).text("product_id"), token)
    }
}

pub(crate) fn token(reply: &Reply) -> String {
    reply.header("daybook-token").unwrap().to_owned()
}

pub(crate) fn order(user_id: &str, product_id: &str) -> Call {
    Call::post("/orders", &json!({"user_id": user_id, "product_id": product_id}))
}
