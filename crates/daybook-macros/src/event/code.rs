//! The code of `#[derive(Event)]` for the events of one topic.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Ident, LitStr};

use super::type_name::TypeName;
use super::{EventVariant, Shape, TopicEvents};
use crate::fields::variable;
use crate::paths;

/// What an implementation of `EventData` and `Event` is made of.
pub(crate) struct Parts {
    /// Arms of a match on the event.
    pub(crate) types: TokenStream,
    pub(crate) written: TokenStream,
    pub(crate) keys: TokenStream,
    /// Bodies that read the event of a type out of `data`.
    pub(crate) read: TokenStream,
    pub(crate) canonical: TokenStream,
    pub(crate) topics: TokenStream,
    pub(crate) prefixes: TokenStream,
    pub(crate) newest: TokenStream,
}

/// Implements `EventData` and `Event` for `this`.
pub(crate) fn implement(this: &Ident, parts: &Parts) -> TokenStream {
    let event = paths::event();
    let Parts { types, written, keys, read, canonical, topics, prefixes, newest } = parts;
    quote! {
        #[automatically_derived]
        impl #event::EventData for #this {
            fn event_type(&self) -> &'static str {
                match self { #types }
            }

            fn to_data(&self) -> ::core::result::Result<
                ::std::boxed::Box<#event::derived::RawValue>, #event::derived::serde_json::Error
            > {
                match self { #written }
            }

            fn from_data(event_type: &str, data: &#event::derived::RawValue)
                -> ::core::result::Result<Self, #event::event_data::DataError>
            {
                #read
            }

            #[inline]
            fn read_canonical(event_type: &str, data: &[u8]) -> ::core::option::Option<Self> {
                #canonical
            }
        }

        #[automatically_derived]
        impl #event::Event for #this {
            const TOPICS: &'static [#event::Topic] = #topics;
            const PREFIXES: &'static [&'static str] = #prefixes;
            const NEWEST: &'static [&'static str] = #newest;

            fn key(&self) -> #event::derived::Uuid {
                match self { #keys }
            }
        }
    }
}

/// The events of one topic.
pub(super) fn write(this: &Ident, events: &TopicEvents<'_>) -> TokenStream {
    let event = paths::event();
    let variants = || events.variants.iter();
    let (types, written) = (variants().map(|variant| event_type(events, variant)), variants().map(to_data));
    let read = variants().flat_map(|variant| from_data(events, variant));
    let canonical = variants().map(|variant| read_canonical(events, variant));
    let (keys, newest) = (variants().map(key), variants().map(|variant| full(events, &variant.newest)));
    let (at, TopicEvents { service, topic, prefix, .. }) = (variable("at"), events);
    let parts = Parts {
        types: quote!(#(#types)*),
        written: quote!(#(#written)*),
        keys: quote!(#(#keys)*),
        read: quote! {
            match event_type {
                #(#read)*
                _ => ::core::result::Result::Err(
                    #event::event_data::unknown_type(event_type, <Self as #event::Event>::NEWEST)
                ),
            }
        },
        canonical: quote! {
            #[allow(unused_imports)]
            use #event::derived::AnyForm as _;
            let #at = &mut #event::canonical::Cursor::new(data);
            let event = match event_type {
                #(#canonical)*
                _ => return ::core::option::Option::None,
            };
            #event::canonical::Cursor::end(#at, b"")?;
            ::core::option::Option::Some(event)
        },
        topics: quote!(&[#event::Topic { name: #topic, service: #service }]),
        prefixes: quote!(&[#prefix]),
        newest: quote!(&[#(#newest),*]),
    };
    implement(this, &parts)
}

/// The name of a type as it stands in an event.
fn full(events: &TopicEvents<'_>, name: &TypeName) -> LitStr {
    LitStr::new(&format!("{}{}", events.prefix.value(), name.literal.value()), name.literal.span())
}

fn event_type(events: &TopicEvents<'_>, variant: &EventVariant<'_>) -> TokenStream {
    let (ident, newest) = (variant.ident, full(events, &variant.newest));
    quote!(Self::#ident { .. } => #newest,)
}

fn to_data(variant: &EventVariant<'_>) -> TokenStream {
    let (event, ident) = (paths::event(), variant.ident);
    match &variant.shape {
        Shape::Of(_) => quote!(Self::#ident(of) => #event::derived::to_raw_value(of),),
        Shape::Own { fields, .. } => {
            let (pattern, written) = (fields.pattern(), fields.written());
            quote!(Self::#ident #pattern => { #written #event::derived::to_raw_value(&Written #pattern) })
        }
    }
}

/// One arm for each version.
fn from_data(events: &TopicEvents<'_>, variant: &EventVariant<'_>) -> Vec<TokenStream> {
    let (event, ident, newest) = (paths::event(), variant.ident, full(events, &variant.newest));
    let newest = match &variant.shape {
        Shape::Of(_) => quote! {
            #newest => #event::event_data::read_fields(event_type, data).map(Self::#ident),
        },
        Shape::Own { fields, .. } => {
            let (pattern, read) = (fields.pattern(), fields.read());
            quote!(#newest => {
                #read
                #event::event_data::read_fields(event_type, data).map(|Read #pattern| Self::#ident #pattern)
            })
        }
    };
    let older = variant.upcasts.iter().enumerate().map(|(index, upcast)| {
        let from = full(events, &upcast.from);
        let steps = variant.upcasts[index..].iter().map(|upcast| &upcast.with);
        // The last step makes the whole event where there is no type that it could make.
        let into_event = match &variant.shape {
            Shape::Of(_) => Some(quote!(.map(Self::#ident))),
            Shape::Own { .. } => None,
        };
        quote!(#from => #event::event_data::read_fields(event_type, data)#(.map(#steps))* #into_event,)
    });
    [newest].into_iter().chain(older).collect()
}

/// An expression of the event that the cursor reads.
fn read_canonical(events: &TopicEvents<'_>, variant: &EventVariant<'_>) -> TokenStream {
    let (event, ident, newest) = (paths::event(), variant.ident, full(events, &variant.newest));
    match &variant.shape {
        Shape::Of(is) => {
            let at = variable("at");
            quote!(#newest => Self::#ident(#event::derived::Canonical::<#is>::read(#at)?),)
        }
        Shape::Own { fields, .. } => {
            let (canonical, pattern) = (fields.canonical(), fields.pattern());
            quote!(#newest => { #canonical Self::#ident #pattern })
        }
    }
}

fn key(variant: &EventVariant<'_>) -> TokenStream {
    let (event, ident) = (paths::event(), variant.ident);
    match &variant.shape {
        Shape::Of(is) => quote!(Self::#ident(of) => <#is as #event::Keyed>::key(of),),
        Shape::Own { pattern, key, .. } => quote!(Self::#ident #pattern => #key,),
    }
}
