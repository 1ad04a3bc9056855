//! The services of an app at work: started and stopped together.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use daybook_service::program::chain;
use daybook_service::{EXIT_FAILED, EXIT_IN_USE, Stop, StopOnDrop, health_check};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::deployment::SandboxError;

/// How long all services together may take to become ready; a read model that is built from a long log takes longest.
const READY_WITHIN: Duration = Duration::from_secs(600);
/// Pause between two looks at a service that is not ready yet.
const READY_POLL: Duration = Duration::from_millis(50);

/// Why an app is not running.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Its parts contradict each other.
    #[error("the app contradicts itself: {0}")]
    Contradiction(String),
    /// The sandbox could not be made.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// An address is taken or not ours.
    #[error("cannot listen on {address}: {source}; choose another with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// A service ended by itself.
    #[error("service {service} ended: {detail}")]
    Ended {
        /// Name of the service.
        service: &'static str,
        /// Its own words.
        detail: String,
    },
    /// A service's directory is in use by another process.
    #[error("service {service}: {detail}")]
    InUse {
        /// Name of the service.
        service: &'static str,
        /// Its own words.
        detail: String,
    },
    /// A service did not become ready in time.
    #[error("service {service} at {url} was not ready within {} s", READY_WITHIN.as_secs())]
    NotReady {
        /// Name of the service.
        service: &'static str,
        /// Its address.
        url: String,
    },
}

impl AppError {
    /// The process's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Self::InUse { .. }) { EXIT_IN_USE } else { EXIT_FAILED }
    }
}

/// How a service ended that was not asked to.
#[derive(Debug)]
pub(crate) struct Ended {
    detail: String,
    in_use: bool,
}

impl From<daybook_command::RunError> for Ended {
    fn from(error: daybook_command::RunError) -> Self {
        Self { detail: chain(&error), in_use: error.exit_code() == EXIT_IN_USE }
    }
}

impl From<daybook_query::RunError> for Ended {
    fn from(error: daybook_query::RunError) -> Self {
        Self { detail: chain(&error), in_use: error.is_in_use() }
    }
}

/// What a service does from its start to its end.
pub(crate) type Work = Pin<Box<dyn Future<Output = Result<(), Ended>> + Send>>;
/// Ends when a service is to stop.
pub(crate) type Until = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Starts a service on its port.
pub(crate) type Start<'a> = Box<dyn FnOnce(TcpListener, Until) -> Work + 'a>;

/// A running app. Call [`Running::stop`] before the end, so that every store is closed in order.
#[derive(Debug)]
pub struct Running {
    stop: StopOnDrop,
    services: Vec<RunningService>,
}

#[derive(Debug)]
struct RunningService {
    name: &'static str,
    address: SocketAddr,
    handle: JoinHandle<Result<(), Ended>>,
}

/// A service's port: bound before anything starts, so that a taken one stops everything at once.
pub(crate) struct Port {
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Port {
    /// The port that is `offset` behind the first one, or any if that is 0.
    pub(crate) async fn bind(first: SocketAddr, offset: usize) -> Result<Self, AppError> {
        let mut address = first;
        if first.port() != 0 {
            let port = u16::try_from(offset).ok().and_then(|offset| first.port().checked_add(offset));
            address.set_port(port.ok_or_else(|| beyond(first, offset))?);
        }
        let failed = |source| AppError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }
}

fn beyond(first: SocketAddr, offset: usize) -> AppError {
    let said = format!(
        "its services take the next ports, up to {offset} behind it, and 65535 is the last one there is"
    );
    AppError::Listen { address: first, source: io::Error::new(io::ErrorKind::InvalidInput, said) }
}

impl Running {
    /// Starts services on their ports.
    pub(crate) fn start(services: Vec<(&'static str, Port, Start<'_>)>) -> Self {
        let stopped = Stop::default();
        let stop = stopped.on_drop();
        let services = services.into_iter().map(|(name, Port { listener, address }, start)| {
            let stopped = stopped.clone();
            let until = Box::pin(async move { stopped.cancelled().await });
            RunningService { name, address, handle: tokio::spawn(start(listener, until)) }
        });
        Self { stop, services: services.collect() }
    }

