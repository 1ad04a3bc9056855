//! Links between documents: each leads to a file, and to a heading of it, and each document below `docs/` is linked to.

use crate::tree::Tree;

/// Documents there that no other one links to are never found.
const TO_BE_FOUND: &str = "docs/";

/// A link from one file of ours to another.
struct Link<'t> {
    document: &'t str,
    /// As it is written.
    written: &'t str,
    /// The file or folder, as a path from the root.
    path: String,
    /// The heading, as in an address.
    heading: Option<&'t str>,
}

/// Links that lead to no file, or to no heading of it.
pub(crate) fn broken(tree: &Tree) -> Vec<String> {
    let leads_nowhere = |link: &Link<'_>| match (tree.files.get(&link.path), link.heading) {
        (Some(text), Some(heading)) => !headings(text).any(|found| found == heading),
        (found, heading) => found.is_none() && (heading.is_some() || !tree.has(&link.path)),
    };
    let broken = links(tree).filter(leads_nowhere);
    broken
        .map(|Link { document, written, .. }| format!("{document} links to {written}, which is not there"))
        .collect()
}

/// Documents that are to be found and that no other document links to.
pub(crate) fn unreached(tree: &Tree) -> Vec<String> {
    let reached: Vec<_> =
        links(tree).filter(|link| link.path != link.document).map(|link| link.path).collect();
    let below = tree.documents().map(|(path, _)| path).filter(|path| path.starts_with(TO_BE_FOUND));
    let lost = below.filter(|path| !reached.iter().any(|reached| reached == path));
    lost.map(|path| format!("no document links to {path}")).collect()
}

fn links(tree: &Tree) -> impl Iterator<Item = Link<'_>> {
    tree.documents()
        .flat_map(|(document, text)| prose(text).flat_map(written).filter_map(move |w| link(document, w)))
}

/// `None` for what is not ours.
fn link<'t>(document: &'t str, written: &'t str) -> Option<Link<'t>> {
    let (path, heading) = match written.split_once('#') {
        Some((path, heading)) => (path, Some(heading)),
        None => (written, None),
    };
    let is_ours = !written.contains("://") && !written.starts_with("mailto:");
    let path = if path.is_empty() { document.to_owned() } else { beside(document, path) };
    is_ours.then_some(Link { document, written, path, heading })
}

/// A path that is relative to the folder of a document, from the root.
fn beside(document: &str, path: &str) -> String {
    let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// Targets of a line's links, outside of code.
fn written(line: &str) -> impl Iterator<Item = &str> {
    let outside_code = line.split('`').step_by(2);
    outside_code
        .flat_map(|text| text.split("](").skip(1))
        .filter_map(|rest| rest.split_once(')'))
        .map(|(to, _)| to)
}

/// Lines outside of fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let is_fence = line.starts_with("```");
        fenced ^= is_fence;
        !fenced && !is_fence
    })
}

/// Headings as they are written in an address.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let titles =
        prose(text).filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    titles.map(|title| {
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).flat_map(char::to_lowercase).collect()
    })
}

#[test]
fn a_link_that_leads_nowhere_is_seen() {
    let operations = ("docs/operations.md", "# Operations\n```\n# no heading\n```\n## Every bound: why?\n");
    let broken_in = |text: &str| broken(&Tree::made_of(&[operations, ("docs/testing.md", text)]));
    for sound in [
        "[bounds](operations.md#every-bound-why)",
        "[all](../docs/operations.md) of [it](./)",
        "[here](#here)\n# Here",
        "[elsewhere](https://example.org/nothing) and `[code](nothing.md)`",
        "```\n[code](nothing.md)\n```",
    ] {
        assert_eq!(broken_in(sound), Vec::<String>::new(), "{sound}");
    }
    for wrong in ["gone.md", "operations.md#no-heading", "docs/operations.md", "#there", "../docs/gone/"] {
        let said = format!("docs/testing.md links to {wrong}, which is not there");
        assert_eq!(broken_in(&format!("a [link]({wrong}).")), [said]);
    }
}

#[test]
fn a_document_that_nobody_finds_is_seen() {
    let tree =
        |readme: &str| Tree::made_of(&[("README.md", readme), ("docs/shop.md", "[itself](shop.md#top)")]);
    assert!(unreached(&tree("[shop](docs/shop.md#fields)")).is_empty());
    assert_eq!(unreached(&tree("`docs/shop.md`")), ["no document links to docs/shop.md"]);
}
