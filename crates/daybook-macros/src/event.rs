//! `#[derive(Event)]` of an enum whose variants are the events of one topic: what it says, and whether that fits together.

pub(crate) mod code;
mod type_name;

use std::collections::BTreeMap;

use proc_macro2::TokenStream;
use syn::{Attribute, Data, DataEnum, DeriveInput, Expr, Fields, Ident, LitStr, Path, Type, Variant};

use crate::fields::NamedFields;
use crate::refused::Refused;
use crate::sum;
use type_name::TypeName;

/// What `#[derive(Event)]` writes.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream, Refused> {
    let of = match &input.data {
        Data::Enum(of) if !of.variants.is_empty() => of,
        _ => {
            let sentence = "events are an enum, with a variant for each type of event";
            return Err(Refused::new(&input.ident, sentence));
        }
    };
    if !input.generics.params.is_empty() {
        return Err(Refused::new(&input.generics, "an event has the types that it has on the wire"));
    }
    match attribute(&input.attrs, "event")? {
        Some(topic) => Ok(code::write(&input.ident, &TopicEvents::of(topic, of)?)),
        None => sum::expand(&input.ident, of),
    }
}

/// The events of one topic.
struct TopicEvents<'i> {
    service: Expr,
    topic: Expr,
    prefix: LitStr,
    variants: Vec<EventVariant<'i>>,
}

/// One type of event.
struct EventVariant<'i> {
    ident: &'i Ident,
    /// The version that is written.
    newest: TypeName,
    /// One for each version before that, the first one first.
    upcasts: Vec<Upcast>,
    shape: Shape<'i>,
}

/// How one version is read.
struct Upcast {
    from: TypeName,
    /// Makes the next version of it.
    with: Path,
}

