//! Natural keys are the ids that they have always been.

use daybook_event::natural_key;

/// As another implementation of version 5, Python's `uuid`, makes them.
const KEYS: [(&str, &str, &str); 5] = [
    ("account", "DE89370400440532013000", "a7d111a0-a5e0-5dbe-8e53-2621165344c4"),
    ("account", "", "106e7830-64b1-5d3a-8f9a-caeb09855f80"),
    ("", "account", "934e07a9-7bbd-5b58-b992-dd85d0f21da4"),
    ("isbn", "978-0-201-89685-5", "b3c1c150-eb62-5d90-9405-abc1a5b8dec0"),
    ("Stadt", "Köln", "c32eb1f8-84de-5bf1-b6fc-f832a8782ca3"),
];

#[test]
fn a_natural_key_is_one_id_for_ever() {
    for (kind, key, id) in KEYS {
        assert_eq!(natural_key(kind, key).to_string(), id, "{kind} {key}");
    }
}
