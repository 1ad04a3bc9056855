//! `#[derive(Event)]` of an enum whose variants are enums of events: any event of several topics.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DataEnum, Fields, Ident, Type};

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
    let (event, option, result) =
        (paths::event(), quote!(::core::option::Option), quote!(::core::result::Result));
    let [topics, prefixes, newest] = ["TOPICS", "PREFIXES", "NEWEST"].map(|name| all_of(name, &types));
    Ok(quote! {
        #[automatically_derived]
        impl #event::EventData for #this {
            fn event_type(&self) -> &'static str {
                match self { #(Self::#idents(of) => <#types as #event::EventData>::event_type(of),)* }
            }

            fn to_data(&self) -> #result<
                ::std::boxed::Box<#event::derived::RawValue>, #event::derived::serde_json::Error
            > {
                match self { #(Self::#idents(of) => <#types as #event::EventData>::to_data(of),)* }
            }

            fn from_data(event_type: &str, data: &#event::derived::RawValue)
                -> #result<Self, #event::event_data::DataError>
            {
                #(if <#types as #event::Event>::is_named(event_type) {
                    return <#types as #event::EventData>::from_data(event_type, data).map(Self::#idents);
                })*
                #result::Err(#event::event_data::unknown_type(event_type, &[]))
            }

            #[inline]
            fn read_canonical(event_type: &str, data: &[u8]) -> #option<Self> {
                #(if <#types as #event::Event>::is_named(event_type) {
                    return <#types as #event::EventData>::read_canonical(event_type, data).map(Self::#idents);
                })*
                #option::None
            }
        }

        #[automatically_derived]
        impl #event::Event for #this {
            const TOPICS: &'static [#event::Topic] = #topics;
            const PREFIXES: &'static [&'static str] = #prefixes;
            const NEWEST: &'static [&'static str] = #newest;

            fn key(&self) -> #event::derived::Uuid {
                match self { #(Self::#idents(of) => <#types as #event::Event>::key(of),)* }
            }
        }

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
    let (event, name) = (paths::event(), Ident::new(name, proc_macro2::Span::call_site()));
    quote! {
        &#event::derived::joined::<_, { 0 #(+ <#types as #event::Event>::#name.len())* }>(
            &[#(<#types as #event::Event>::#name),*]
        )
    }
}

fn is_no_event(attribute: &syn::Attribute) -> bool {
    !attribute.path().is_ident("event")
}
