//! An app: command services, a read model and its queries, as one program.

use std::ffi::OsString;
use std::pin::Pin;
use std::process::ExitCode;

use daybook_command::http::Routes;
use daybook_command::{Aggregate, AnswerAfter, Followed, Limits};
use daybook_event::Event;
use daybook_projection::Projection;
use daybook_query::Queries;
use daybook_service::ConnectionLimits;
use daybook_service::program::Defaults;
use tokio::net::TcpListener;

use crate::deployment::AppSettings;
use crate::running::{AppError, Port, Running, Start, Until, Work};

/// What the service that answers queries is called.
pub(crate) const QUERY_API: &str = "query-api";
/// What the command line of the read model is called.
pub(crate) const PROJECTOR: &str = "projector";
/// Directory of the read model.
pub(crate) const READ_MODEL: &str = "read-model";

/// Command services, and a read model with its queries: what one program is made of.
///
/// ```no_run
/// use daybook::prelude::*;
/// # use daybook::event::problem::Problem;
/// # #[derive(Event)]
/// # #[event(service = "lamps", topic = "lamps.events", prefix = "house.lamp.")]
/// # enum LampEvent { #[event("switched.v1")] Switched { #[key] lamp_id: Uuid } }
/// # struct Switches;
/// # impl View for Switches {
/// #     type Event = LampEvent;
/// #     type Change = ();
/// #     type Row = u64;
/// #     const ID: u8 = 1;
/// #     const NAME: &'static str = "switches";
/// #     fn change(event: &LampEvent) -> Option<(Uuid, ())> { Some((event.key(), ())) }
/// #     fn fold(row: Option<u64>, (): (), _: &EventMeta<'_>, _: &mut Parts<'_>) -> Result<Option<u64>, FoldError> {
/// #         Ok(Some(row.unwrap_or(0) + 1))
/// #     }
/// # }
/// const HOUSE: Projection<LampEvent> = Projection::of(1, &[ViewEntry::of::<Switches>()]);
///
/// fn main() -> ExitCode {
///     let queries = Queries::new().row::<Switches>("/lamps/{lamp_id}");
///     App::new("house", "How often each lamp was switched").queries(HOUSE, queries).main()
/// }
/// ```
///
/// [`App::main`] is the whole program: without arguments everything runs in one process on an embedded broker, with
/// `--brokers` on a real Kafka, and its subcommands run each part alone.
pub struct App {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) services: Vec<CommandService>,
    pub(crate) reading: Option<Reading>,
    contradiction: Option<String>,
}

/// A program from its start to its end.
type Main = Pin<Box<dyn Future<Output = ExitCode>>>;

/// A command service, whatever its aggregate.
pub(crate) struct CommandService {
    pub(crate) name: &'static str,
    topic: &'static str,
    follows: Vec<&'static str>,
    resource: &'static str,
    run: Box<dyn Fn(daybook_command::Settings, TcpListener, Until) -> Work>,
    pub(crate) main: Box<dyn Fn(Vec<OsString>, Defaults) -> Main>,
}

/// A read model and its queries, whatever its events.
pub(crate) struct Reading {
    topics: Vec<&'static str>,
    run: Box<dyn Fn(daybook_query::Settings, TcpListener, Until) -> Work>,
    pub(crate) query_main: Box<dyn Fn(Vec<OsString>, Defaults) -> ExitCode>,
    pub(crate) projector_main: Box<dyn Fn(Vec<OsString>) -> ExitCode>,
}

impl App {
    /// An app with nothing in it. `about` is the first line of its `--help`.
    #[must_use]
    pub fn new(name: &'static str, about: &'static str) -> Self {
        Self { name, about, services: Vec::new(), reading: None, contradiction: None }
    }

    /// With a command service, called as its events say.
    #[must_use]
    pub fn commands<A: Aggregate>(mut self, routes: Routes<A>) -> Self {
        let (resource, alone) = (routes.resource(), routes.clone());
        self.services.push(CommandService {
            name: A::SERVICE,
            topic: A::TOPIC,
            follows: A::FOLLOWS.iter().map(Followed::topic).collect(),
            resource,
            run: Box::new(move |settings, listener, until| {
                let routes = routes.clone();
                Box::pin(async { Ok(daybook_command::run(settings, listener, until, routes).await?) })
            }),
            main: Box::new(move |arguments, defaults| {
                Box::pin(daybook_command::command_line::main_with(arguments, defaults, alone.clone()))
            }),
        });
        self
    }

