//! What `#[derive(Rejection)]` makes of rejections.

use daybook_event::Rejection;
use daybook_event::problem::{Problem, ProblemType};
use serde_json::json;

const REMEDY: &str = "write it again";
const BURNT: ProblemType =
    ProblemType { slug: "burnt", status: 410, title: "Nothing left", meaning: "It was burnt." };

#[derive(Debug, PartialEq, Rejection)]
enum LetterRejection {
    /// Nobody wrote
    /// it.
    #[problem(404, "letter-unknown", "there is no letter with this id")]
    Unknown,
    #[problem(BURNT, "this letter was burnt {times} times; {REMEDY}", times = times, field = "letter_id",)]
    Burnt { times: u8, by: &'static str },
    #[problem(409, "too-heavy", "it has {_0} of {_1} grams", title = "Too much", grams = _0)]
    TooHeavy(u32, u32),
    #[problem(from)]
    Field(EmptyField),
}

#[derive(Debug, PartialEq)]
struct EmptyField(&'static str);

impl From<EmptyField> for Problem {
    fn from(empty: EmptyField) -> Self {
        Self::new(422, "empty", "Empty", format!("`{}` is empty", empty.0))
    }
}

fn title(title: &str) -> Result<(), LetterRejection> {
    if title.is_empty() { Err(EmptyField("title"))? } else { Ok(()) }
}

#[test]
fn a_rejection_is_its_problem() {
    let problem = |rejection: LetterRejection| serde_json::to_value(Problem::from(rejection)).unwrap();
    assert_eq!(
        problem(LetterRejection::Unknown),
        json!({
            "type": "/problems/letter-unknown", "title": "Letter unknown", "status": 404,
            "detail": "there is no letter with this id",
        })
    );
    assert_eq!(
        problem(LetterRejection::Burnt { times: 2, by: "Ada" }),
        json!({
            "type": "/problems/burnt", "title": "Nothing left", "status": 410,
            "detail": "this letter was burnt 2 times; write it again", "times": 2, "field": "letter_id",
        })
    );
    assert_eq!(
        problem(LetterRejection::TooHeavy(7, 5)),
        json!({
            "type": "/problems/too-heavy", "title": "Too much", "status": 409,
            "detail": "it has 7 of 5 grams", "grams": 7,
        })
    );
}

#[test]
fn the_kinds_of_its_problems_are_a_table() {
    let [unknown, burnt, too_heavy] = LetterRejection::PROBLEMS else {
        panic!("{:?}", LetterRejection::PROBLEMS)
    };
    let (slug, status, title, meaning) = ("letter-unknown", 404, "Letter unknown", "Nobody wrote it.");
    assert_eq!(*unknown, ProblemType { slug, status, title, meaning });
    assert_eq!((*burnt, too_heavy.title, too_heavy.meaning), (BURNT, "Too much", ""));
}

#[test]
fn a_problem_of_another_type_is_taken_over() {
    assert_eq!((title("a"), title("")), (Ok(()), Err(LetterRejection::Field(EmptyField("title")))));
    assert_eq!(
        Problem::from(LetterRejection::Field(EmptyField("title"))),
        Problem::from(EmptyField("title"))
    );
}
