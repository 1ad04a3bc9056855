//! Named fields: how they are written, read, and read in canonical form. Those of a struct, and those of an event's variant.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Data, DeriveInput, Fields, FieldsNamed, Ident, LitByteStr, LitStr, Type};

use crate::paths;
use crate::refused::Refused;

/// Fields in the order in which they are written.
pub(crate) struct NamedFields<'i> {
    /// What the data is called where it does not fit.
    name: String,
    fields: Vec<(&'i Ident, &'i Type)>,
    /// The one with `#[key]`.
    key: Option<(&'i Ident, &'i Type)>,
}

impl<'i> NamedFields<'i> {
    pub(crate) fn of(name: &Ident, named: &'i FieldsNamed) -> Result<Self, Refused> {
        let mut fields = Self { name: name.unraw().to_string(), fields: Vec::new(), key: None };
        for field in &named.named {
            let Some(ident) = &field.ident else { continue };
            if let Some(serde) = field.attrs.iter().find(|attribute| attribute.path().is_ident("serde")) {
                let sentence = "a field of an event is written under its own name and must be there to be read; \
                     what an older version lacks an `#[upcast]` fills in";
                return Err(Refused::new(serde, sentence));
            }
            fields.fields.push((ident, &field.ty));
            let Some(key) = field.attrs.iter().find(|attribute| attribute.path().is_ident("key")) else {
                continue;
            };
            if fields.key.replace((ident, &field.ty)).is_some() {
                return Err(Refused::new(
                    key,
                    "an event has one key, and another field has `#[key]` already",
                ));
            }
        }
        Ok(fields)
    }

    /// With the field of this name as key, unless another one says that it is.
    pub(crate) fn keyed_by(mut self, name: Option<&Ident>) -> Self {
        let named = self.fields.iter().find(|(ident, _)| Some(*ident) == name);
        self.key = self.key.or(named.copied());
        self
    }

