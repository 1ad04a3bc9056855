//! A published file is never edited and never dropped: `events/PUBLISHED` keeps a digest of each.

use std::collections::BTreeMap;

use crate::files::under;

/// How the files differ from what was published.
#[derive(Debug, PartialEq, Eq)]
enum Difference {
    /// The file is not what was published. Put it back; what it should say belongs into a new version or sample.
    Edited(String),
    /// The file is gone. Put it back: events like it are in logs for ever.
    Dropped(String),
    /// The file has no line in `events/PUBLISHED`. Add this one, once the file is final.
    Unlisted(String),
    /// A line of `events/PUBLISHED` is not a digest, two spaces and a path, or is there twice.
    WrongLine(String),
}

fn line_of(path: &str, content: &[u8]) -> String {
    format!("{}  {path}", blake3::hash(content).to_hex())
}

fn differences(list: &str, files: &BTreeMap<String, Vec<u8>>) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut listed = BTreeMap::new();
    for line in list.lines() {
        match line.split_once("  ") {
            Some((_, path)) if listed.insert(path, line).is_none() => {}
            _ => differences.push(Difference::WrongLine(line.to_owned())),
        }
    }
    for (path, line) in &listed {
        match files.get(*path) {
            None => differences.push(Difference::Dropped((*path).to_owned())),
            Some(content) if line_of(path, content) != **line => {
                differences.push(Difference::Edited((*path).to_owned()));
            }
            Some(_) => {}
        }
    }
    let unlisted = files.iter().filter(|(path, _)| !listed.contains_key(path.as_str()));
    differences.extend(unlisted.map(|(path, content)| Difference::Unlisted(line_of(path, content))));
    differences
}

/// The list, and the files that it must hold: schemas and samples.
fn published() -> (String, BTreeMap<String, Vec<u8>>) {
    let mut files = under("events");
    let list = files.remove("events/PUBLISHED").unwrap();
    files.extend(under("samples"));
    files.extend(under("samples-binary"));
    (String::from_utf8(list).unwrap(), files)
}

#[test]
fn no_published_file_was_edited_or_dropped() {
    let (list, files) = published();
    let differences = differences(&list, &files);
    let reported = differences.iter().map(|difference| format!("\n{difference:?}")).collect::<String>();
    assert!(differences.is_empty(), "events/PUBLISHED and the files differ:{reported}");
}

const SCHEMA: &str = "events/shop.order.placed.v1.schema.json";

#[test]
fn the_check_sees_an_edited_file() {
    let (list, mut files) = published();
    files.get_mut(SCHEMA).unwrap().push(b' ');
    assert_eq!(differences(&list, &files), [Difference::Edited(SCHEMA.to_owned())]);
}

#[test]
fn the_check_sees_a_dropped_file() {
    let (list, mut files) = published();
    files.remove(SCHEMA);
    assert_eq!(differences(&list, &files), [Difference::Dropped(SCHEMA.to_owned())]);
}

#[test]
fn the_check_names_the_line_that_a_new_file_needs() {
    let (list, mut files) = published();
    files.insert("samples/shop.order.placed.v3/new.json".to_owned(), b"{}\n".to_vec());
    let line = line_of("samples/shop.order.placed.v3/new.json", b"{}\n");
    assert_eq!(differences(&list, &files), [Difference::Unlisted(line.clone())]);
    assert_eq!(differences(&format!("{list}{line}\n"), &files), []);
}

#[test]
fn the_check_sees_lines_that_hold_nothing() {
    let (list, files) = published();
    let first = list.lines().next().unwrap();
    for line in [first, "not a line", ""] {
        let wrong = [Difference::WrongLine(line.to_owned())];
        assert_eq!(differences(&format!("{list}{line}\n"), &files), wrong);
    }
}
