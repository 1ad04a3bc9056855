//! What a domain writes of its events and rejections is which there are; what follows from that is written here.
//!
//! `daybook-event` hands the derives on, beside the traits that they implement. Nothing here is part of a running program,
//! and nothing here knows a domain. Whatever contradicts itself is refused while it is compiled, at the place that is wrong.

mod event;
mod fields;
mod paths;
mod refused;
mod rejection;
mod sum;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use refused::Refused;

/// The events of one topic, or any event of several: implements `EventData` and `Event` for an enum. `daybook_event::Event` says
/// how it is written.
#[proc_macro_derive(Event, attributes(event, upcast, key))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expanded(event::expand(&input))
}

/// The fields of an event, or of a value in one, as a JSON object: implements `Serialize`, `Deserialize` and canonical reading,
/// and `Keyed` if a field is the `#[key]`.
///
/// Every field is written, in the order of the struct, and must be there to be read; a field that may be missing in an older
/// version is what upcasts are for. A value that is no value is null: `Option` is written so, and must be there as well.
#[proc_macro_derive(Fields, attributes(key))]
pub fn derive_fields(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expanded(fields::expand(&input))
}

/// What the body of a request has: implements `Deserialize` for a struct. A body with a field that it does not have is refused; a
/// field whose type is an `Option` may be left out, and all others must be there.
#[proc_macro_derive(Body)]
pub fn derive_body(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expanded(fields::expand_body(&input))
}

/// Why commands are refused, each with the problem that HTTP shows: implements `Rejection` for an enum. `daybook_event::Rejection`
/// says how it is written.
#[proc_macro_derive(Rejection, attributes(problem))]
pub fn derive_rejection(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expanded(rejection::expand(&input))
}

fn expanded(code: Result<proc_macro2::TokenStream, Refused>) -> TokenStream {
    code.unwrap_or_else(|refused| refused.into_error()).into()
}
