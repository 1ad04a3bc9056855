//! Evidence spoiled on purpose, after the services did well, in every way in which a check has to find something. Quick,
//! and sure to reach every rule; that a fault of a service ends in such evidence is shown by `sabotage`.

mod answers;
mod disks;
mod log;
mod reads;

use crate::evidence::Evidence;

/// One fault, and the check that has to find it.
pub(crate) struct Spoil {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// Name of the check.
    pub(crate) found_by: &'static str,
    /// Puts it in; `None` if the evidence has nothing that could be spoiled that way.
    pub(crate) spoil: fn(&mut Evidence) -> Option<()>,
}

/// All faults: at least one for each check.
pub(crate) const ALL: &[Spoil] = &[
    // A service forgets what it has acknowledged, as after a power cut without a sync: nothing of it is left.
    Spoil { name: "skip-sync", found_by: "acknowledged-once", spoil: log::skip_sync },
    // The relay leaves a row out.
    Spoil { name: "drop-row", found_by: "positions-contiguous", spoil: log::drop_row },
    // The relay sends a row again that lies in the log already.
    Spoil { name: "double-send", found_by: "in-the-log-once", spoil: log::double_send },
    // A command is carried out twice.
    Spoil { name: "decide-twice", found_by: "acknowledged-once", spoil: log::decide_twice },
    // Two events of a partition change places.
    Spoil { name: "reorder", found_by: "positions-contiguous", spoil: log::reorder },
    // Two events of an aggregate change places, and their positions are put right again.
    Spoil { name: "reorder-aggregate", found_by: "versions-contiguous", spoil: log::reorder_aggregate },
    // Two commands of an aggregate are carried out in the wrong order.
    Spoil { name: "wrong-order", found_by: "order-of-commands", spoil: log::wrong_order },
    Spoil { name: "refuse-and-do", found_by: "unacknowledged-at-most-once", spoil: answers::refuse_and_do },
    Spoil { name: "other-answer", found_by: "same-key-same-answer", spoil: answers::other_answer },
    // The key of an order is forgotten, and then C has not heard of the user.
    Spoil { name: "forget-order", found_by: "same-key-same-answer", spoil: answers::forget_order },
    Spoil { name: "ghost-event", found_by: "every-event-asked-for", spoil: log::ghost_event },
    Spoil { name: "forget-user", found_by: "known-stays-known", spoil: answers::forget_user },
    Spoil { name: "garble", found_by: "records-readable", spoil: log::garble },
    Spoil { name: "twin-email", found_by: "emails-unique", spoil: log::twin_email },
    Spoil { name: "order-of-nobody", found_by: "orders-of-the-known", spoil: log::order_of_nobody },
    // A read does not wait for its token.
    Spoil { name: "stale-read", found_by: "reads-see-their-write", spoil: reads::stale_read },
    // A read says that it rests on its token, and does not show it.
    Spoil { name: "blind-read", found_by: "reads-see-their-write", spoil: reads::blind_read },
    Spoil { name: "blind-title", found_by: "reads-see-their-write", spoil: reads::blind_title },
    Spoil { name: "back-in-time", found_by: "sessions-never-go-back", spoil: reads::back_in_time },
    Spoil { name: "older-purchases", found_by: "sessions-never-go-back", spoil: reads::older_purchases },
    // Another route shows what was there before.
    Spoil { name: "older-title", found_by: "sessions-never-go-back", spoil: reads::older_title },
    Spoil { name: "as-of-back", found_by: "sessions-never-go-back", spoil: reads::as_of_back },
    Spoil { name: "hide-row", found_by: "users-in-d", spoil: answers::hide_row },
    Spoil { name: "double-row", found_by: "users-in-d", spoil: answers::double_row },
    Spoil { name: "old-title", found_by: "products-in-d", spoil: answers::old_title },
    Spoil { name: "flip-digest", found_by: "d-equals-replay", spoil: answers::flip_digest },
    Spoil { name: "forget-in-c", found_by: "c-equals-replay", spoil: answers::forget_in_c },
    Spoil { name: "end-unasked", found_by: "nothing-ended-unasked", spoil: answers::end_unasked },
    Spoil { name: "take-all", found_by: "full-disk-goes-by", spoil: disks::take_all },
    Spoil { name: "take-some", found_by: "full-disk-goes-by", spoil: disks::take_some },
    Spoil { name: "play-dead", found_by: "full-disk-goes-by", spoil: disks::play_dead },
    Spoil { name: "drag-d-along", found_by: "full-disk-goes-by", spoil: disks::drag_d_along },
    Spoil { name: "stay-full", found_by: "full-disk-goes-by", spoil: disks::stay_full },
    // It ends, and says nothing.
    Spoil { name: "end-in-silence", found_by: "failed-disk-ends", spoil: disks::end_in_silence },
    Spoil { name: "end-well", found_by: "failed-disk-ends", spoil: disks::end_well },
    Spoil { name: "trust-disk", found_by: "failed-disk-ends", spoil: disks::trust_disk },
    Spoil { name: "leave-index", found_by: "index-built-again", spoil: disks::leave_index },
    // Nothing that is asked while a broker is away comes to D.
    Spoil { name: "stand-still", found_by: "broker-away-stops-nobody", spoil: reads::stand_still },
    // D has stopped, and answers nothing that rests on the whole log.
    Spoil { name: "keep-silent", found_by: "questions-answered", spoil: answers::keep_silent },
];

/// Names of all faults, for the command line.
pub(crate) fn names() -> Vec<&'static str> {
    ALL.iter().map(|spoil| spoil.name).chain(["all"]).collect()
}
