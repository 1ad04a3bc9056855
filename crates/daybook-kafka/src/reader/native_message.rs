//! A message as it lies in librdkafka's memory.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::{self, NonNull};

use rdkafka::bindings::{self, rd_kafka_headers_t, rd_kafka_message_t};
use rdkafka::error::RDKafkaErrorCode;

/// A message that librdkafka shows; it is never owned, and gone when the reference is.
#[repr(transparent)]
pub(super) struct Message {
    native: rd_kafka_message_t,
}

impl Message {
    /// # Safety
    /// `message` is null or a message that lives, unchanged and used by this thread alone, for `'a`.
    #[expect(unsafe_code, reason = "librdkafka gives a pointer")]
    pub(super) unsafe fn borrow<'a>(message: *const rd_kafka_message_t) -> Option<&'a Message> {
        // SAFETY: the caller's promise; a `Message` has the layout of what it wraps.
        unsafe { message.cast::<Message>().as_ref() }
    }

    /// What stands in the record's place, if it is none: the end of the partition or an error.
    pub(super) fn error(&self) -> Option<RDKafkaErrorCode> {
        match RDKafkaErrorCode::from(self.native.err) {
            RDKafkaErrorCode::NoError => None,
            code => Some(code),
        }
    }

    pub(super) fn offset(&self) -> i64 {
        self.native.offset
    }

    pub(super) fn value(&self) -> Option<&[u8]> {
        self.bytes(self.native.payload, self.native.len)
    }

    pub(super) fn key(&self) -> Option<&[u8]> {
        self.bytes(self.native.key, self.native.key_len)
    }

    /// Names and values in the message's order; a header without value has an empty one.
    pub(super) fn headers(&self) -> Vec<(String, Vec<u8>)> {
        let Some(headers) = self.native_headers() else { return Vec::new() };
        (0..).map_while(|index| self.header(headers, index)).collect()
    }

    #[expect(unsafe_code, reason = "librdkafka parses them when asked")]
    fn native_headers(&self) -> Option<NonNull<rd_kafka_headers_t>> {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is alive and used by this thread alone; the headers belong to it.
        let code = unsafe { bindings::rd_kafka_message_headers(&raw const self.native, &raw mut headers) };
        match RDKafkaErrorCode::from(code) {
            RDKafkaErrorCode::NoError => NonNull::new(headers),
            _ => None,
        }
    }

    #[expect(unsafe_code, reason = "names and values are pointers into the message")]
    fn header(&self, headers: NonNull<rd_kafka_headers_t>, index: usize) -> Option<(String, Vec<u8>)> {
        let (mut name, mut value, mut length): (*const c_char, *const c_void, usize) =
            (ptr::null(), ptr::null(), 0);
        // SAFETY: the headers are those of this message, which is alive.
        let code = unsafe {
            bindings::rd_kafka_header_get_all(
                headers.as_ptr(),
                index,
                &raw mut name,
                &raw mut value,
                &raw mut length,
            )
        };
        if RDKafkaErrorCode::from(code) != RDKafkaErrorCode::NoError {
            return None;
        }
        // SAFETY: librdkafka ends names with a zero byte, and both live as long as the message.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
        Some((name, self.bytes(value, length).unwrap_or_default().to_vec()))
    }

    #[expect(unsafe_code, reason = "librdkafka gives pointer and length")]
    fn bytes(&self, start: *const c_void, length: usize) -> Option<&[u8]> {
        // SAFETY: called with what librdkafka says about this message, whose memory is not changed and lives as long.
        (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast(), length) })
    }
}
