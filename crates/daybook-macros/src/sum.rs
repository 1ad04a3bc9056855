//! `#[derive(Event)]` of an enum whose variants are enums of events: any event of several topics.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{DataEnum, Fields, Ident, Type};

use crate::event::code::{Parts, implement};
use crate::paths;
use crate::refused::Refused;

/// Implements `EventData` and `Event` for `this`.
pub(crate) fn expand(this: &Ident, of: &DataEnum) -> Result<TokenStream, Refused> {
    let variants = of.variants.iter().map(|variant| match &variant.fields {
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 && variant.attrs.iter().all(is_no_event) => {
            Some((&variant.ident, &fields.unnamed[0].ty))
        }
        _ => None,
    });
    let variants = variants.collect::<Option<Vec<_>>>().filter(|variants| !variants.is_empty());
    let (idents, types): (Vec<&Ident>, Vec<&Type>) = variants
        .ok_or_else(|| {
            let sentence = "where its events are is missing: `#[event(service = …, topic = …, prefix = …)]`; \
                 only an enum of enums of events does without";
            Refused::new(this, sentence)
        })?
        .into_iter()
        .unzip();
    let event = paths::event();
    let of = |name: &str| Ident::new(name, Span::call_site());
    let arms = |of_trait: &str, method: &str| {
        let (of_trait, method) = (of(of_trait), of(method));
        quote!(#(Self::#idents(of) => <#types as #event::#of_trait>::#method(of),)*)
    };
    // Each enum reads the types that are named as its own.
    let reads = |method: &str| {
        let method = of(method);
        quote!(#(if <#types as #event::Event>::is_named(event_type) {
            return <#types as #event::EventData>::#method(event_type, data).map(Self::#idents);
        })*)
    };
    let (read, canonical) = (reads("from_data"), reads("read_canonical"));
    let parts = Parts {
        types: arms("EventData", "event_type"),
        written: arms("EventData", "to_data"),
        keys: arms("Event", "key"),
        read: quote!(#read ::core::result::Result::Err(#event::event_data::unknown_type(event_type, &[]))),
        canonical: quote!(#canonical ::core::option::Option::None),
        topics: all_of("TOPICS", &types),
        prefixes: all_of("PREFIXES", &types),
        newest: all_of("NEWEST", &types),
    };
    let implemented = implement(this, &parts);
    Ok(quote! {
        #implemented

        const _: () = {
            assert!(
                #event::derived::are_apart(<#this as #event::Event>::PREFIXES),
                "the prefix of one of these enums begins with that of another: a type name could be of either"
            );
        };
    })
}

/// What all enums have of this constant, one after the other.
fn all_of(name: &str, types: &[&Type]) -> TokenStream {
    let (event, name) = (paths::event(), Ident::new(name, Span::call_site()));
    quote! {
        &#event::derived::joined::<_, { 0 #(+ <#types as #event::Event>::#name.len())* }>(
            &[#(<#types as #event::Event>::#name),*]
        )
    }
}

fn is_no_event(attribute: &syn::Attribute) -> bool {
    !attribute.path().is_ident("event")
}
