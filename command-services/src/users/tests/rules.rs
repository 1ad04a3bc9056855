//! Given, when, then for every rule and every rejection.

use daybook_event::problem::Problem;
use schemas::users::{UserDeleted, UserDetails, UserEvent};
use uuid::Uuid;

use crate::testing::given;
use crate::users::{UserChange, UserCommand, UserRejection, Users};

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
    let email = |octets: usize| format!("{}@b", "a".repeat(octets - 2));
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

fn key(email: &str) -> String {
    let details = UserDetails { email: email.to_owned(), ..ada() };
    given::<Users>([UserEvent::SignedUp(details)]).unique_keys().concat()
}

#[test]
fn spellings_of_one_address_have_one_key() {
    let groups: [&[&str]; 9] = [
        &["ada@example.org", "ADA@EXAMPLE.ORG", " Ada@Example.Org\n"],
        &["ΟΣ@x.org", "οσ@x.org", "ος@x.org", "Ος@X.ORG"],
        &["\u{e9}@x.org", "e\u{301}@x.org", "\u{c9}@x.org", "E\u{301}@x.org"],
        &["zw@x.org", "z\u{200b}w@x.org", "zw@\u{2060}x.org", "\u{202e}zw@x.org", "z\u{34f}w@x.org"],
        &["jane@x.org", "ｊａｎｅ＠ｘ．ｏｒｇ", "jane\u{fe6b}x。org"],
        &["strasse@x.org", "straße@x.org", "STRASSE@x.org", "STRAẞE@x.org"],
        &["weiss@x.org", "weiß@x.org"],
        &["\u{212a}elvin@x.org", "kelvin@x.org"],
        &["x@bücher.example", "x@BÜCHER.example", "x@bu\u{308}cher.example", "x@xn--bcher-kva.example"],
    ];
    for group in groups {
        for spelling in group {
            assert_eq!(key(spelling), key(group[0]), "{spelling:?} and {:?}", group[0]);
        }
    }
}

#[test]
fn other_addresses_have_other_keys() {
    let pairs = [
        ("\u{131}@x.org", "i@x.org"),
        ("\u{430}@x.org", "a@x.org"),
        ("x@straße.de", "x@strasse.de"),
        ("a.b@x.org", "ab@x.org"),
        ("a+b@x.org", "a@x.org"),
    ];
    for (one, other) in pairs {
        assert_ne!(key(one), key(other), "{one:?} and {other:?}");
    }
}

#[test]
fn whatever_was_taken_once_has_a_key_of_bounded_length() {
    for email in [
        "",
        "@",
        "a@",
        "@b",
        "a@b@c",
        "\u{200b}",
        "a@[1.2.3.4]",
        "a@b..c",
        "a\u{378}@b",
        &"\u{fdfa}@b".repeat(127),
    ] {
        let key = key(email);
        assert!(key.len() <= 260 && (key.starts_with("email:") || key.starts_with("email#")), "{key}");
    }
    let long = |letter: &str| key(&format!("{}@b", letter.repeat(252)));
    assert_ne!(long("ä"), long("ö"));
    assert_eq!(long("ä"), long("Ä"));
}

#[test]
fn an_address_has_nothing_invisible_and_at_most_254_octets() {
    let refused = [
        "z\u{200b}w@x.org",
        "\u{202e}zw@x.org",
        "z\u{34f}w@x.org",
        "\u{3164}@x.org",
        "\u{2800}@x.org",
        "a\u{378}@x.org",
        "a\u{600}1@x.org",
        "a\u{ffff}@x.org",
        "a＠b@c",
        "a\u{fe6b}b@c",
        "a\u{a8}b@x.org",
        "a\u{3000}b@x.org",
        "a@b..c",
        "a@b.",
        "a@[1.2.3.4]",
        "a@xn--\u{e9}",
        "a@b/c",
    ];
    for email in refused {
        assert_eq!(refused_field(UserDetails { email: email.to_owned(), ..ada() }), "email", "{email:?}");
    }
    for email in
        [format!("{}@b", "ä".repeat(127)), format!("a@{}", "b".repeat(64)), "\u{fdfa}".repeat(20) + "@b"]
    {
        assert_eq!(refused_field(UserDetails { email: email.clone(), ..ada() }), "email", "{email:?}");
    }
    for email in
        ["ä@x.org", "x@bücher.example", "o'neil+shop@a_b.example", "ａ@x.org", "नमस्ते@x.org", "a＠x.org"]
    {
        let details = UserDetails { email: email.to_owned(), ..ada() };
        let signed_up = UserEvent::SignedUp(details.clone());
        given::<Users>([]).when(UserCommand::SignUp(details)).then([signed_up]);
    }
}