    /// The services by name, with their base addresses, such as `http://127.0.0.1:8081`.
    pub fn urls(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.services.iter().map(|service| (service.name, format!("http://{}", service.address)))
    }

    /// The base address of the service of that name.
    #[must_use]
    pub fn url(&self, name: &str) -> Option<String> {
        self.urls().find(|(of, _)| *of == name).map(|(_, url)| url)
    }

    /// Waits until every service is ready.
    ///
    /// # Errors
    /// [`AppError::NotReady`], also for a service that has ended; [`Running::stop`] then says why.
    pub async fn ready(&self) -> Result<(), AppError> {
        let deadline = Instant::now() + READY_WITHIN;
        for service in &self.services {
            while !service.is_ready().await {
                let ended = self.services.iter().find(|service| service.handle.is_finished());
                if ended.is_some() || Instant::now() > deadline {
                    let RunningService { name: service, address, .. } = ended.unwrap_or(service);
                    return Err(AppError::NotReady { service, url: format!("http://{address}") });
                }
                tokio::time::sleep(READY_POLL).await;
            }
        }
        Ok(())
    }

    /// Completes when a service ends by itself, which none should; [`Running::stop`] then says why.
    pub async fn ended(&self) {
        while !self.services.iter().any(|service| service.handle.is_finished()) {
            tokio::time::sleep(READY_POLL).await;
        }
    }

    /// Stops all services and waits for them.
    ///
    /// # Errors
    /// [`AppError::Ended`] for the first service that did not end well.
    pub async fn stop(self) -> Result<(), AppError> {
        self.stop.request();
        let mut outcome = Ok(());
        for RunningService { name: service, handle, .. } in self.services {
            let ended =
                handle.await.unwrap_or_else(|panic| Err(Ended { detail: panic.to_string(), in_use: false }));
            outcome = outcome.and(ended.map_err(|Ended { detail, in_use }| match in_use {
                true => AppError::InUse { service, detail },
                false => AppError::Ended { service, detail },
            }));
        }
        outcome
    }
}

impl RunningService {
    async fn is_ready(&self) -> bool {
        let address = self.address;
        let asked = tokio::task::spawn_blocking(move || health_check::check(address, health_check::READY));
        asked.await.is_ok_and(|answer| answer.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clock goes on by itself while everybody waits: ten minutes would be over soon, and another service named.
    #[tokio::test(start_paused = true)]
    async fn who_waits_for_one_service_hears_at_once_of_another_one_that_ended() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let never_ready: Start<'_> = Box::new(|_, until| {
            Box::pin(async {
                until.await;
                Ok(())
            })
        });
        let ends: Start<'_> = Box::new(|_, _| {
            Box::pin(async { Err(Ended { detail: "on purpose".to_owned(), in_use: false }) })
        });
        let ports = [Port::bind(any, 0).await.unwrap(), Port::bind(any, 1).await.unwrap()];
        let [first, second] = ports;
        let running = Running::start(vec![("waits", first, never_ready), ("ends", second, ends)]);
        let began = Instant::now();
        let not_ready = running.ready().await.unwrap_err();
        assert!(began.elapsed() < READY_WITHIN, "{:?}", began.elapsed());
        assert!(matches!(&not_ready, AppError::NotReady { service: "ends", .. }), "{not_ready}");
        assert!(not_ready.to_string().contains(&running.url("ends").unwrap()), "{not_ready}");
        let ended = running.stop().await.unwrap_err();
        assert_eq!(ended.to_string(), "service ends ended: on purpose");
    }

    #[tokio::test]
    async fn a_port_that_is_none_is_refused_by_name() {
        let first = SocketAddr::from(([127, 0, 0, 1], u16::MAX));
        let refused = Port::bind(first, 1).await.err().unwrap().to_string();
        assert!(
            refused.contains("127.0.0.1:65535") && refused.contains("65535 is the last one"),
            "{refused}"
        );
    }
}
