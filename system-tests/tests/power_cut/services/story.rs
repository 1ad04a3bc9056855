//! What clients asked of a service and what they were told, each at its time.

use daybook_event::headers;
use quickstart::client::{Answer, Client, ClientError, Method};
use serde_json::Value;
use system_tests::power_cut::notes::now_ns;

/// A command as it is sent, any number of times.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) key: Option<String>,
    /// A version that it insists on.
    pub(crate) if_match: Option<u64>,
    /// A token whose positions have to be known first; empty for none.
    pub(crate) after: String,
    /// The status that it must get, whenever it is decided.
    pub(crate) expects: u16,
}

impl Draft {
    /// Without key, version and token.
    pub(crate) fn new(method: Method, path: &str, body: Value, expects: u16) -> Self {
        Self { method, path: path.to_owned(), body, key: None, if_match: None, after: String::new(), expects }
    }

    pub(crate) async fn send(&self, client: &Client, url: &str) -> Result<Answer, ClientError> {
        let mut request =
            client.request(self.method.clone(), &format!("{url}{}", self.path)).after(&self.after);
        if !self.body.is_null() {
            request = request.json(&self.body);
        }
        if let Some(key) = &self.key {
            request = request.header(headers::IDEMPOTENCY_KEY, key);
        }
        if let Some(version) = self.if_match {
            request = request.header("if-match", &format!("\"{version}\""));
        }
        request.send().await
    }
}

/// A command that was sent, and its first answer, if there was one.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) draft: Draft,
    sent_ns: u64,
    answered: Option<(u64, Answer)>,
}

impl Command {
    pub(crate) fn accepted(&self) -> bool {
        self.draft.expects < 300
    }

    /// The answer, if somebody had it before `ns`.
    pub(crate) fn told_before(&self, ns: u64) -> Option<&Answer> {
        self.answered.as_ref().filter(|(at, _)| *at < ns).map(|(_, answer)| answer)
    }

    /// Whether the answer came at `ns` or later.
    pub(crate) fn told_since(&self, ns: u64) -> bool {
        self.answered.as_ref().is_some_and(|(at, _)| *at >= ns)
    }

    pub(crate) fn answer(&self) -> Option<&Answer> {
        self.answered.as_ref().map(|(_, answer)| answer)
    }

    /// Under way at `ns`: sent, and not known to be answered.
    pub(crate) fn under_way_at(&self, ns: u64) -> bool {
        self.sent_ns < ns && self.told_before(ns).is_none()
    }
}

/// One aggregate, and the commands about it: each was answered before the next one was sent.
#[derive(Debug, Default)]
pub(crate) struct Story {
    /// Where it is shown, once it was told.
    pub(crate) path: Option<String>,
    pub(crate) commands: Vec<Command>,
}

/// How a command went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Went {
    Answered,
    /// Nobody knows what became of it.
    Unknown,
    /// The service is gone, and nobody knows what became of it.
    Gone,
}

impl Story {
    /// Sends the next command.
    pub(crate) async fn go_on(&mut self, draft: Draft, client: &Client, url: &str) -> Went {
        self.commands.push(Command { draft, sent_ns: now_ns(), answered: None });
        self.send_last(client, url).await
    }

    /// Sends the last command again if it was not answered and has a key.
    pub(crate) async fn retry(&mut self, client: &Client, url: &str) -> Went {
        match self.commands.last() {
            Some(last) if last.answered.is_none() && last.draft.key.is_some() => {
                self.send_last(client, url).await
            }
            _ => Went::Answered,
        }
    }

    async fn send_last(&mut self, client: &Client, url: &str) -> Went {
        let last = self.commands.last_mut().expect("a command");
        match last.draft.send(client, url).await {
            Err(_) => Went::Gone,
            Ok(answer) if answer.status == 503 => Went::Unknown,
            Ok(answer) => {
                assert_eq!(answer.status, last.draft.expects, "{:?}: {answer:?}", last.draft);
                if self.path.is_none() {
                    self.path = path(&last.draft, &answer.body);
                }
                last.answered = Some((now_ns(), answer));
                Went::Answered
            }
        }
    }

    /// Whether it is known what became of every command.
    pub(crate) fn is_known(&self) -> bool {
        self.commands.iter().all(|command| command.answered.is_some())
    }

    /// The version after all that is known.
    pub(crate) fn version(&self) -> u64 {
        self.version_at(u64::MAX)
    }

    /// The version that somebody had been told of before `ns`.
    pub(crate) fn version_at(&self, ns: u64) -> u64 {
        self.commands.iter().filter(|command| command.accepted() && command.told_before(ns).is_some()).count()
            as u64
    }

    /// Accepted commands with the versions that they make.
    pub(crate) fn versions(&self) -> impl Iterator<Item = (u64, &Command)> {
        (1..).zip(self.commands.iter().filter(|command| command.accepted()))
    }

    /// The aggregate's id.
    pub(crate) fn id(&self) -> Option<&str> {
        self.path.as_ref().and_then(|path| path.rsplit('/').next())
    }
}

/// Where what a command has made is shown: `/users` and `user_id` make `/users/<id>`.
fn path(draft: &Draft, body: &Value) -> Option<String> {
    let one = draft.path.trim_start_matches('/').strip_suffix('s')?;
    let id = body[format!("{one}_id")].as_str()?;
    Some(format!("{}/{id}", draft.path))
}
