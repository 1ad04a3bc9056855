//! Words of our own that a reader would have to learn first: they stay out of what people read, and retired names out of code.

use crate::tree::Tree;

/// Words and what they stand for in plain English.
const PRIVATE_WORDS: [(&str, &str); 14] = [
    ("anew", "again"),
    ("somebody", "another process, a user"),
    ("whoever", "the process that"),
    ("told", "reported, said"),
    ("shut out", "fenced"),
    ("superseded", "fenced"),
    ("come to lie", "be written at"),
    ("comes to lie", "is written at"),
    ("came to lie", "was written at"),
    ("go on", "continue, resume"),
    ("goes on", "continues, resumes"),
    ("going on", "continuing"),
    ("gone on", "continued"),
    ("went on", "continued"),
];

/// Names that had a meaning here only, and the ones that took their place.
const RETIRED_NAMES: [(&str, &str); 44] = [
    ("Lying", "ExpectedOffsets"),
    ("lying", "expected_offsets"),
    ("Superseded", "Fenced"),
    ("superseded", "fenced"),
    ("set_superseded", "set_fenced"),
    ("until_superseded", "until_fenced"),
    ("shut_out", "fencing"),
    ("Unsaved", "UnpublishedEvents"),
    ("unsaved", "unpublished"),
    ("Keeper", "GenerationManager"),
    ("keeper", "generation_manager"),
    ("GroupError", "an error of its own for each operation"),
    ("Forgetter", "IdempotencyExpiry"),
    ("LookedUp", "ReadSet"),
    ("RestsOn", "DependsOn"),
    ("Grounds", "AsOf"),
    ("grounds", "as_of"),
    ("Undecided", "CommandError"),
    ("Asked", "QueryRequest"),
    ("Wanted", "Page"),
    ("Rendered", "Body"),
    ("Marks", "AffectedKeys"),
    ("Refusal", "ApiError"),
    ("Intake", "Admission"),
    ("intake", "admission"),
    ("Course", "Disposition"),
    ("Telling", "ProgressReporter"),
    ("telling", "report"),
    ("Told", "Reported"),
    ("told", "reported"),
    ("go_on", "resume"),
    ("goes_on", "continues"),
    ("go_on_at", "seek"),
    ("find_places", "locate"),
    ("wait_for_place", "wait_until_readable"),
    ("Unfit", "TopicMismatch"),
    ("Misfit", "TopicMismatch"),
    ("misfit", "mismatch"),
    ("insist", "retry"),
    ("wait_until_well", "wait_until_writable"),
    ("well_again", "recovered"),
    ("Impatient", "WriteTimeout"),
    ("any_bytes", "fuzz_checks"),
    ("Looked", "a word of the field"),
];

/// Private words in texts of shipped sources, and in documents outside of code.
pub(crate) fn private_words(tree: &Tree) -> Vec<String> {
    let texts = tree
        .sources()
        .flat_map(|(path, code)| Lexed::of(code).texts.into_iter().map(move |text| (path, text)));
    let prose = |text: &str| text.split('`').step_by(2).collect::<Vec<_>>().join(" ");
    let documents = tree.documents().map(|(path, text)| (path, prose(text)));
    let found = texts.chain(documents).flat_map(|(path, text)| {
        let words = words(&text);
        let is_there = |word: &&(&str, &str)| words.contains(&format!(" {} ", word.0));
        let found: Vec<_> = PRIVATE_WORDS.iter().filter(is_there).collect();
        found.into_iter().map(move |(word, plain)| format!("{path} says \"{word}\": write {plain}"))
    });
    found.collect()
}

/// Retired names that are identifiers of shipped sources.
pub(crate) fn retired_names(tree: &Tree) -> Vec<String> {
    let found = tree.sources().flat_map(|(path, code)| {
        let code = Lexed::of(code).code;
        let is_there = |name: &&(&str, &str)| {
            code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == name.0)
        };
        let found: Vec<_> = RETIRED_NAMES.iter().filter(is_there).collect();
        found
            .into_iter()
            .map(move |(name, now)| format!("{path} has the name `{name}`: its place was taken by {now}"))
    });
    found.collect()
}

