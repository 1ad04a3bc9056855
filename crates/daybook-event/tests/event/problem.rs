//! The JSON of a problem, as RFC 9457 has it.

use daybook_event::problem::{MEDIA_TYPE, Problem};
use serde_json::json;

#[test]
fn a_problem_has_the_members_of_rfc_9457() {
    let problem = Problem::new(409, "email-taken", "E-mail address is taken", "Choose another address.");
    let expected = r#"{"type":"/problems/email-taken","title":"E-mail address is taken","status":409,"detail":"Choose another address."}"#;
    assert_eq!(serde_json::to_string(&problem).unwrap(), expected);
    assert_eq!(MEDIA_TYPE, "application/problem+json");
}

#[test]
fn further_members_stand_beside_them() {
    let problem =
        Problem::new(422, "wrong-field", "Wrong field", "…").with("field", "email").with("limit", 5);
    let expected = json!({
        "type": "/problems/wrong-field",
        "title": "Wrong field",
        "status": 422,
        "detail": "…",
        "field": "email",
        "limit": 5
    });
    assert_eq!(serde_json::to_value(&problem).unwrap(), expected);
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "member `status` of a problem would be there twice")]
fn further_members_must_not_be_one_of_them() {
    _ = Problem::new(422, "wrong-field", "Wrong field", "…").with("status", 200);
}

#[test]
fn a_problem_of_before_has_the_slug_that_it_had() {
    let before = r#"{"type":"urn:daybook:problem:email-taken","title":"Taken","status":409,"detail":"…"}"#;
    let problem: Problem = serde_json::from_str(before).unwrap();
    assert_eq!(problem.slug(), "email-taken");
}
