//! A topic's handle inside librdkafka, which shows many messages of a partition in one call.
//!
//! rdkafka gives one message a call, each as an event with a reference count of its own: measured, half again of all the
//! processor time that librdkafka needs for a message compressed with LZ4. Here librdkafka hands a bounded run of
//! messages to a callback and frees each after its visit. Of librdkafka's ways to give many this is the one that fits:
//! `consume_batch` turns the error of a topic that is not there into a log line, and the callback of a queue has no
//! bound on its run. All three were measured to be equally fast.

use std::any::Any;
use std::ffi::{CStr, CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use rdkafka::bindings::{self, rd_kafka_headers_t, rd_kafka_message_t, rd_kafka_topic_t};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;

use crate::client::Context;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// Only what librdkafka keeps to itself (a transaction's mark, say); there may be more behind it.
    Internals,
    Messages,
}

/// A topic's handle, by which librdkafka serves its partitions' queues.
pub(super) struct Topic {
    handle: NonNull<rd_kafka_topic_t>,
    consumer: Arc<BaseConsumer<Context>>,
}

// SAFETY: librdkafka's handles may be used from any thread, and by several.
#[expect(unsafe_code, reason = "a handle of librdkafka is a pointer")]
unsafe impl Send for Topic {}

impl Topic {
    /// None if librdkafka refuses the name.
    #[expect(unsafe_code, reason = "rdkafka has no topic handles")]
    pub(super) fn open(consumer: &Arc<BaseConsumer<Context>>, full_name: &str) -> Option<Topic> {
        let name = CString::new(full_name).ok()?;
        let client = consumer.client().native_ptr();
        // SAFETY: the client lives as long as the consumer, and the name is copied.
        let handle = unsafe { bindings::rd_kafka_topic_new(client, name.as_ptr(), ptr::null_mut()) };
        Some(Topic { handle: NonNull::new(handle)?, consumer: Arc::clone(consumer) })
    }

    /// Shows what lies in the partition's queue to `visit`, a run at most, until `visit` says false; the rest stays in
    /// the queue. Does not wait.
    #[expect(unsafe_code, reason = "rdkafka has no batches")]
    pub(super) fn visit<V: FnMut(&Message) -> bool>(&self, partition: i32, visit: V) -> Found {
        let mut visitor = Visitor { visit, topic: self, shown: false, panic: None };
        // SAFETY: the topic is open. The callback is called inside this call and by this thread only, so that `visitor` is
        // alive and used by nobody else meanwhile; it has the type that the callback expects.
        let count = unsafe {
            let opaque = (&raw mut visitor).cast();
            bindings::rd_kafka_consume_callback(
                self.handle.as_ptr(),
                partition,
                0,
                Some(on_message::<V>),
                opaque,
            )
        };
        if let Some(panic) = visitor.panic {
            resume_unwind(panic);
        }
        match count {
            _ if visitor.shown => Found::Messages,
            1.. => Found::Internals,
            _ => Found::Nothing,
        }
    }

    // The messages that were to follow in this call stay in the queue.
    #[expect(unsafe_code, reason = "rdkafka does not yield")]
    fn leave_the_rest(&self) {
        // SAFETY: the client is alive; only a variable of this thread is set.
        unsafe { bindings::rd_kafka_yield(self.consumer.client().native_ptr()) };
    }
}

impl Drop for Topic {
    #[expect(unsafe_code, reason = "what librdkafka gave is given back")]
    fn drop(&mut self) {
        // SAFETY: opened by `open` and used by nobody else; the consumer is dropped after this.
        unsafe { bindings::rd_kafka_topic_destroy(self.handle.as_ptr()) };
    }
}

struct Visitor<'t, V> {
    visit: V,
    topic: &'t Topic,
    shown: bool,
    panic: Option<Box<dyn Any + Send>>,
}

#[expect(unsafe_code, reason = "called by librdkafka")]
unsafe extern "C" fn on_message<V: FnMut(&Message) -> bool>(
    message: *mut rd_kafka_message_t,
    visitor: *mut c_void,
) {
    // SAFETY: `Topic::visit` gave a pointer to a visitor of this type, which nobody else uses during the call.
    let visitor = unsafe { &mut *visitor.cast::<Visitor<'_, V>>() };
    // SAFETY: librdkafka shows a message of its own and frees it after this function.
    let Some(message) = (unsafe { Message::borrow(message) }) else { return };
    visitor.shown = true;
    // A panic must not unwind through librdkafka.
    match catch_unwind(AssertUnwindSafe(|| (visitor.visit)(message))) {
        Ok(true) => {}
        Ok(false) => visitor.topic.leave_the_rest(),
        Err(panic) => {
            visitor.panic = Some(panic);
            visitor.topic.leave_the_rest();
        }
    }
}

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
