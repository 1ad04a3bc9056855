//! The derives work for those who have the prelude and nothing else.

use daybook::event::EventData as _;
use daybook::event::problem::Problem;
use daybook::prelude::*;

#[derive(Debug, PartialEq, Event)]
#[event(service = "accounts", topic = "accounts.events", prefix = "bank.account.")]
enum AccountEvent {
    #[event("opened.v1")]
    Opened(Opened),
    #[event("closed.v1")]
    Closed {
        #[key]
        account_id: Uuid,
    },
}

#[derive(Debug, PartialEq, Fields)]
struct Opened {
    #[key]
    account_id: Uuid,
    owner: String,
}

#[derive(Debug, Rejection)]
enum Refused {
    #[problem(404, "account-unknown", "there is no such account")]
    Unknown,
}

#[test]
fn events_are_written_and_read() {
    let account_id = Uuid::from_u128(7);
    for event in [
        AccountEvent::Opened(Opened { account_id, owner: "Ada".to_owned() }),
        AccountEvent::Closed { account_id },
    ] {
        let data = event.to_data().unwrap();
        assert_eq!(AccountEvent::from_data(event.event_type(), &data).unwrap(), event);
        assert_eq!(event.key(), account_id);
    }
}

#[test]
fn a_rejection_is_a_problem() {
    assert_eq!(Problem::from(Refused::Unknown).slug(), "account-unknown");
}

#[derive(Debug, PartialEq, Body)]
struct Open {
    owner: String,
    limit: Option<u32>,
}

#[test]
fn a_body_has_its_fields_and_no_others() {
    let read = |body: &str| serde_json::from_str::<Open>(body).map_err(|error| error.to_string());
    let owner = "Ada".to_owned();
    assert_eq!(read(r#"{"owner":"Ada"}"#), Ok(Open { owner: owner.clone(), limit: None }));
    assert_eq!(read(r#"{"owner":"Ada","limit":5}"#), Ok(Open { owner, limit: Some(5) }));
    assert!(read(r#"{"limit":5}"#).unwrap_err().contains("missing field `owner`"));
    assert!(read(r#"{"owner":"Ada","age":5}"#).unwrap_err().contains("unknown field `age`"));
}
