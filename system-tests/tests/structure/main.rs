//! The shape of the repository, held by a program: arrows between crates, who imports what, and that documents name
//! only what exists. Every rule is a pure function over a [`tree::Tree`], and beside each stands a tree that breaks it.
// Helpers outside of `#[test]` functions fail a test by panicking as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod documents;
mod imports;
mod layers;
mod tree;

use tree::Tree;

#[test]
fn crates_depend_only_along_the_arrows() {
    tree::assert_kept(&layers::violations(&layers::workspace_dependencies()));
}

#[test]
fn no_crate_builds_sabotage_unless_it_is_asked_to() {
    tree::assert_kept(&layers::sabotage_unasked(&layers::manifests()));
}

#[test]
fn sled_is_imported_by_one_file_on_each_side() {
    tree::assert_kept(&imports::sled(&Tree::of_repository()));
}

#[test]
fn rdkafka_is_imported_by_event_log_alone() {
    tree::assert_kept(&imports::rdkafka(&Tree::of_repository()));
}

#[test]
fn the_kernel_does_not_know_the_shop() {
    tree::assert_kept(&imports::kernel(&Tree::of_repository()));
}

#[test]
fn the_write_side_and_the_read_side_meet_only_in_kafka() {
    tree::assert_kept(&imports::sides(&Tree::of_repository()));
}

#[test]
fn documents_name_only_paths_that_exist() {
    tree::assert_kept(&documents::missing_paths(&Tree::of_repository()));
}

#[test]
fn the_invariants_name_only_tests_that_exist() {
    tree::assert_kept(&documents::missing_tests(&Tree::of_repository()));
}

#[test]
fn the_code_map_names_every_source_file() {
    tree::assert_kept(&documents::unmapped_files(&Tree::of_repository()));
}