    /// A pattern that has the key, and an expression of it, a UUID.
    pub(crate) fn key(&self) -> Option<(TokenStream, TokenStream)> {
        let event = paths::event();
        // What is wrong with a key is its type.
        let expression = |key, is: &Type| quote_spanned!(is.span()=> #event::derived::key(#key));
        self.key.map(|(key, is)| (quote!({ #key, .. }), expression(key, is)))
    }

    /// A pattern that has all fields.
    pub(crate) fn pattern(&self) -> TokenStream {
        let idents = self.idents();
        quote!({ #(#idents),* })
    }

    /// A type `Written` of references to the fields.
    pub(crate) fn written(&self) -> TokenStream {
        let (serde, serde_path, name) = self.serde();
        let fields = self.fields.iter().map(|(ident, is)| quote!(#ident: &'event #is));
        // A struct without fields has no reference that would use the lifetime.
        let lifetime = (!self.fields.is_empty()).then(|| quote!(<'event>));
        quote! {
            #[derive(#serde::Serialize)]
            #[serde(crate = #serde_path, rename = #name)]
            struct Written #lifetime { #(#fields),* }
        }
    }

    /// A type `Read` of the fields.
    pub(crate) fn read(&self) -> TokenStream {
        let (serde, serde_path, name) = self.serde();
        let present = path_text(&quote!(derived::present));
        // Without this a missing field whose type is an option would be none.
        let fields =
            self.fields.iter().map(|(ident, is)| quote!(#[serde(deserialize_with = #present)] #ident: #is));
        quote! {
            #[derive(#serde::Deserialize)]
            #[serde(crate = #serde_path, rename = #name)]
            struct Read { #(#fields),* }
        }
    }

    /// Statements that read all fields from the cursor [`variable`]`("at")` into variables of their names.
    pub(crate) fn canonical(&self) -> TokenStream {
        let (event, at) = (paths::event(), variable("at"));
        let reads = self.fields.iter().enumerate().map(|(index, (ident, is))| {
            let opening = if index == 0 { '{' } else { ',' };
            let before = bytes(&format!("{opening}\"{}\":", ident.unraw()));
            quote! {
                #event::canonical::Cursor::expect(#at, #before)?;
                let #ident = #event::derived::Canonical::<#is>::read(#at)?;
            }
        });
        let end = bytes(if self.fields.is_empty() { "{}" } else { "}" });
        quote! { #(#reads)* #event::canonical::Cursor::expect(#at, #end)?; }
    }

    fn idents(&self) -> impl Iterator<Item = &'i Ident> {
        self.fields.iter().map(|(ident, _)| *ident)
    }

    fn serde(&self) -> (TokenStream, LitStr, &str) {
        let event = paths::event();
        (quote!(#event::derived::serde), path_text(&quote!(derived::serde)), &self.name)
    }
}

/// A variable beside the fields, none of which it is, whatever their names.
pub(crate) fn variable(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

fn bytes(text: &str) -> LitByteStr {
    LitByteStr::new(text.as_bytes(), Span::call_site())
}

/// A path of the kernel as serde's attributes want it.
fn path_text(path: &TokenStream) -> LitStr {
    let event = paths::event();
    let text = quote!(#event::#path).to_string().replace(' ', "");
    LitStr::new(&text, Span::call_site())
}

fn fields_of(input: &DeriveInput) -> Result<NamedFields<'_>, Refused> {
    let named = match &input.data {
        Data::Struct(of) => &of.fields,
        Data::Enum(_) | Data::Union(_) => return Err(no_struct(input)),
    };
    let Fields::Named(named) = named else { return Err(no_struct(input)) };
    if !input.generics.params.is_empty() {
        return Err(Refused::new(&input.generics, "fields have the types that they have on the wire"));
    }
    NamedFields::of(&input.ident, named)
}

/// What `#[derive(Body)]` writes.
pub(crate) fn expand_body(input: &DeriveInput) -> Result<TokenStream, Refused> {
    let fields = fields_of(input)?;
    let (serde, serde_path, name) = fields.serde();
    let (this, pattern) = (&input.ident, fields.pattern());
    let members = fields.fields.iter().map(|(ident, is)| quote!(#ident: #is));
    Ok(quote! {
        #[automatically_derived]
        impl<'de> #serde::Deserialize<'de> for #this {
            fn deserialize<D: #serde::Deserializer<'de>>(from: D) -> ::core::result::Result<Self, D::Error> {
                #[derive(#serde::Deserialize)]
                #[serde(crate = #serde_path, rename = #name, deny_unknown_fields)]
                struct Read { #(#members),* }
                let Read #pattern = #serde::Deserialize::deserialize(from)?;
                ::core::result::Result::Ok(Self #pattern)
            }
        }
    })
}

/// What `#[derive(Fields)]` writes.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream, Refused> {
    let fields = fields_of(input)?;
    let (event, this) = (paths::event(), &input.ident);
    let (written, read, canonical) = (fields.written(), fields.read(), fields.canonical());
    let (pattern, serde) = (fields.pattern(), quote!(#event::derived::serde));
    let [at, to] = ["at", "to"].map(variable);
    let keyed = fields.key().map(|(pattern, key)| {
        quote! {
            #[automatically_derived]
            impl #event::Keyed for #this {
                fn key(&self) -> #event::derived::Uuid {
                    let Self #pattern = self;
                    #key
                }
            }
        }
    });
    Ok(quote! {
        #[automatically_derived]
        impl #serde::Serialize for #this {
            fn serialize<S: #serde::Serializer>(&self, #to: S) -> ::core::result::Result<S::Ok, S::Error> {
                #written
                let Self #pattern = self;
                #serde::Serialize::serialize(&Written #pattern, #to)
            }
        }

        #[automatically_derived]
        impl<'de> #serde::Deserialize<'de> for #this {
            fn deserialize<D: #serde::Deserializer<'de>>(from: D) -> ::core::result::Result<Self, D::Error> {
                #read
                let Read #pattern = #serde::Deserialize::deserialize(from)?;
                ::core::result::Result::Ok(Self #pattern)
            }
        }

        #[automatically_derived]
        impl #event::canonical::Value for #this {
            #[inline(always)]
            fn read(#at: &mut #event::canonical::Cursor<'_>) -> ::core::option::Option<Self> {
                #[allow(unused_imports)]
                use #event::derived::AnyForm as _;
                #canonical
                ::core::option::Option::Some(Self #pattern)
            }
        }

        #keyed
    })
}

fn no_struct(input: &DeriveInput) -> Refused {
    Refused::new(&input.ident, "fields are a struct, each with a name")
}
