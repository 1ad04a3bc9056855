//! Whoever has the published generation open to compare it lets it go once a process means to serve it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use daybook_service::Stop;

use super::sample::Serves;
use super::served::{Client, Served};
use crate::read_model::ReadModel;

/// How often it is looked whether a process means to serve it.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
pub(crate) const TIMES_MAX: u32 = 8;

/// Says when to stop: once cancelled, or once a process means to serve what is open here.
pub(crate) struct GivingWay<'g> {
    /// Who might, and the layout that he would serve; none if it is not open here.
    server: Option<(Client, String)>,
    cancelled: &'g Stop,
    next_look: Cell<Instant>,
    gave_way: Cell<bool>,
}

impl<'g> GivingWay<'g> {
    pub(crate) fn new(read_model: &ReadModel, served: &Served, cancelled: &'g Stop) -> Self {
        let server = match served {
            Served::Here { layout, .. } => {
                let client = Client::new(read_model.directory(), "the process that serves".to_owned());
                Some((client, layout.clone()))
            }
            Served::There(_) => None,
        };
        Self { server, cancelled, next_look: Cell::new(Instant::now()), gave_way: Cell::new(false) }
    }

    /// To be asked now and then.
    pub(crate) fn stops(&self) -> bool {
        self.cancelled.requested() || self.gives_way()
    }

    pub(crate) fn gave_way(&self) -> bool {
        self.gave_way.get()
    }

    fn gives_way(&self) -> bool {
        let Some((server, layout)) = &self.server else { return false };
        let now = Instant::now();
        if !self.gave_way.get() && now >= self.next_look.get() {
            let serves = server.serves();
            let means_to =
                |serves: Serves| serves.opens || serves.sample.is_some_and(|sample| sample.layout == *layout);
            self.gave_way.set(serves.is_ok_and(means_to));
            self.next_look.set(Instant::now() + LOOK_INTERVAL);
        }
        self.gave_way.get()
    }
}
