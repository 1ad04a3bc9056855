//! The upgrade to one canonical form of e-mail addresses: of users who have one address by it both stay.

use std::collections::BTreeMap;
use std::fs;

use schemas::users::UserDetails;
use serde_json::json;
use uuid::Uuid;

use super::upgraded::{FORMLESS, State};
use crate::testing::{Call, Reply, TestService};
use crate::users::Users;

/// Addresses that are one, each with those who had it, and a spelling that nobody had. Who signed up first comes first.
const TWINS: [(&[&str], &str); 4] = [
    (&["\u{e9}@x.org", "e\u{301}@x.org"], "E\u{301}@X.ORG"),
    (&["\u{39f}\u{3a3}@x.org", "\u{3bf}\u{3c3}@x.org"], "\u{3bf}\u{3c2}@x.org"),
    (&["zw@x.org", "zw\u{200b}@x.org", "\u{ff5a}w@x.org"], "ZW@x.org"),
    (&["info@xn--bcher-kva.example", "info@B\u{dc}CHER.example"], "info@b\u{fc}cher.example"),
];

/// Users who were there, by their addresses as they typed them.
fn users_before() -> BTreeMap<String, UserDetails> {
    let states = FORMLESS.read::<BTreeMap<Uuid, State>>("states.json").into_values();
    let there = states.filter(|state| state.status == 200);
    let details = there.map(|state| serde_json::from_str::<UserDetails>(&state.body).unwrap());
    details.map(|details| (details.email.clone(), details)).collect()
}

async fn sign_up(users: &TestService<Users>, email: &str) -> Reply {
    Call::post("/users", &json!({"email": email, "name": "x", "address": "x"})).send(&users.router).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_version_without_a_form_had_is_there() {
    let broker = FORMLESS.broker();
    let mut users = FORMLESS.start(&broker);
    FORMLESS.assert_all_is_journaled(&users);
    FORMLESS.assert_all_is_there(&users).await;
    assert_eq!(users_before().len(), 11);
    let owners: usize = users.rows(b'U').iter().map(|(_, owners)| owners.len() / 16).sum();
    assert_eq!((users.rows(b'U').len(), owners), (6, 11));
    let marker = fs::read_to_string(users.settings.data_dir.join("daybook.json")).unwrap();
    assert!(marker.contains("\"layout\": 6"), "{marker}");
    FORMLESS.assert_all_is_sent(&mut users, &broker);
    FORMLESS.assert_all_is_there(&users).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_taken_until_the_last_of_its_twins_has_given_it_up() {
    let users = FORMLESS.start(&FORMLESS.broker());
    let before = users_before();
    for (twins, spelled) in TWINS {
        let mut left = twins.to_vec();
        while let Some(goes) = left.pop() {
            sign_up(&users, spelled).await.is_problem(409, "email-taken");
            let path = format!("/users/{}", before[goes].user_id);
            if left.len() == 1 {
                // Leaves, or moves on.
                Call::delete(path).send(&users.router).await.is(204);
            } else {
                let to = json!({"email": format!("moved-{}@x.org", before[goes].user_id)});
                Call::patch(path, &to).send(&users.router).await.is(200);
            }
        }
        sign_up(&users, spelled).await.is(201);
        sign_up(&users, twins[0]).await.is(409);
    }
}

/// What an older version took and this one would not.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_an_address_of_before_changes_all_else() {
    let users = FORMLESS.start(&FORMLESS.broker());
    let invisible = &users_before()["zw\u{200b}@x.org"];
    assert_eq!(invisible.name, "\u{200b}");
    let path = format!("/users/{}", invisible.user_id);
    let patch = async |change| Call::patch(&path, &change).send(&users.router).await;
    let moved = patch(json!({"address": "2 Row\nSpringfield"})).await;
    assert_eq!(
        (moved.is(200).text("name"), moved.text("email")),
        (invisible.name.clone(), invisible.email.clone())
    );
    patch(json!({"name": "\u{200b}"})).await.is_problem(422, "invalid-field").names("name");
    patch(json!({"email": "zw\u{200b}@x.org"})).await.is_problem(422, "invalid-field").names("email");
    patch(json!({"email": "zw@x.org"})).await.is(200);
}
