//! The shape of the repository, held by a program: arrows between crates, who imports what, which words are used, and that
//! documents name and link to only what exists. Every rule is a pure function over a [`tree::Tree`], and beside each stands
//! a tree that breaks it.
// Helpers outside of `#[test]` functions fail a test by panicking as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod documents;
mod failpoints;
mod imports;
mod layers;
mod links;
mod tree;
mod words;

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
fn sled_is_imported_by_one_file_of_the_whole_repository() {
    tree::assert_kept(&imports::sled(&Tree::of_repository()));
}

#[test]
fn rdkafka_is_imported_by_one_crate_alone() {
    tree::assert_kept(&imports::rdkafka(&Tree::of_repository()));
}

#[test]
fn the_campaign_tries_every_failpoint() {
    tree::assert_kept(&failpoints::untried(&Tree::of_repository()));
}

#[test]
fn documents_name_only_paths_that_exist() {
    tree::assert_kept(&documents::missing_paths(&Tree::of_repository()));
}

#[test]
fn documents_name_only_tests_that_exist() {
    tree::assert_kept(&documents::missing_tests(&Tree::of_repository()));
}

#[test]
fn every_guarantee_names_what_holds_it() {
    tree::assert_kept(&documents::without_test(&Tree::of_repository()));
}

#[test]
fn links_between_documents_lead_somewhere() {
    tree::assert_kept(&links::broken(&Tree::of_repository()));
}

#[test]
fn every_document_is_linked_to() {
    tree::assert_kept(&links::unreached(&Tree::of_repository()));
}

#[test]
fn documents_that_everybody_reads_stay_short() {
    tree::assert_kept(&documents::too_long(&Tree::of_repository()));
}

#[test]
fn texts_say_in_plain_english_what_readers_need() {
    tree::assert_kept(&words::private_words(&Tree::of_repository()));
}

#[test]
fn retired_names_do_not_come_back() {
    tree::assert_kept(&words::retired_names(&Tree::of_repository()));
}

#[test]
fn every_source_file_says_what_it_is_for() {
    tree::assert_kept(&documents::without_purpose(&Tree::of_repository()));
}
