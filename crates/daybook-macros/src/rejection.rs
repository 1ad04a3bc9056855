//! `#[derive(Rejection)]`: the problem of each variant.

use std::collections::BTreeMap;

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::{
    Data, DeriveInput, Expr, Fields, Ident, Lit, LitInt, LitStr, Meta, MetaNameValue, Path, Token, Variant,
};

use crate::paths;
use crate::refused::Refused;

/// What `#[problem(…)]` says.
enum Problem {
    /// The one that the variant's field becomes.
    From,
    /// One of its own.
    Own(Own),
}

/// A kind, a detail, members.
struct Own {
    kind: Kind,
    detail: LitStr,
    members: Vec<(Ident, Expr)>,
}

/// Of which kind a problem is.
enum Kind {
    /// A constant says it.
    Constant(Path),
    /// These do, with another title than the slug's words if there is one.
    Literal { status: LitInt, slug: LitStr, title: Option<LitStr> },
}

impl Parse for Problem {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut kind = if input.peek(LitInt) {
            let status = input.parse()?;
            input.parse::<Token![,]>()?;
            Kind::Literal { status, slug: input.parse()?, title: None }
        } else {
            let path: Path = input.parse()?;
            if path.is_ident("from") {
                return Ok(Self::From);
            }
            Kind::Constant(path)
        };
        input.parse::<Token![,]>()?;
        let (detail, mut members) = (input.parse()?, Vec::new());
        while input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            let name = input.call(Ident::parse_any)?;
            input.parse::<Token![=]>()?;
            match &mut kind {
                Kind::Literal { title, .. } if name == "title" => *title = Some(input.parse()?),
                _ => members.push((name, input.parse()?)),
            }
        }
        Ok(Self::Own(Own { kind, detail, members }))
    }
}

/// Implements `Rejection`, and with it `From<…> for Problem`.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream, Refused> {
    let Data::Enum(of) = &input.data else {
        return Err(Refused::new(&input.ident, "rejections are an enum, with a variant for each reason"));
    };
    if !input.generics.params.is_empty() {
        return Err(Refused::new(&input.generics, "a rejection is the same for whatever was refused"));
    }
    let (mut names, mut kinds) = (BTreeMap::new(), Vec::new());
    let (mut arms, mut conversions) = (Vec::new(), Vec::new());
    for variant in &of.variants {
        match problem_of(variant)? {
            Problem::From => {
                let (arm, conversion) = taken_over(&input.ident, variant)?;
                arms.push(arm);
                conversions.push(conversion);
            }
            Problem::Own(own) => {
                own.check()?;
                let (name, at) = own.kind.name();
                if let Some(before) = names.insert(name, &variant.ident) {
                    let sentence =
                        format!("`{before}` is of this kind already, and clients tell problems apart by it");
                    return Err(Refused::new(&at, sentence));
                }
                kinds.push(own.kind.code(variant));
                arms.push(own.arm(&input.ident, variant));
            }
        }
    }
    let (event, this) = (paths::event(), &input.ident);
    Ok(quote! {
        #[automatically_derived]
        impl ::core::convert::From<#this> for #event::problem::Problem {
            fn from(rejection: #this) -> Self {
                match rejection { #(#arms)* }
            }
        }

        #[automatically_derived]
        impl #event::Rejection for #this {
            const PROBLEMS: &'static [#event::problem::ProblemType] = &[#(#kinds),*];
        }
        #(#conversions)*
    })
}

fn problem_of(variant: &Variant) -> Result<Problem, Refused> {
    let mut named = variant.attrs.iter().filter(|attribute| attribute.path().is_ident("problem"));
    let first = named.next().ok_or_else(|| {
        let sentence =
            "its problem is missing: `#[problem(<status>, \"<slug>\", \"<detail>\")]`, or `#[problem(from)]`";
        Refused::new(&variant.ident, sentence)
    })?;
    match named.next() {
        Some(second) => Err(Refused::new(second, "a rejection is one problem")),
        None => Ok(first.parse_args()?),
    }
}

/// The arm of a variant with one field that becomes a problem, and how the field becomes the variant.
fn taken_over(this: &Ident, variant: &Variant) -> Result<(TokenStream, TokenStream), Refused> {
    let ident = &variant.ident;
    let of = match &variant.fields {
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => &fields.unnamed[0].ty,
        _ => {
            let sentence = "`#[problem(from)]` takes the problem of the one field, and this variant does not have exactly one";
            return Err(Refused::new(ident, sentence));
        }
    };
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

impl Own {
    fn check(&self) -> Result<(), Refused> {
        if let Kind::Literal { status, slug, .. } = &self.kind {
            if !status.base10_parse().is_ok_and(|status: u16| (400..=599).contains(&status)) {
                return Err(Refused::new(status, "the status of a problem is from 400 to 599"));
            }
            let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            if !slug.value().split('-').all(|word| !word.is_empty() && word.chars().all(is_plain)) {
                let sentence = "a slug is words of small letters and digits, with hyphens between them";
                return Err(Refused::new(slug, sentence));
            }
        }
        let of_every = |name: &Ident| {
            ["type", "title", "status", "detail", "instance"].iter().any(|member| name == member)
        };
        match self.members.iter().find(|(name, _)| of_every(name)) {
            Some((name, _)) => Err(Refused::new(name, "every problem has a member of this name already")),
            None => Ok(()),
        }
    }

    /// The arm of a variant; its fields are in scope by name, or as `_0`, `_1` and so on.
    fn arm(&self, this: &Ident, variant: &Variant) -> TokenStream {
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
        let (kind, detail) = (self.kind.code(variant), &self.detail);
        let problem = paths::problem_of(&kind, &quote!(::std::format!(#detail)));
        let members = self.members.iter().map(|(name, value)| {
            let name = name.to_string();
            quote!(.with(#name, #value))
        });
        // A rejection need not show all that it knows.
        quote! {
            #[allow(unused_variables)]
            #this::#ident #pattern => #problem #(#members)*,
        }
    }
}

impl Kind {
    /// What no other variant may have, and the tokens to blame where one has it.
    fn name(&self) -> (String, TokenStream) {
        match self {
            Self::Constant(path) => (path.to_token_stream().to_string(), path.to_token_stream()),
            Self::Literal { slug, .. } => (slug.value(), slug.to_token_stream()),
        }
    }

    /// An expression of it. What it means is what the variant's documentation says.
    fn code(&self, variant: &Variant) -> TokenStream {
        match self {
            Self::Constant(path) => path.to_token_stream(),
            Self::Literal { status, slug, title } => {
                let title = title.as_ref().map_or_else(|| in_words(&slug.value()), LitStr::value);
                let (event, meaning) = (paths::event(), documentation(variant));
                quote!(#event::problem::ProblemType {
                    slug: #slug, status: #status, title: #title, meaning: #meaning
                })
            }
        }
    }
}

/// `product-unknown` is `Product unknown`.
fn in_words(slug: &str) -> String {
    let words = slug.replace('-', " ");
    let (first, rest) = words.split_at(words.chars().next().map_or(0, char::len_utf8));
    first.to_uppercase() + rest
}

/// The text of a variant's documentation.
fn documentation(variant: &Variant) -> String {
    let lines = variant.attrs.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(MetaNameValue { path, value: Expr::Lit(text), .. }) if path.is_ident("doc") => {
            match &text.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            }
        }
        _ => None,
    });
    lines.collect::<Vec<_>>().join(" ")
}
