//! Rules for single fields, the same in every service.

use daybook_event::problem::Problem;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, PrependedConcatenationMark};
use icu_properties::{CodePointMapData, CodePointSetData};
use schemas::problem_types as kind;
use serde::{Deserialize, Deserializer};

/// A field whose value breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidField {
    /// Name of the field, as in the request.
    pub field: &'static str,
    /// What it must be, finishing the sentence "`field` must …".
    pub rule: String,
}

impl From<InvalidField> for Problem {
    fn from(invalid: InvalidField) -> Self {
        let InvalidField { field, rule } = invalid;
        let problem = Self::of(&kind::INVALID_FIELD, format!("`{field}` must {rule}"));
        problem.with("field", field)
    }
}

/// How many lines a text may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    One,
    Many,
}

/// A text without what stands around it: 1 to `chars_max` characters, none of which cannot be shown, and one of which is
/// seen. It is kept as it is typed, but for the ends of its lines, which are one character each.
pub(super) fn text(
    field: &'static str,
    raw: &str,
    chars_max: usize,
    lines: Lines,
) -> Result<String, InvalidField> {
    let invalid = |rule| Err(InvalidField { field, rule });
    let text = raw.trim().replace("\r\n", "\n");
    let length = text.chars().count();
    if length == 0 || length > chars_max {
        return invalid(format!("have 1 to {chars_max} characters, it has {length}"));
    }
    if let Some(broken) = find(&text, |c| lines == Lines::One && breaks_line(c)) {
        return invalid(format!("have one line ({broken})"));
    }
    let is_kept = |c| lines == Lines::Many && (breaks_line(c) || c == '\t');
    if let Some(hidden) = find(&text, |c| is_never_shown(c) && !is_kept(c)) {
        return invalid(format!("have no characters that cannot be shown ({hidden})"));
    }
    if text.chars().all(is_blank) {
        return invalid("have something that is seen".to_owned());
    }
    Ok(text.replace('\r', "\n"))
}

/// The first character that is so, and where it is.
pub(super) fn find(text: &str, is_so: impl Fn(char) -> bool) -> Option<String> {
    let (character, found) = (1..).zip(text.chars()).find(|(_, c)| is_so(*c))?;
    Some(format!("U+{:04X} at character {character}", u32::from(found)))
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::new().get(c)
}

fn breaks_line(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

/// Whether a character orders how others are shown, and nothing else.
pub(super) fn is_format(c: char) -> bool {
    category(c) == GeneralCategory::Format
}

/// Whether a character, shown as it should be, is not there.
pub(super) fn is_ignorable(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// Whether a character is a control, or none at all.
pub(super) fn is_no_character(c: char) -> bool {
    matches!(category(c), GeneralCategory::Control | GeneralCategory::Unassigned)
}

/// Whether nothing is seen where there are only such characters.
pub(super) fn is_blank(c: char) -> bool {
    const BRAILLE_WITHOUT_DOTS: char = '\u{2800}';
    c.is_whitespace()
        || c == BRAILLE_WITHOUT_DOTS
        || is_ignorable(c)
        || is_no_character(c)
        || is_format(c) && !is_mark_of_numbers(c)
}

/// Whether a character has no place in a text that is read. Of those that only order others some have: Persian and Indic
/// words, flags and families have joiners and tags, and who writes from right to left has marks for it.
fn is_never_shown(c: char) -> bool {
    let joins = matches!(c, '\u{200c}' | '\u{200d}');
    let directs = matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}');
    let tags = matches!(c, '\u{e0020}'..='\u{e007f}');
    is_no_character(c) || is_format(c) && !(joins || directs || tags || is_mark_of_numbers(c))
}

/// The signs that some scripts set around numbers: by category they order others, and they are seen.
fn is_mark_of_numbers(c: char) -> bool {
    CodePointSetData::new::<PrependedConcatenationMark>().contains(c)
}

/// For a field that may be left out, but not be null.
pub(super) fn present<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(from).map(Some)
}