/// What the variant's fields are.
enum Shape<'i> {
    /// Those of one type.
    Of(&'i Type),
    /// Its own, one of which is the key.
    Own { fields: NamedFields<'i>, pattern: TokenStream, key: TokenStream },
}

impl<'i> TopicEvents<'i> {
    fn of(attribute: &Attribute, of: &'i DataEnum) -> Result<Self, Refused> {
        let (mut service, mut topic, mut prefix, mut key) = (None, None, None, None);
        attribute.parse_nested_meta(|meta| {
            let value = meta.value()?;
            match () {
                () if meta.path.is_ident("service") => service = Some(value.parse()?),
                () if meta.path.is_ident("topic") => topic = Some(value.parse()?),
                () if meta.path.is_ident("prefix") => prefix = Some(value.parse()?),
                () if meta.path.is_ident("key") => key = Some(value.parse()?),
                () => return Err(meta.error("expected `service`, `topic`, `prefix` or `key`")),
            }
            Ok(())
        })?;
        let missing = |what: &str| {
            let sentence = format!("`{what} = …` is missing: `#[event(service = …, topic = …, prefix = …)]`");
            Refused::new(attribute, sentence)
        };
        let events = Self {
            service: service.ok_or_else(|| missing("service"))?,
            topic: topic.ok_or_else(|| missing("topic"))?,
            prefix: prefix.ok_or_else(|| missing("prefix"))?,
            variants: of
                .variants
                .iter()
                .map(|variant| EventVariant::of(variant, key.as_ref()))
                .collect::<Result<_, _>>()?,
        };
        type_name::check_prefix(&events.prefix)?;
        events.check_names()?;
        Ok(events)
    }

    /// Whether every name is of one type, and every type of one variant.
    fn check_names(&self) -> Result<(), Refused> {
        let mut stems = BTreeMap::new();
        for variant in &self.variants {
            let newest = &variant.newest;
            if let Some(before) = stems.insert(newest.stem.as_str(), variant.ident) {
                let sentence = format!(
                    "`{before}` has the type `{}` already: versions of one type are one variant, the older ones read by `#[upcast]`",
                    newest.stem
                );
                return Err(Refused::new(&newest.literal, sentence));
            }
        }
        Ok(())
    }
}

impl<'i> EventVariant<'i> {
    /// `key` is what the key of all events is called, if all say the same.
    fn of(variant: &'i Variant, key: Option<&Ident>) -> Result<Self, Refused> {
        let Some(name) = attribute(&variant.attrs, "event")? else {
            let sentence = "its type and version are missing, such as `#[event(\"opened.v1\")]`";
            return Err(Refused::new(&variant.ident, sentence));
        };
        let newest = TypeName::of(name.parse_args()?)?;
        let upcasts = variant.attrs.iter().filter(|attribute| attribute.path().is_ident("upcast"));
        let upcasts = upcasts.map(Upcast::of).collect::<Result<_, _>>()?;
        let upcasts = in_order(&newest, upcasts)?;
        Ok(Self { ident: &variant.ident, newest, upcasts, shape: Shape::of(variant, key)? })
    }
}

impl Upcast {
    fn of(attribute: &Attribute) -> Result<Self, Refused> {
        let (mut from, mut with) = (None, None);
        attribute.parse_nested_meta(|meta| {
            let value = meta.value()?;
            match () {
                () if meta.path.is_ident("from") => from = Some(value.parse()?),
                () if meta.path.is_ident("with") => with = Some(value.parse()?),
                () => return Err(meta.error("expected `from` or `with`")),
            }
            Ok(())
        })?;
        let (Some(from), Some(with)) = (from, with) else {
            return Err(Refused::new(
                attribute,
                "an upcast says `from = \"<older type>\", with = <function>`",
            ));
        };
        Ok(Self { from: TypeName::of(from)?, with })
    }
}

/// The upcasts from version 1 on: each version before the newest has one, and nothing else has.
fn in_order(newest: &TypeName, mut upcasts: Vec<Upcast>) -> Result<Vec<Upcast>, Refused> {
    upcasts.sort_by_key(|upcast| upcast.from.version);
    for (expected, upcast) in (1..).zip(&upcasts) {
        let from = &upcast.from;
        if from.stem != newest.stem || from.version >= newest.version {
            let sentence = format!("this is no version before `{}`", newest.literal.value());
            return Err(Refused::new(&from.literal, sentence));
        }
        if from.version < expected {
            return Err(Refused::new(&from.literal, "two upcasts read this version"));
        }
        if from.version > expected {
            return Err(hole(newest, expected));
        }
    }
    // Versions are below `u32::MAX`, and so are these.
    let next = upcasts.len() as u32 + 1;
    if next < newest.version { Err(hole(newest, next)) } else { Ok(upcasts) }
}

fn hole(newest: &TypeName, version: u32) -> Refused {
    let sentence = format!(
        "no `#[upcast]` reads `{}.v{version}`, and events of every version stay in the log",
        newest.stem
    );
    Refused::new(&newest.literal, sentence)
}

impl<'i> Shape<'i> {
    fn of(variant: &'i Variant, key: Option<&Ident>) -> Result<Self, Refused> {
        match &variant.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => Ok(Self::Of(&fields.unnamed[0].ty)),
            Fields::Named(named) => {
                let fields = NamedFields::of(&variant.ident, named)?.keyed_by(key);
                let (pattern, key) = fields.key().ok_or_else(|| {
                    let sentence = match key {
                        Some(key) => format!("it has no field `{key}`, which is the key of these events"),
                        None => "no field of it has `#[key]`: events with one key are in order".to_owned(),
                    };
                    Refused::new(&variant.ident, sentence)
                })?;
                Ok(Self::Own { fields, pattern, key })
            }
            Fields::Unnamed(_) | Fields::Unit => {
                let sentence = "an event has fields with names, or those of one type that derives `Fields`";
                Err(Refused::new(&variant.ident, sentence))
            }
        }
    }
}

/// The one attribute of this name.
fn attribute<'a>(attributes: &'a [Attribute], name: &str) -> Result<Option<&'a Attribute>, Refused> {
    let mut named = attributes.iter().filter(|attribute| attribute.path().is_ident(name));
    match (named.next(), named.next()) {
        (first, None) => Ok(first),
        (_, Some(second)) => Err(Refused::new(second, format!("there is an `#[{name}(…)]` already"))),
    }
}