/// Words in small letters, each between two spaces.
fn words(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    words.fold(" ".to_owned(), |line, word| format!("{line}{} ", word.to_lowercase()))
}

/// Rust as code without comments, characters and texts, and the texts.
#[derive(Default)]
struct Lexed {
    code: String,
    texts: Vec<String>,
}

impl Lexed {
    fn of(source: &str) -> Self {
        let (mut lexed, mut rest) = (Self::default(), source);
        while let Some(first) = rest.chars().next() {
            rest = if rest.starts_with("//") {
                &rest[rest.find('\n').unwrap_or(rest.len())..]
            } else if let Some(quoted) = rest.strip_prefix('"') {
                lexed.text(quoted)
            } else if let Some(hashes) = raw_text(rest, &lexed.code) {
                lexed.raw_text(rest, hashes)
            } else if let Some(character) = character(rest) {
                &rest[character..]
            } else {
                lexed.code.push(first);
                &rest[first.len_utf8()..]
            };
        }
        lexed
    }

    /// Takes a text up to its closing quote.
    fn text<'r>(&mut self, quoted: &'r str) -> &'r str {
        let mut is_escaped = false;
        let end = quoted.find(|c| {
            let is_end = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_end
        });
        let (text, rest) = quoted.split_at(end.expect("a closed text"));
        self.texts.push(text.to_owned());
        &rest[1..]
    }

    fn raw_text<'r>(&mut self, rest: &'r str, hashes: usize) -> &'r str {
        let (text, close) = (&rest[hashes + 2..], format!("\"{}", "#".repeat(hashes)));
        let end = text.find(&close).expect("a closed text");
        self.texts.push(text[..end].to_owned());
        &text[end + close.len()..]
    }
}

/// How many `#` a raw text has that begins here, behind `code`.
fn raw_text(rest: &str, code: &str) -> Option<usize> {
    let is_in_name = code.ends_with(|c: char| c.is_alphanumeric() || c == '_') && !code.ends_with('b');
    let behind = rest.strip_prefix('r').filter(|_| !is_in_name)?;
    let quote = behind.find(|c| c != '#')?;
    behind[quote..].starts_with('"').then_some(quote)
}

/// How long the character is that begins here; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let behind = rest.strip_prefix('\'')?;
    match behind.strip_prefix('\\') {
        Some(escaped) => Some(escaped[1..].find('\'')? + 4),
        None => {
            let first = behind.chars().next()?.len_utf8();
            behind[first..].starts_with('\'').then_some(first + 2)
        }
    }
}

#[test]
fn a_private_word_is_seen_in_texts_and_documents_and_nowhere_else() {
    let code = "//! Made anew.\nfn anew(c: &'static str) -> char { let _ = 'a'; let _ = '\"'; say(\"{c} is made \\\"anew\\\"\"); '\\'' }";
    let quiet = "// told\nfn told() { say(r#\"the \"topic\" is gone\"#, \"recreated, as foretold\") }";
    let document = "It goes\non, as `the_second_is_told` and\n```\nwhoever\n```\nsay.";
    let tree =
        Tree::made_of(&[("schemas/src/a.rs", code), ("schemas/src/b.rs", quiet), ("docs/a.md", document)]);
    let said = [
        "schemas/src/a.rs says \"anew\": write again",
        "docs/a.md says \"goes on\": write continues, resumes",
    ];
    assert_eq!(private_words(&tree), said);
    let raw = Tree::made_of(&[("schemas/src/a.rs", "say(br#\"a \"somebody\" said\"#)")]);
    assert_eq!(private_words(&raw).len(), 1);
}

#[test]
fn a_retired_name_is_seen_where_it_is_one() {
    let code = "// A keeper.\nmod keeper;\nfn keeper_of(house: &'static str) -> bool { house == \"Keeper\" || house == \"\\\\\" }";
    let tree = Tree::made_of(&[("projector/src/a.rs", code), ("projector/tests/a.rs", "struct Keeper;")]);
    let seen = "projector/src/a.rs has the name `keeper`: its place was taken by generation_manager";
    assert_eq!(retired_names(&tree), [seen]);
}
