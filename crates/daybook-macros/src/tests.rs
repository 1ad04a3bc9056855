//! What is refused while it is compiled, with which sentence, and at which tokens.

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::refused::Refused;
use crate::{event, fields, rejection};

/// The tokens that are blamed, as text, and the sentence.
#[track_caller]
fn refused(expand: fn(&DeriveInput) -> Result<TokenStream, Refused>, source: &str) -> (String, String) {
    match expand(&syn::parse_str(source).unwrap()) {
        Ok(code) => panic!("this was not refused: {source}\n{code}"),
        Err(Refused::Contradiction { at, sentence }) => (at.to_string(), sentence),
        Err(Refused::Unreadable(error)) => (String::new(), error.to_string()),
    }
}

/// Checks an enum of account events with these variants.
#[track_caller]
fn events(variants: &str, at: &str, sentence: &str) {
    let topic = r#"service = "accounts", topic = "accounts.events", prefix = "bank.account.""#;
    let source = format!("#[event({topic})] enum AccountEvent {{ {variants} }}");
    assert_eq!(refused(event::expand, &source), (at.to_owned(), sentence.to_owned()), "{source}");
}

#[test]
fn two_types_with_one_name() {
    let sentence = "`Opened` has the type `opened` already: versions of one type are one variant, the older ones read by \
         `#[upcast]`";
    let opened = r#"#[event("opened.v1")] Opened(Opened),"#;
    events(&format!(r#"{opened} #[event("opened.v1")] Begun(Opened)"#), r#""opened.v1""#, sentence);
    let newer = r#"#[event("opened.v2")] #[upcast(from = "opened.v1", with = f)] Begun(Opened)"#;
    events(&format!("{opened} {newer}"), r#""opened.v2""#, sentence);
}

#[test]
fn a_version_that_nothing_reads() {
    let hole = |version| {
        format!("no `#[upcast]` reads `opened.v{version}`, and events of every version stay in the log")
    };
    events(r#"#[event("opened.v2")] Opened(Opened)"#, r#""opened.v2""#, &hole(1));
    let opened = |upcasts: &[u8]| {
        let upcasts = upcasts.iter().map(|from| format!(r#"#[upcast(from = "opened.v{from}", with = f)]"#));
        format!(r#"#[event("opened.v4")] {} Opened(Opened)"#, upcasts.collect::<String>())
    };
    events(&opened(&[2, 3]), r#""opened.v4""#, &hole(1));
    events(&opened(&[3, 1]), r#""opened.v4""#, &hole(2));
    events(&opened(&[1, 2]), r#""opened.v4""#, &hole(3));
    events(&opened(&[1, 2, 3, 2]), r#""opened.v2""#, "two upcasts read this version");
    events(&opened(&[1, 2, 3, 4]), r#""opened.v4""#, "this is no version before `opened.v4`");
    let other = r#"#[event("opened.v2")] #[upcast(from = "begun.v1", with = f)] Opened(Opened)"#;
    events(other, r#""begun.v1""#, "this is no version before `opened.v2`");
}

#[test]
fn a_variant_without_a_version() {
    let sentence = "its version is missing: the name of a type ends with `.v1`, `.v2` and so on";
    for name in [
        "opened",
        "opened.v",
        "opened.v0",
        "opened.v01",
        "opened.v+1",
        "opened.v1 ",
        "v1",
        "opened.v4294967295",
    ] {
        events(&format!(r#"#[event("{name}")] Opened(Opened)"#), &format!("{name:?}"), sentence);
    }
    let sentence = "its type and version are missing, such as `#[event(\"opened.v1\")]`";
    events(r#"#[event("opened.v1")] Opened(Opened), Closed(Closed)"#, "Closed", sentence);
    let sentence = "there is an `#[event(…)]` already";
    events(
        r#"#[event("opened.v1")] #[event("begun.v1")] Opened(Opened)"#,
        r#"# [event ("begun.v1")]"#,
        sentence,
    );
}

#[test]
fn names_that_are_not_words() {
    let sentence = "names of types are words of small letters, digits and hyphens, with points between them";
    for name in [".v1", "Opened.v1", "opened..v1", "a\\\"b.v1", "opened account.v1"] {
        events(&format!(r#"#[event("{name}")] Opened(Opened)"#), &format!(r#""{name}""#), sentence);
    }
    let prefixed = |prefix: &str| {
        format!(
            r#"#[event(service = "a", topic = "b", prefix = "{prefix}")] enum E {{ #[event("a.v1")] A(A) }}"#
        )
    };
    assert_eq!(refused(event::expand, &prefixed("Bank.")), (r#""Bank.""#.to_owned(), sentence.to_owned()));
    let sentence = "the prefix of type names ends with a point, such as `bank.account.`";
    assert_eq!(refused(event::expand, &prefixed("bank")), (r#""bank""#.to_owned(), sentence.to_owned()));
}

#[test]
fn two_keys_and_no_key() {
    let two = r#"#[event("opened.v1")] Opened { #[key] id: Uuid, #[key] owner: Uuid }"#;
    events(two, "# [key]", "an event has one key, and another field has `#[key]` already");
    let none = r#"#[event("opened.v1")] Opened { id: Uuid }"#;
    events(none, "Opened", "no field of it has `#[key]`: events with one key are in order");
    let sentence = "an event has fields with names, or those of one type that derives `Fields`";
    for shape in ["Opened", "Opened(Uuid, u8)"] {
        events(&format!(r#"#[event("opened.v1")] {shape}"#), "Opened", sentence);
    }
    let keyed = |variant: &str| {
        let topic = r#"service = "a", topic = "b", prefix = "c.", key = id"#;
        format!(r#"#[event({topic})] enum E {{ #[event("a.v1")] {variant} }}"#)
    };
    let sentence = "it has no field `id`, which is the key of these events";
    let found = refused(event::expand, &keyed("A { owner: Uuid }"));
    assert_eq!(found, ("A".to_owned(), sentence.to_owned()));
    assert!(event::expand(&syn::parse_str(&keyed("A { id: Uuid, #[key] owner: Uuid }")).unwrap()).is_ok());
    let two = "struct Opened { #[key] id: Uuid, #[key] owner: Uuid }";
    let sentence = "an event has one key, and another field has `#[key]` already";
    assert_eq!(refused(fields::expand, two), ("# [key]".to_owned(), sentence.to_owned()));
}

#[test]
fn fields_that_are_written_otherwise_than_they_are_named() {
    let sentence = "a field of an event is written under its own name and must be there to be read; what an older version \
         lacks an `#[upcast]` fills in";
    let own = r#"#[event("opened.v1")] Opened { #[key] id: Uuid, #[serde(default)] limit: u8 }"#;
    events(own, "# [serde (default)]", sentence);
    let found = refused(fields::expand, "struct Opened { #[serde(rename = \"b\")] a: u8 }");
    assert_eq!(found, (r#"# [serde (rename = "b")]"#.to_owned(), sentence.to_owned()));
    let found = refused(fields::expand, "struct Opened(u8);");
    assert_eq!(found, ("Opened".to_owned(), "fields are a struct, each with a name".to_owned()));
    let found = refused(fields::expand, "struct Opened<T> { of: T }");
    assert_eq!(found.0, "< T >");
}

#[test]
fn an_enum_that_does_not_say_where_its_events_are() {
    let sentence = "where its events are is missing: `#[event(service = …, topic = …, prefix = …)]`; only an enum of enums \
         of events does without";
    for variants in
        [r#"#[event("opened.v1")] Opened(Opened)"#, "Opened", "Opened { id: Uuid }", "Opened(A, B)"]
    {
        let found = refused(event::expand, &format!("enum AccountEvent {{ {variants} }}"));
        assert_eq!(found, ("AccountEvent".to_owned(), sentence.to_owned()), "{variants}");
    }
    for source in ["enum AccountEvent {}", "struct AccountEvent { id: Uuid }"] {
        let sentence = "events are an enum, with a variant for each type of event";
        assert_eq!(refused(event::expand, source), ("AccountEvent".to_owned(), sentence.to_owned()));
    }
}

#[test]
fn attributes_that_lack_something_or_have_too_much() {
    let of = |attribute: &str| {
        refused(event::expand, &format!(r#"{attribute} enum E {{ #[event("a.v1")] A(A) }}"#))
    };
    let missing = |what| format!("`{what} = …` is missing: `#[event(service = …, topic = …, prefix = …)]`");
    assert_eq!(of(r#"#[event(topic = "b", prefix = "c.")]"#).1, missing("service"));
    assert_eq!(of(r#"#[event(service = "a", prefix = "c.")]"#).1, missing("topic"));
    assert_eq!(of(r#"#[event(service = "a", topic = "b")]"#).1, missing("prefix"));
    let found = of(r#"#[event(service = "a", topic = "b", prefix = "c.", version = 1)]"#);
    assert_eq!(found.1, "expected `service`, `topic`, `prefix` or `key`");
    let upcast = r#"#[event("a.v2")] #[upcast(from = "a.v1")] A(A)"#;
    let sentence = "an upcast says `from = \"<older type>\", with = <function>`";
    events(upcast, r#"# [upcast (from = "a.v1")]"#, sentence);
}

/// Checks an enum of rejections with these variants.
#[track_caller]
fn rejections(variants: &str, at: &str, sentence: &str) {
    let source = format!("enum AccountRejection {{ {variants} }}");
    assert_eq!(refused(rejection::expand, &source), (at.to_owned(), sentence.to_owned()), "{source}");
}

#[test]
fn rejections_without_a_problem_of_their_own() {
    let sentence =
        "its problem is missing: `#[problem(<status>, \"<slug>\", \"<detail>\")]`, or `#[problem(from)]`";
    rejections("Unknown", "Unknown", sentence);
    let sentence = "`Unknown` is of this kind already, and clients tell problems apart by it";
    let twice = r#"#[problem(404, "unknown", "a")] Unknown, #[problem(409, "unknown", "b")] Other"#;
    rejections(twice, r#""unknown""#, sentence);
    let twice = r#"#[problem(404, "a", "a")] #[problem(404, "b", "b")] Unknown"#;
    rejections(twice, r#"# [problem (404 , "b" , "b")]"#, "a rejection is one problem");
    let sentence =
        "`#[problem(from)]` takes the problem of the one field, and this variant does not have exactly one";
    for shape in ["Field", "Field(A, B)", "Field { a: A }"] {
        rejections(&format!("#[problem(from)] {shape}"), "Field", sentence);
    }
    let twice = r#"#[problem(kind::UNKNOWN, "a")] Unknown, #[problem(kind::UNKNOWN, "b")] Other"#;
    let sentence = "`Unknown` is of this kind already, and clients tell problems apart by it";
    rejections(twice, "kind :: UNKNOWN", sentence);
    rejections("#[problem(of)] Field(A)", "", "expected `,`");
}

#[test]
fn problems_that_are_none() {
    let sentence = "the status of a problem is from 400 to 599";
    for status in ["200", "399", "600", "70000"] {
        rejections(&format!(r#"#[problem({status}, "a", "b")] A"#), status, sentence);
    }
    let sentence = "a slug is words of small letters and digits, with hyphens between them";
    for slug in ["", "Unknown", "not-", "not there", "-a", "a/b"] {
        rejections(&format!(r#"#[problem(404, "{slug}", "b")] A"#), &format!("{slug:?}"), sentence);
    }
    for member in ["type", "status", "detail", "instance"] {
        let variant = format!(r#"#[problem(404, "a", "b", {member} = 1)] A"#);
        rejections(&variant, member, "every problem has a member of this name already");
    }
}
