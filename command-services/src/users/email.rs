//! E-mail addresses: what a request may give as one, and which spellings are one address. Pure.
//!
//! An address is kept as it is typed. One account of it there is by its canonical form: NFKC, folded case, nothing that is never
//! shown, and the domain as the Internet's names have it (UTS 46). Letters that only look alike stay apart, such as Latin
//! and Cyrillic a.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use crate::fields::{InvalidField, find, is_blank, is_format, is_ignorable};

/// Version of the canonical form: with another one all keys are built again. It changes with every change of what
/// [`unique_key`] makes of an address that a user may have.
pub(super) const FORM: u32 = 2;

/// Longest e-mail address that can be delivered to.
const OCTETS_MAX: usize = 254;

/// An e-mail address: something, one `@`, and a domain. What looks like `@` counts as one.
pub(super) fn email(field: &'static str, raw: &str) -> Result<String, InvalidField> {
    let invalid = |rule: &str| Err(InvalidField { field, rule: rule.to_owned() });
    let email = raw.trim();
    let composed = nfkc(email);
    let is_hidden = |c| is_blank(c) || is_format(c);
    let hidden = find(email, is_hidden).or_else(|| find(&composed, is_hidden));
    if let Some(hidden) = hidden {
        return invalid(&format!("have no spaces, and no characters that cannot be shown ({hidden})"));
    }
    let octets = email.len().max(canonical(email).len());
    if octets > OCTETS_MAX {
        return invalid(&format!("have at most {OCTETS_MAX} octets, it has {octets}"));
    }
    let parts: Vec<&str> = composed.split('@').collect();
    let [local, domain] = parts[..] else { return invalid("have exactly one @") };
    if local.is_empty() || domain.is_empty() {
        return invalid("have something on both sides of its @");
    }
    if ascii_domain(domain).is_none() {
        return invalid("have the name of a domain behind its @, such as example.org");
    }
    Ok(email.to_owned())
}

/// What no second user may have. Whatever an older program took has one too, and none is longer than those of today.
pub(super) fn unique_key(email: &str) -> String {
    let canonical = canonical(email);
    if canonical.len() <= OCTETS_MAX {
        format!("email:{canonical}")
    } else {
        format!("email#{}", blake3::hash(canonical.as_bytes()))
    }
}

/// The same for all spellings of one address.
fn canonical(email: &str) -> String {
    let shown = without_hidden(&nfkc(email));
    let Some((local, domain)) = shown.rsplit_once('@') else { return folded(&shown) };
    let domain = ascii_domain(domain).unwrap_or_else(|| {
        let folded = folded(domain);
        ascii_domain(&folded).unwrap_or(folded)
    });
    format!("{}@{domain}", folded(local))
}

/// Twice: what folding makes may compose, and what composing makes may fold.
fn folded(text: &str) -> String {
    let once = |text: &str| {
        let folded: String = nfkc(text).chars().flat_map(fold).collect();
        without_hidden(&nfkc(&folded))
    };
    once(&once(text))
}

/// Folds case as Unicode does. One by one, so that no letter depends on what stands around it, as the final sigma does.
fn fold(c: char) -> impl Iterator<Item = char> {
    const DOTLESS_I: char = 'ı';
    let is_folded = c == DOTLESS_I;
    let kept = is_folded.then_some(c);
    let folded =
        (!is_folded).then(|| c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase));
    kept.into_iter().chain(folded.into_iter().flatten())
}

fn without_hidden(text: &str) -> String {
    let shown: String = text.chars().filter(|c| !is_ignorable(*c) && !is_format(*c)).collect();
    shown.trim().to_owned()
}

fn nfkc(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfkc().normalize(text)
}

/// The domain as name servers know it; none if it can be no domain.
fn ascii_domain(domain: &str) -> Option<String> {
    let ascii =
        Uts46::new().to_ascii(domain.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, DnsLength::Verify);
    ascii.ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use icu_properties::CodePointMapData;
    use icu_properties::props::GeneralCategory;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_canonical_form_of_a_canonical_form_is_itself(email in "\\PC{0,12}(@\\PC{0,8})?") {
            let once = canonical(&email);
            prop_assert_eq!(canonical(&once), once);
        }

        #[test]
        fn who_was_taken_is_taken_in_its_canonical_form(email in "[a-zA-Zß-ÿΑ-ώ０-９ａ-ｚ]{1,9}[@＠][a-zA-Zß-ÿ]{1,9}") {
            if let Ok(taken) = super::email("email", &email) {
                prop_assert!(super::email("email", &canonical(&taken)).is_ok());
            }
        }
    }

    /// Keys lie on disks, also of addresses that an older version took. So whatever changes this hash, be it newer tables of
    /// Unicode or another version of Rust, changes [`FORM`] with it.
    #[test]
    fn the_keys_of_this_form_are_what_they_were() {
        const KEYS_OF_FORM_2: &str = "548695c30b09595f7c067c9a8cbe1a22b2e34376187231eb35ee1b215e12da8a";
        let mut hasher = blake3::Hasher::new();
        for c in ('\0'..=char::MAX).filter(|c| has_a_meaning(*c)) {
            hasher.update(unique_key(&format!("{c}@{c}.org")).as_bytes());
        }
        assert_eq!((FORM, hasher.finalize().to_hex().as_str()), (2, KEYS_OF_FORM_2));
    }

    fn has_a_meaning(c: char) -> bool {
        use GeneralCategory::{PrivateUse, Unassigned};
        !matches!(CodePointMapData::<GeneralCategory>::new().get(c), PrivateUse | Unassigned)
    }
}
