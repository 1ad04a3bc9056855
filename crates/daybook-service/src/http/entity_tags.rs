//! Conditional requests (RFC 9110, 13): which entity tags a request names, and whether the resource has one of them.
//!
//! Our own reading, because a command is judged later by its aggregate's version, which has to be taken out of the tags.

use axum::http::{HeaderMap, HeaderName, header};

use super::answer::ApiError;
use super::request::joined;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    pub if_match: Option<EntityTags>,
    pub if_none_match: Option<EntityTags>,
}

/// What a condition names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`: any representation.
    Any,
    Of(Vec<EntityTag>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityTag {
    /// Whether it only tells representations apart that differ in meaning.
    pub is_weak: bool,
    pub opaque: String,
}

/// What a condition makes of a request that reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    Holds,
    NotModified,
    Fails,
}

impl Conditions {
    /// Reads both headers.
    /// Errors: 400 that names the header which is no list of entity tags.
    pub fn read(headers: &HeaderMap) -> Result<Self, ApiError> {
        let tags = |name| EntityTags::read(headers, name);
        Ok(Self { if_match: tags(header::IF_MATCH)?, if_none_match: tags(header::IF_NONE_MATCH)? })
    }

    /// For a GET or HEAD of what has the strong tag `opaque`, in the order of RFC 9110, 13.2.2.
    pub fn judge_read(&self, opaque: &str) -> Judged {
        if self.if_match.as_ref().is_some_and(|tags| !tags.has_strong(opaque)) {
            return Judged::Fails;
        }
        match &self.if_none_match {
            Some(tags) if tags.has_weak(opaque) => Judged::NotModified,
            _ => Judged::Holds,
        }
    }
}

impl EntityTags {
    fn read(headers: &HeaderMap, name: HeaderName) -> Result<Option<Self>, ApiError> {
        let Some(text) = joined(headers, name.as_str())? else { return Ok(None) };
        let parsed = if text.trim() == "*" { Some(Self::Any) } else { tags(&text).map(Self::Of) };
        parsed.map(Some).ok_or_else(|| {
            let detail =
                format!("{name} must be * or a list of entity tags, such as \"3\", joined by commas");
            ApiError::header(name.as_str(), detail)
        })
    }

    pub fn has_strong(&self, opaque: &str) -> bool {
        self.has(|tag| !tag.is_weak && tag.opaque == opaque)
    }

    pub fn has_weak(&self, opaque: &str) -> bool {
        self.has(|tag| tag.opaque == opaque)
    }

    fn has(&self, is_it: impl Fn(&EntityTag) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::Of(tags) => tags.iter().any(is_it),
        }
    }
}

/// The tags of a list; empty elements are left out (RFC 9110, 5.6.1.2). None if it is no such list.
fn tags(mut text: &str) -> Option<Vec<EntityTag>> {
    let mut tags = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        if text.is_empty() {
            // A header with nothing in it names nothing, which no client means.
            return (!tags.is_empty()).then_some(tags);
        }
        let (is_weak, quoted) = text.strip_prefix("W/").map_or((false, text), |rest| (true, rest));
        let (opaque, rest) = quoted.strip_prefix('"')?.split_once('"')?;
        let is_legal = opaque.chars().all(|c| c == '!' || ('#'..='~').contains(&c));
        let rest = rest.trim_start_matches([' ', '\t']);
        if !is_legal || !(rest.is_empty() || rest.starts_with(',')) {
            return None;
        }
        tags.push(EntityTag { is_weak, opaque: opaque.to_owned() });
        text = rest;
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn read(lines: &[&str]) -> Result<Option<EntityTags>, ApiError> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::IF_MATCH, HeaderValue::from_str(line).unwrap());
        }
        EntityTags::read(&headers, header::IF_MATCH)
    }

    #[test]
    fn every_list_of_entity_tags_is_read_and_only_strong_ones_match_strongly() {
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[" * "]).unwrap(), Some(EntityTags::Any));
        let all = read(&["\"3\", W/\"4\" ,", ",\"a,b\""]).unwrap().unwrap();
        assert!(all.has_strong("3") && all.has_strong("a,b") && !all.has_strong("4"));
        assert!(all.has_weak("4") && !all.has_weak("5"));
        for wrong in ["3", "\"3", "w/\"3\"", "\"3\" \"4\"", "*, \"3\"", "\"a b\"", "", ","] {
            assert!(read(&[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn if_match_is_judged_before_if_none_match() {
        let tags =
            |opaque: &str| Some(EntityTags::Of(vec![EntityTag { is_weak: true, opaque: opaque.into() }]));
        let judged = |if_match, if_none_match| Conditions { if_match, if_none_match }.judge_read("1");
        assert_eq!(judged(None, None), Judged::Holds);
        assert_eq!(judged(None, tags("1")), Judged::NotModified);
        assert_eq!(judged(None, tags("2")), Judged::Holds);
        assert_eq!(judged(tags("1"), tags("1")), Judged::Fails, "a weak tag equals nothing");
        assert_eq!(judged(Some(EntityTags::Any), Some(EntityTags::Any)), Judged::NotModified);
    }
}
