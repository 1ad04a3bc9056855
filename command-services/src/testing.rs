//! Services A, B and C on one broker.

use std::sync::Arc;

use axum::Router;
use daybook_command::Service;
pub(crate) use daybook_command::testing::{
    Call, Known, Log, PARTITIONS, Reply, TestService, brokers_with, copy_dir, eventually, execute,
    fail_and_come_back_as, figure, given, kafka_is_away, keeps_moving, synced_copy, without_outbox_row,
    write_raw,
};
use daybook_kafka::embedded::EmbeddedBroker;
use serde_json::json;

use crate::orders::Orders;
use crate::products::Products;
use crate::users::Users;
use crate::{orders, products, users};

/// A broker with the shop's topics.
pub(crate) fn broker() -> EmbeddedBroker {
    brokers_with(1, schemas::TOPICS)
}

pub(crate) fn users_router(service: Arc<Service<Users>>) -> Router {
    users::routes().router(service)
}

pub(crate) fn products_router(service: Arc<Service<Products>>) -> Router {
    products::routes().router(service)
}

pub(crate) fn orders_router(service: Arc<Service<Orders>>) -> Router {
    orders::routes().router(service)
}

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
            users: TestService::start(broker.kafka(""), users_router),
            products: TestService::start(broker.kafka(""), products_router),
            orders: TestService::start(broker.kafka(""), orders_router),
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
