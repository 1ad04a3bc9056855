//! Where generated code finds the kernel.

use std::env;
use std::fs;
use std::path::Path;

use proc_macro2::TokenStream;
use quote::quote;

/// The crate `daybook_event`: itself where the package that is compiled depends on it, else as the facade has it.
pub(crate) fn event() -> TokenStream {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map(|package| Path::new(&package).join("Cargo.toml"));
    let manifest = manifest.and_then(|path| fs::read_to_string(path).ok());
    match manifest.is_none_or(|manifest| manifest.contains("daybook-event")) {
        true => quote!(::daybook_event),
        false => quote!(::daybook::event),
    }
}

/// A problem of the kind that the expression `kind` is, with the expression `detail`.
pub(crate) fn problem_of(kind: &TokenStream, detail: &TokenStream) -> TokenStream {
    let event = event();
    quote!(#event::problem::Problem::of(&#kind, #detail))
}
