//! Given, when, then for every rule and every rejection.

use schemas::problem::Problem;
use schemas::shop::users::{UserDeleted, UserDetails, UserEvent};
use uuid::Uuid;

use crate::kernel::Aggregate as _;
use crate::shop::users::{UserChange, UserCommand, UserRejection, Users};
use crate::testing::given;

const ID: Uuid = Uuid::from_u128(7);

fn ada() -> UserDetails {
    UserDetails {
        user_id: ID,
        email: "Ada@Example.org".to_owned(),
        name: "Ada".to_owned(),
        address: "1 Analytical Row".to_owned(),
    }
}

fn signed_up() -> UserEvent {
    UserEvent::SignedUp(ada())
}

fn deleted() -> UserEvent {
    UserEvent::Deleted(UserDeleted { user_id: ID })
}

fn change(change: UserChange) -> UserCommand {
    UserCommand::Change(ID, change)
}

fn name(name: &str) -> UserChange {
    UserChange { name: Some(name.to_owned()), ..UserChange::default() }
}

#[test]
fn a_user_signs_up() {
    given::<Users>([]).when(UserCommand::SignUp(ada())).then([signed_up()]);
}

#[test]
fn what_stands_around_a_field_is_cut_off() {
    let spaced = UserDetails {
        email: " Ada@Example.org\n".to_owned(),
        name: "\tAda ".to_owned(),
        address: " 1 Analytical Row ".to_owned(),
        ..ada()
    };
    given::<Users>([]).when(UserCommand::SignUp(spaced)).then([signed_up()]);
}

#[test]
fn an_id_signs_up_once() {
    given::<Users>([signed_up()]).when(UserCommand::SignUp(ada())).rejected(UserRejection::AlreadySignedUp);
    given::<Users>([signed_up(), deleted()])
        .when(UserCommand::SignUp(ada()))
        .rejected(UserRejection::AlreadySignedUp);
}

#[track_caller]
fn refused_field(details: UserDetails) -> String {
    let signing_up = given::<Users>([]).when(UserCommand::SignUp(details.clone())).rejection();
    let all =
        UserChange { email: Some(details.email), name: Some(details.name), address: Some(details.address) };
    let changing = given::<Users>([signed_up()]).when(change(all)).rejection();
    assert_eq!(signing_up, changing, "signing up and changing have the same rules");
    match signing_up {
        UserRejection::Field(invalid) => invalid.field.to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_email_address_has_one_at_with_something_on_both_sides() {
    for email in ["", "ada", "ada@", "@example.org", "a@b@c", "a da@example.org", "a@b\u{7}c", " @ "] {
        assert_eq!(refused_field(UserDetails { email: email.to_owned(), ..ada() }), "email", "{email:?}");
    }
}

#[test]
fn fields_have_lengths() {
    let long = |chars: usize| "ä".repeat(chars);
    let email = |chars: usize| format!("{}@b", long(chars - 2));
    given::<Users>([])
        .when(UserCommand::SignUp(UserDetails {
            email: email(254),
            name: long(200),
            address: long(500),
            ..ada()
        }))
        .then([UserEvent::SignedUp(UserDetails {
            email: email(254),
            name: long(200),
            address: long(500),
            ..ada()
        })]);
    assert_eq!(refused_field(UserDetails { email: email(255), ..ada() }), "email");
    assert_eq!(refused_field(UserDetails { name: long(201), ..ada() }), "name");
    assert_eq!(refused_field(UserDetails { name: "  ".to_owned(), ..ada() }), "name");
    assert_eq!(refused_field(UserDetails { address: long(501), ..ada() }), "address");
    assert_eq!(refused_field(UserDetails { address: "a\u{0}b".to_owned(), ..ada() }), "address");
}

#[test]
fn a_change_keeps_what_it_does_not_name() {
    let after = UserDetails { name: "Countess".to_owned(), ..ada() };
    given::<Users>([signed_up()]).when(change(name("Countess"))).then([UserEvent::Changed(after)]);
    let all = UserChange {
        email: Some("new@example.org".to_owned()),
        name: None,
        address: Some("2 Row".to_owned()),
    };
    let after = UserDetails { email: "new@example.org".to_owned(), address: "2 Row".to_owned(), ..ada() };
    given::<Users>([signed_up()]).when(change(all)).then([UserEvent::Changed(after)]);
}

#[test]
fn a_change_to_what_is_there_already_is_no_event() {
    given::<Users>([signed_up()]).when(change(name(" Ada "))).then_nothing();
}

#[test]
fn a_change_names_something() {
    given::<Users>([signed_up()])
        .when(change(UserChange::default()))
        .rejected(UserRejection::NothingToChange);
}

#[test]
fn an_account_is_deleted_once() {
    given::<Users>([signed_up()]).when(UserCommand::Delete(ID)).then([deleted()]);
    given::<Users>([signed_up(), deleted()]).when(UserCommand::Delete(ID)).rejected(UserRejection::Deleted);
}

#[test]
fn only_who_is_there_is_changed_or_deleted() {
    given::<Users>([]).when(change(name("x"))).rejected(UserRejection::Unknown);
    given::<Users>([]).when(UserCommand::Delete(ID)).rejected(UserRejection::Unknown);
    given::<Users>([signed_up(), deleted()]).when(change(name("x"))).rejected(UserRejection::Deleted);
}

#[test]
fn an_email_address_is_unique_whatever_its_case_until_its_user_is_gone() {
    assert_eq!(given::<Users>([signed_up()]).unique_keys(), ["email:ada@example.org"]);
    assert!(given::<Users>([signed_up(), deleted()]).unique_keys().is_empty());
}

#[test]
fn each_rejection_has_its_status_and_slug() {
    let expected = [
        (UserRejection::NothingToChange, 422, "nothing-to-change"),
        (UserRejection::EmailTaken, 409, "email-taken"),
        (UserRejection::AlreadySignedUp, 409, "already-signed-up"),
        (UserRejection::Unknown, 404, "user-unknown"),
        (UserRejection::Deleted, 404, "user-deleted"),
        (Users::taken("email:a@b"), 409, "email-taken"),
    ];
    for (rejection, status, slug) in expected {
        let problem = Problem::from(rejection);
        assert_eq!((problem.status, &*problem.kind), (status, &*format!("urn:daybook:problem:{slug}")));
    }
}