    /// With a read model, and the queries that are answered from it.
    #[must_use]
    pub fn queries<E: Event + 'static>(
        mut self,
        projection: Projection<E>,
        queries: impl Into<Queries>,
    ) -> Self {
        let queries = queries.into();
        let twice = self.reading.as_ref().map(|_| "it has two read models".to_owned());
        let wrong = projection.contradiction().or_else(|| projection.foreign_topic());
        let wrong = wrong.map(|contradiction| contradiction.to_string());
        self.contradiction =
            twice.or(wrong).or_else(|| queries.contradiction(&projection.layout())).or(self.contradiction);
        let alone = queries.clone();
        self.reading = Some(Reading {
            topics: projection.topics.iter().map(|topic| topic.name).collect(),
            run: Box::new(move |settings, listener, until| {
                let queries = queries.clone();
                Box::pin(async move {
                    Ok(daybook_query::run::run(settings, projection, queries, listener, until).await?)
                })
            }),
            query_main: Box::new(move |arguments, defaults| {
                daybook_query::command_line::main_with(arguments, defaults, projection, alone.clone())
            }),
            projector_main: Box::new(move |arguments| {
                daybook_projection::cli::main_with(arguments, projection)
            }),
        });
        self
    }

    /// The topics that it writes or reads, without prefix.
    #[must_use]
    pub fn topics(&self) -> Vec<&'static str> {
        let read = self.reading.iter().flat_map(|reading| reading.topics.iter().copied());
        let followed = self.services.iter().flat_map(|service| service.follows.iter().copied());
        let written = self.services.iter().map(|service| service.topic);
        let mut topics: Vec<_> = written.chain(followed).chain(read).collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    /// Starts all services and waits until each is ready.
    ///
    /// # Errors
    /// [`AppError`] names the service. Whatever had been started is stopped again.
    pub async fn start(&self, settings: &AppSettings) -> Result<Running, AppError> {
        let running = self.launch(settings).await?;
        match running.ready().await {
            Ok(()) => Ok(running),
            // A service that ended by itself says more than its neighbours' waiting.
            Err(error) => Err(running.stop().await.err().unwrap_or(error)),
        }
    }

    /// Starts all services and waits for none.
    ///
    /// # Errors
    /// [`AppError::Listen`] if an address is taken, or [`AppError::Contradiction`]; nothing has been started then.
    pub async fn launch(&self, settings: &AppSettings) -> Result<Running, AppError> {
        self.check()?;
        // The query service has the first port.
        let mut ports = self.services.len() + usize::from(self.reading.is_some());
        let mut bound = Vec::with_capacity(ports);
        let first = if self.reading.is_some() { 0 } else { 1 };
        ports += first;
        for offset in first..ports {
            bound.push(Port::bind(settings.listen, offset).await?);
        }
        let mut bound = bound.into_iter();
        let query = self.reading.as_ref().and_then(|reading| Some((reading, bound.next()?)));
        let services = self.services.iter().zip(bound).map(|(service, port)| {
            let settings = command_settings(settings, service.name);
            let start: Start<'_> = Box::new(|listener, until| (service.run)(settings, listener, until));
            (service.name, port, start)
        });
        let query = query.map(|(reading, port)| {
            let (kafka, directory) = (settings.kafka.clone(), settings.read_model_dir());
            let settings = daybook_query::Settings::new(kafka, settings.partitions, directory);
            let start: Start<'_> = Box::new(|listener, until| (reading.run)(settings, listener, until));
            (QUERY_API, port, start)
        });
        Ok(Running::start(services.chain(query).collect()))
    }

    /// Whether its parts fit together.
    ///
    /// # Errors
    /// [`AppError::Contradiction`] names what does not.
    pub fn check(&self) -> Result<(), AppError> {
        if self.services.is_empty() && self.reading.is_none() {
            return Err(AppError::Contradiction("it has neither a command service nor queries".to_owned()));
        }
        let twice = |what: &str, of: fn(&CommandService) -> &'static str| {
            let twice = repeated(self.services.iter().map(of))?;
            Some(format!("two of its services {what} {twice}"))
        };
        let repeated = twice("are called", |service| service.name)
            .or_else(|| twice("write the topic", |service| service.topic))
            .or_else(|| twice("have the path", |service| service.resource));
        let reserved = || {
            let taken =
                |service: &&CommandService| [QUERY_API, PROJECTOR, READ_MODEL].contains(&service.name);
            let service = self.services.iter().find(taken)?;
            Some(format!(
                "a service cannot be called {}, since every app has something of that name",
                service.name
            ))
        };
        match self.contradiction.clone().or(repeated).or_else(reserved) {
            Some(contradiction) => Err(AppError::Contradiction(contradiction)),
            None => Ok(()),
        }
    }
}

/// The first that is there a second time.
fn repeated(names: impl Iterator<Item = &'static str> + Clone) -> Option<&'static str> {
    let mut rest = names.clone().enumerate();
    rest.find(|(index, name)| names.clone().take(*index).any(|before| before == *name)).map(|(_, name)| name)
}

fn command_settings(settings: &AppSettings, service: &str) -> daybook_command::Settings {
    daybook_command::Settings {
        kafka: settings.kafka.clone(),
        partitions: settings.partitions,
        replication_factor: settings.replication_factor,
        data_dir: settings.data_dir.join(service),
        recover: false,
        take_over: false,
        adopt_cluster: false,
        answer_after: AnswerAfter::Disk,
        limits: Limits::default(),
        connections: ConnectionLimits::default(),
    }
}
