//! Binary content mode: attributes in record headers `ce_…`, the data alone as the value.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Envelope, OpenError, attribute};

/// Opens a binary-mode event; `None` if the headers do not announce one.
pub(super) fn open<'a>(
    value: &'a [u8],
    headers: &[(String, Vec<u8>)],
) -> Option<Result<Envelope<'a>, OpenError>> {
    let header = |name: &str| headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
    header("ce_specversion")?;
    Some(read(value, &Headers(headers)))
}

struct Headers<'h>(&'h [(String, Vec<u8>)]);

impl Headers<'_> {
    fn optional(&self, attribute: &'static str) -> Result<Option<String>, OpenError> {
        let name = format!("ce_{attribute}");
        let Some((_, value)) = self.0.iter().find(|(found, _)| found.eq_ignore_ascii_case(&name)) else {
            return Ok(None);
        };
        let text = String::from_utf8(value.clone());
        text.map(Some).map_err(|error| {
            attribute::malformed(attribute, &String::from_utf8_lossy(error.as_bytes()), "UTF-8")
        })
    }

    fn required(&self, attribute: &'static str) -> Result<String, OpenError> {
        self.optional(attribute)?.ok_or(OpenError::Missing { attribute })
    }
}

fn read<'a>(value: &'a [u8], headers: &Headers<'_>) -> Result<Envelope<'a>, OpenError> {
    attribute::specversion(&headers.required("specversion")?)?;
    let text = std::str::from_utf8(value).map_err(|error| OpenError::NotUtf8 { at: error.valid_up_to() })?;
    let data: &RawValue =
        serde_json::from_str(text).map_err(|error| OpenError::NotJson { detail: error.to_string() })?;
    let epoch = headers.optional("writerepoch")?;
    let previous = headers.optional("previousid")?;
    Ok(Envelope {
        writer_epoch: attribute::epoch(epoch.as_deref())?,
        previous_id: previous.map(|previous| attribute::uuid("previousid", &previous)).transpose()?,
        id: attribute::uuid("id", &headers.required("id")?)?,
        source: attribute::source(Cow::Owned(headers.required("source")?))?,
        event_type: Cow::Owned(headers.required("type")?),
        subject: attribute::uuid("subject", &headers.required("subject")?)?,
        time: attribute::time(&headers.required("time")?)?,
        position: attribute::sequence(&headers.required("sequence")?)?,
        aggregate_version: attribute::version(&headers.required("aggregateversion")?)?,
        correlation_id: attribute::uuid("correlationid", &headers.required("correlationid")?)?,
        causation_id: attribute::uuid("causationid", &headers.required("causationid")?)?,
        traceparent: headers.optional("traceparent")?.map(Cow::Owned),
        data: Cow::Borrowed(data),
    })
}
