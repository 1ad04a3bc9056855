//! A topic's handle inside librdkafka, which shows many messages of a partition in one call.
//!
//! rdkafka gives one message a call, each as an event with a reference count of its own: measured, half again of all the
//! processor time that librdkafka needs for a message compressed with LZ4. Here librdkafka hands a bounded run of
//! messages to a callback and frees each after its visit. Of librdkafka's ways to give many this is the one that fits:
//! `consume_batch` turns the error of a topic that is not there into a log line, and the callback of a queue has no
//! bound on its run. All three were measured to be equally fast.

use std::any::Any;
use std::ffi::{CString, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use rdkafka::bindings::{self, rd_kafka_message_t, rd_kafka_topic_t};
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::native_message::Message;
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
