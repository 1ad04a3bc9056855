//! Names of types: `created.v2` behind the prefix of its enum.

use syn::LitStr;

use crate::refused::Refused;

/// A type in one version.
pub(super) struct TypeName {
    /// As it stands in the attribute.
    pub(super) literal: LitStr,
    /// Without its version.
    pub(super) stem: String,
    pub(super) version: u32,
}

impl TypeName {
    pub(super) fn of(literal: LitStr) -> Result<Self, Refused> {
        let name = literal.value();
        let without_version = || {
            Refused::new(
                &literal,
                "its version is missing: the name of a type ends with `.v1`, `.v2` and so on",
            )
        };
        let (stem, digits) = name.rsplit_once(".v").ok_or_else(without_version)?;
        let version: u32 = digits.parse().map_err(|_| without_version())?;
        // What the number is written as, and nothing else: one version has one name.
        if version == 0 || version == u32::MAX || version.to_string() != digits {
            return Err(without_version());
        }
        check(&literal, stem)?;
        let stem = stem.to_owned();
        Ok(Self { stem, version, literal })
    }
}

/// Whether type names may begin so.
pub(super) fn check_prefix(prefix: &LitStr) -> Result<(), Refused> {
    match prefix.value().strip_suffix('.') {
        Some(parts) => check(prefix, parts),
        None => {
            Err(Refused::new(prefix, "the prefix of type names ends with a point, such as `bank.account.`"))
        }
    }
}

/// What a reader can compare byte by byte, whatever the JSON: words of letters, digits and hyphens with points between them.
fn check(literal: &LitStr, parts: &str) -> Result<(), Refused> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match parts.split('.').all(|part| !part.is_empty() && part.chars().all(is_plain)) {
        true => Ok(()),
        false => {
            let sentence =
                "names of types are words of small letters, digits and hyphens, with points between them";
            Err(Refused::new(literal, sentence))
        }
    }
}
