//! `#[derive(Rejection)]`: the problem of each variant.

use std::collections::BTreeMap;

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Data, DeriveInput, Expr, Fields, Ident, LitInt, LitStr, Token, Variant};

use crate::paths;
use crate::refused::Refused;

/// What `#[problem(…)]` says.
enum Problem {
    /// The one that the variant's field becomes.
    From,
    /// One of its own.
    Own(Own),
}

/// Status, slug and detail; another title than the slug's words; members.
struct Own {
    status: LitInt,
    slug: LitStr,
    detail: LitStr,
    title: Option<LitStr>,
    members: Vec<(Ident, Expr)>,
}

impl Parse for Problem {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(Ident) {
            let from: Ident = input.parse()?;
            return match from == "from" {
                true => Ok(Self::From),
                false => Err(syn::Error::new(from.span(), "expected a status, or `from`")),
            };
        }
        let status = input.parse()?;
        input.parse::<Token![,]>()?;
        let slug = input.parse()?;
        input.parse::<Token![,]>()?;
        let mut own = Own { status, slug, detail: input.parse()?, title: None, members: Vec::new() };
        while input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            let name = input.call(Ident::parse_any)?;
            input.parse::<Token![=]>()?;
            match name == "title" {
                true => own.title = Some(input.parse()?),
                false => own.members.push((name, input.parse()?)),
            }
        }
        Ok(Self::Own(own))
    }
}

/// Implements `From<…> for Problem`.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream, Refused> {
    let Data::Enum(of) = &input.data else {
        return Err(Refused::new(&input.ident, "rejections are an enum, with a variant for each reason"));
    };
    if !input.generics.params.is_empty() {
        return Err(Refused::new(&input.generics, "a rejection is the same for whatever was refused"));
    }
    let mut slugs = BTreeMap::new();
    let (mut arms, mut conversions) = (Vec::new(), Vec::new());
    for variant in &of.variants {
        match problem_of(variant)? {
            Problem::From => {
                let (arm, conversion) = taken_over(&input.ident, variant)?;
                arms.push(arm);
                conversions.push(conversion);
            }
            Problem::Own(own) => {
                check(&own)?;
                if let Some(before) = slugs.insert(own.slug.value(), &variant.ident) {
                    let sentence =
                        format!("`{before}` has this slug already, and clients tell problems apart by it");
                    return Err(Refused::new(&own.slug, sentence));
                }
                arms.push(of_its_own(&input.ident, variant, &own));
            }
        }
    }
    let (problem, this) = (paths::problem(), &input.ident);
    Ok(quote! {
        #[automatically_derived]
        impl ::core::convert::From<#this> for #problem {
            fn from(rejection: #this) -> Self {
                match rejection { #(#arms)* }
            }
        }
        #(#conversions)*
    })
}

fn problem_of(variant: &Variant) -> Result<Problem, Refused> {
    let mut named = variant.attrs.iter().filter(|attribute| attribute.path().is_ident("problem"));
    let attribute: &Attribute = named.next().ok_or_else(|| {
        let sentence =
            "its problem is missing: `#[problem(<status>, \"<slug>\", \"<detail>\")]`, or `#[problem(from)]`";
        Refused::new(&variant.ident, sentence)
    })?;
    match named.next() {
        Some(second) => Err(Refused::new(second, "a rejection is one problem")),
        None => Ok(attribute.parse_args()?),
    }
}

fn check(own: &Own) -> Result<(), Refused> {
    if !own.status.base10_parse().is_ok_and(|status: u16| (400..=599).contains(&status)) {
        return Err(Refused::new(&own.status, "the status of a problem is from 400 to 599"));
    }
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !own.slug.value().split('-').all(|word| !word.is_empty() && word.chars().all(is_plain)) {
        return Err(Refused::new(
            &own.slug,
            "a slug is words of small letters and digits, with hyphens between them",
        ));
    }
    match own
        .members
        .iter()
        .find(|(name, _)| ["type", "status", "detail", "instance"].iter().any(|of| name == of))
    {
        Some((name, _)) => Err(Refused::new(name, "every problem has a member of this name already")),
        None => Ok(()),
    }
}

/// The arm of a variant with one field that becomes a problem, and how the field becomes the variant.
fn taken_over(this: &Ident, variant: &Variant) -> Result<(TokenStream, TokenStream), Refused> {
    let ident = &variant.ident;
    let Fields::Unnamed(fields) = &variant.fields else { return Err(no_field(ident)) };
    let (Some(field), 1) = (fields.unnamed.first(), fields.unnamed.len()) else {
        return Err(no_field(ident));
    };
    let of = &field.ty;
    let arm = quote!(#this::#ident(of) => ::core::convert::Into::into(of),);
    let conversion = quote! {
        #[automatically_derived]
        impl ::core::convert::From<#of> for #this {
            fn from(of: #of) -> Self {
                Self::#ident(of)
            }
        }
    };
    Ok((arm, conversion))
}

fn no_field(variant: &Ident) -> Refused {
    Refused::new(
        variant,
        "`#[problem(from)]` takes the problem of the one field, and this variant has not one",
    )
}

/// The arm of a variant whose problem is its own; its fields are in scope by name, or as `_0`, `_1` and so on.
fn of_its_own(this: &Ident, variant: &Variant, own: &Own) -> TokenStream {
    let ident = &variant.ident;
    let pattern = match &variant.fields {
        Fields::Unit => quote!(),
        Fields::Named(fields) => {
            let fields = fields.named.iter().map(|field| &field.ident);
            quote!({ #(#fields),* })
        }
        Fields::Unnamed(fields) => {
            let fields = (0..fields.unnamed.len()).map(|index| format_ident!("_{index}"));
            quote!((#(#fields),*))
        }
    };
    let (new, Own { status, slug, detail, .. }) = (paths::new_problem(), own);
    let title = own.title.as_ref().map_or_else(|| in_words(&slug.value()), LitStr::value);
    let members = own.members.iter().map(|(name, value)| {
        let name = name.to_string();
        quote!(.with(#name, #value))
    });
    // A rejection need not show all that it knows.
    quote! {
        #[allow(unused_variables)]
        #this::#ident #pattern => #new(#status, #slug, #title, ::std::format!(#detail))#(#members)*,
    }
}

/// `product-unknown` is `Product unknown`.
fn in_words(slug: &str) -> String {
    let words = slug.replace('-', " ");
    let (first, rest) = words.split_at(words.chars().next().map_or(0, char::len_utf8));
    first.to_uppercase() + rest
}
