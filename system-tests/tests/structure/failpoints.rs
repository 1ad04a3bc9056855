//! What a service can be made to do wrong is what the campaign tries.

use std::collections::BTreeSet;

use crate::tree::Tree;

/// Where the campaign says what it tries.
const TRIED: &str = "system-tests/src/bin/campaign/sabotage.rs";

/// Failpoints that the campaign does not try, and tried ones that are nowhere.
pub(crate) fn untried(tree: &Tree) -> Vec<String> {
    let sources = tree.sources().filter(|(path, _)| !path.starts_with("system-tests/"));
    let there: BTreeSet<_> = sources.flat_map(|(_, code)| quoted_after(code, "fires(\"")).collect();
    let table = tree.files.get(TRIED).map_or("", String::as_str);
    // Each stands as `("name", "actions")`.
    let pairs = quoted_after(table, "(\"").filter(|name| table.contains(&format!("(\"{name}\", \"")));
    let tried: BTreeSet<_> = pairs.collect();
    let untried = there.difference(&tried).map(|name| format!("{TRIED} does not try the failpoint `{name}`"));
    let gone = tried.difference(&there).map(|name| format!("{TRIED} tries `{name}`, which is no failpoint"));
    untried.chain(gone).collect()
}

fn quoted_after<'c>(code: &'c str, before: &'c str) -> impl Iterator<Item = &'c str> {
    code.split(before).skip(1).filter_map(|rest| rest.split('"').next())
}

#[test]
fn a_failpoint_that_is_not_tried_is_seen() {
    let table = (TRIED, "    sabotage((\"drop-row\", \"return\"), ORDERS, 1, &[]),");
    let relay = ("crates/daybook-command/src/outbox/relay.rs", "if fires(\"drop-row\") {}");
    assert!(untried(&Tree::made_of(&[table, relay])).is_empty());
    let index = ("crates/daybook-command/src/store/index.rs", "if fires(\"forget-key\") {}");
    let said = format!("{TRIED} does not try the failpoint `forget-key`");
    assert_eq!(untried(&Tree::made_of(&[table, relay, index])), [said]);
    assert_eq!(
        untried(&Tree::made_of(&[table])),
        [format!("{TRIED} tries `drop-row`, which is no failpoint")]
    );
}