#[test]
fn text_refuses_only_what_cannot_be_shown() {
    let taken = [
        "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "می\u{200c}خواهم",
        "\u{200f}שלום\u{200e} 1",
        "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
        "\u{600}1",
        "❤\u{fe0f}",
        "\u{e000}",
        "𝄞",
    ];
    for name in taken {
        let details = UserDetails { name: name.to_owned(), address: name.to_owned(), ..ada() };
        let signed_up = UserEvent::SignedUp(details.clone());
        given::<Users>([]).when(UserCommand::SignUp(details)).then([signed_up]);
    }
    let refused = [
        "\u{200b}",
        "\u{202e}",
        "\u{3164}",
        "\u{115f}\u{ffa0}",
        "\u{2800} \u{2800}",
        "\u{200d}",
        "a\u{200b}b",
        "a\u{202e}b",
        "a\u{e0001}b",
        "a\u{0}b",
        "a\u{7f}b",
        "a\u{ffff}b",
        "a\u{378}b",
    ];
    for text in refused {
        let name = UserDetails { name: text.to_owned(), ..ada() };
        assert_eq!(refused_field(name), "name", "{text:?}");
        let address = UserDetails { address: text.to_owned(), ..ada() };
        assert_eq!(refused_field(address), "address", "{text:?}");
    }
}

#[test]
fn an_address_has_lines_and_a_name_has_one() {
    let address = |address: &str| UserDetails { address: address.to_owned(), ..ada() };
    for typed in
        ["1 Main Street\nSpringfield", "1 Main Street\r\nSpringfield\r\n", "1 Main Street\rSpringfield"]
    {
        given::<Users>([])
            .when(UserCommand::SignUp(address(typed)))
            .then([UserEvent::SignedUp(address("1 Main Street\nSpringfield"))]);
    }
    // What two browsers send for one address is one.
    given::<Users>([UserEvent::SignedUp(address("a\nb"))])
        .when(change(UserChange { address: Some("a\r\nb".to_owned()), ..UserChange::default() }))
        .then_nothing();
    for name in ["a\nb", "a\r\nb", "a\tb", "a\u{2028}b"] {
        assert_eq!(refused_field(UserDetails { name: name.to_owned(), ..ada() }), "name", "{name:?}");
    }
}

#[test]
fn what_is_refused_is_named_with_its_place() {
    let rule = |details| match given::<Users>([]).when(UserCommand::SignUp(details)).rejection() {
        UserRejection::Field(invalid) => invalid.rule,
        other => panic!("{other:?}"),
    };
    let hidden = rule(UserDetails { email: "zw\u{200b}@x.org".to_owned(), ..ada() });
    assert!(hidden.contains("U+200B at character 3"), "{hidden}");
    let lines = rule(UserDetails { name: "a\nb".to_owned(), ..ada() });
    assert!(lines.contains("one line (U+000A at character 2)"), "{lines}");
}

#[test]
fn a_change_is_judged_by_its_own_fields_alone() {
    let before = UserDetails {
        email: "zw\u{200b}@x.org".to_owned(),
        name: "\u{200b}".to_owned(),
        address: "a\u{202e}b".to_owned(),
        ..ada()
    };
    let moves = UserChange { address: Some("2 Row".to_owned()), ..UserChange::default() };
    let after = UserDetails { address: "2 Row".to_owned(), ..before.clone() };
    given::<Users>([UserEvent::SignedUp(before)]).when(change(moves)).then([UserEvent::Changed(after)]);
}

#[test]
fn each_rejection_has_its_status_and_slug() {
    let expected = [
        (UserRejection::NothingToChange, 422, "nothing-to-change"),
        (UserRejection::EmailTaken, 409, "email-taken"),
        (UserRejection::AlreadySignedUp, 409, "already-signed-up"),
        (UserRejection::Unknown, 404, "user-unknown"),
        (UserRejection::Deleted, 404, "user-deleted"),
    ];
    for (rejection, status, slug) in expected {
        let problem = Problem::from(rejection);
        assert_eq!((problem.status, &*problem.kind), (status, &*format!("/problems/{slug}")));
    }
}
