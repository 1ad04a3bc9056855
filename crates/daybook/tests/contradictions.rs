//! An app whose parts contradict each other is refused by name before anything starts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use daybook::prelude::*;

#[derive(Debug, Event)]
#[event(service = "lamps", topic = "lamps.events", prefix = "house.lamp.", key = lamp)]
enum Switched {
    #[event("switched.v1")]
    Switched { lamp: Uuid },
}

struct Switches<const ID: u8, const OTHER: bool>;

impl<const ID: u8, const OTHER: bool> View for Switches<ID, OTHER> {
    type Event = Switched;
    type Change = ();
    type Row = u64;
    const ID: u8 = ID;
    const NAME: &'static str = if OTHER { "others" } else { "switches" };

    fn change(event: &Switched) -> Option<(Uuid, ())> {
        Some((event.key(), ()))
    }

    fn fold(row: Option<u64>, (): (), _: &EventMeta<'_>, _: &mut Parts<'_>) -> Folded<u64> {
        Ok(Some(row.unwrap_or(0) + 1))
    }
}

type Lamps = Switches<1, false>;
const LAMPS: Projection<Switched> = Projection::of(1, &[ViewEntry::of::<Lamps>()]);

#[derive(Debug, Rejection)]
enum Refused {
    #[problem(404, "lamp-unknown", "there is no such lamp")]
    Unknown,
}

macro_rules! service {
    ($aggregate:ident, $event:ident, $service:literal, $topic:literal) => {
        #[derive(Debug, Event)]
        #[event(service = $service, topic = $topic, prefix = "house.lamp.", key = lamp)]
        enum $event {
            #[event("switched.v1")]
            Switched { lamp: Uuid },
        }

        struct $aggregate;

        impl Aggregate for $aggregate {
            type State = u64;
            type Command = Uuid;
            type Event = $event;
            type Rejection = Refused;
            type Facts = ();
            const UNKNOWN: Refused = Refused::Unknown;

            fn decide(_: Option<&u64>, lamp: &Uuid, (): &()) -> Result<Vec<$event>, Refused> {
                Ok(vec![$event::Switched { lamp: *lamp }])
            }

            fn evolve(switched: Option<u64>, _: &$event) -> u64 {
                switched.unwrap_or(0) + 1
            }
        }
    };
}

service!(Plain, PlainEvent, "lamps", "lamps.events");
service!(SameName, SameNameEvent, "lamps", "other.events");
service!(SameTopic, SameTopicEvent, "others", "lamps.events");
service!(Other, OtherEvent, "others", "other.events");
service!(Reserved, ReservedEvent, "projector", "other.events");

fn app() -> App {
    App::new("house", "Lamps")
}

fn plain() -> App {
    app().commands(Routes::<Plain>::of("/lamps", "lamp"))
}

#[track_caller]
fn refused(app: App, sentence: &str) {
    assert_eq!(app.check().unwrap_err().to_string(), format!("the app contradicts itself: {sentence}"));
}

#[test]
fn what_fits_together_is_taken() {
    let queries = Queries::new().row::<Lamps>("/lamps/{lamp}");
    plain().commands(Routes::<Other>::of("/others", "lamp")).queries(LAMPS, queries).check().unwrap();
}

#[test]
fn an_app_with_nothing_in_it() {
    refused(app(), "it has neither a command service nor queries");
}

#[test]
fn two_services_with_one_name_topic_or_path() {
    let same_name = plain().commands(Routes::<SameName>::of("/others", "lamp"));
    refused(same_name, "two of its services are called lamps");
    let same_topic = plain().commands(Routes::<SameTopic>::of("/others", "lamp"));
    refused(same_topic, "two of its services write the topic lamps.events");
    let same_path = plain().commands(Routes::<Other>::of("/lamps", "lamp"));
    refused(same_path, "two of its services have the path /lamps");
}

#[test]
fn a_service_with_the_name_of_something_else() {
    let sentence = "a service cannot be called projector, since every app has something of that name";
    refused(app().commands(Routes::<Reserved>::of("/lamps", "lamp")), sentence);
}

#[test]
fn two_views_with_one_id_or_name_and_id_zero() {
    const fn of(views: &'static [ViewEntry<Switched>]) -> Projection<Switched> {
        Projection { layout_version: 1, topics: Switched::TOPICS, views }
    }
    const SAME_ID: Projection<Switched> =
        of(&[ViewEntry::of::<Lamps>(), ViewEntry::of::<Switches<1, true>>()]);
    refused(
        app().queries(SAME_ID, Queries::new()),
        "the views switches and others have one id; give one of them another View::ID",
    );
    const SAME_NAME: Projection<Switched> =
        of(&[ViewEntry::of::<Lamps>(), ViewEntry::of::<Switches<2, false>>()]);
    let sentence = "two views are called switches; give one of them another View::NAME";
    refused(app().queries(SAME_NAME, Queries::new()), sentence);
    const ZERO: Projection<Switched> = of(&[ViewEntry::of::<Switches<0, false>>()]);
    let sentence = "the view switches has the id 0; views are numbered from 1";
    refused(app().queries(ZERO, Queries::new()), sentence);
}

#[test]
fn topics_that_are_none_of_the_events() {
    use daybook::event::Topic;
    const NONE: Projection<Switched> = Projection { topics: &[], ..LAMPS };
    refused(app().queries(NONE, Queries::new()), "the projection reads no topic");
    const LAMP: Topic = Switched::TOPICS[0];
    const TWICE: Projection<Switched> = Projection { topics: &[LAMP, LAMP], ..LAMPS };
    refused(app().queries(TWICE, Queries::new()), "the projection reads the topic lamps.events twice");
    const OTHER: Topic = Topic { name: "other.events", service: "others" };
    const FOREIGN: Projection<Switched> = Projection { topics: &[LAMP, OTHER], ..LAMPS };
    let sentence = "the projection reads the topic other.events, in which none of its events is";
    refused(app().queries(FOREIGN, Queries::new()), sentence);
}

#[test]
fn queries_that_could_not_be_told_apart_or_answered() {
    let refused = |queries, sentence: &str| refused(app().queries(LAMPS, queries), sentence);
    let lamps = || Queries::new().row::<Lamps>("/lamps/{lamp}");
    refused(lamps().row::<Lamps>("/lamps/{other}"), "two queries have the path /lamps/{other}");
    for path in ["/lamps", "/{house}/lamps/{lamp}"] {
        let sentence = format!("{path} names no key, or more than one: write it as /accounts/{{account_id}}");
        refused(Queries::new().row::<Lamps>(path), &sentence);
    }
    for path in ["lamps/{lamp}", "/status/{lamp}", "/health/{lamp}", "/problems/{lamp}"] {
        let sentence = format!("{path} is no path, or one that every query service has");
        refused(Queries::new().row::<Lamps>(path), &sentence);
    }
    let sentence = "rows of others are asked for, and the projection has no such view";
    refused(Queries::new().row::<Switches<2, true>>("/others/{lamp}"), sentence);
    let twice = app().queries(LAMPS, lamps()).queries(LAMPS, lamps());
    assert!(twice.check().unwrap_err().to_string().contains("it has two read models"));
}
