//! A service that was started on an image, compared with what clients had been told before the cut: over HTTP, and in the
//! log.

use std::collections::BTreeMap;

use daybook_event::token::Token;
use daybook_kafka::Kafka;
use quickstart::client::{Answer, Client};
use serde_json::Value;

use super::log::{self, Event};
use super::story::{Command, Story};

/// Of so many aggregates that nobody had spoken of lately, one is asked for: others at each cut.
const ASKED_EVERY: u64 = 4;
/// Of so many keys one is repeated.
const REPEATED_EVERY: u64 = 10;
/// What was said so shortly before the cut is looked at as a whole.
const LATELY_NS: u64 = 100_000_000;

/// What had been told before a cut.
#[derive(Clone, Copy)]
pub(crate) struct Told<'s> {
    pub(crate) stories: &'s [Story],
    pub(crate) ns: u64,
}

/// What tells the first event of one aggregate from that of any other: a client uses it once.
pub(crate) type Mark = fn(&Value) -> String;

impl Told<'_> {
    /// Every aggregate is shown with at least what was told of it, and with nothing that nobody asked for.
    pub(crate) async fn is_shown(&self, client: &Client, url: &str) -> Result<(), String> {
        for (story, number) in self.stories.iter().zip(self.ns..) {
            let Some(path) =
                story.path.as_ref().filter(|_| self.is_looked_at(&story.commands, number, ASKED_EVERY))
            else {
                continue;
            };
            let answer =
                client.get(&format!("{url}{path}")).send().await.map_err(|error| error.to_string())?;
            self.shown(story, &answer).map_err(|failure| format!("{path}: {failure}: {answer:?}"))?;
        }
        Ok(())
    }

    /// Whether one of the commands was under way lately, or it is this one's turn.
    fn is_looked_at(&self, commands: &[Command], number: u64, every: u64) -> bool {
        let lately =
            |command: &Command| command.under_way_at(self.ns) || command.told_since(self.ns - LATELY_NS);
        number.is_multiple_of(every) || commands.iter().any(lately)
    }

    fn shown(&self, story: &Story, answer: &Answer) -> Result<(), String> {
        let told = story.version_at(self.ns);
        let by_version: BTreeMap<u64, &Command> = story.versions().collect();
        let may = |version: u64| {
            let sent = by_version.get(&version).is_some_and(|command| command.under_way_at(self.ns));
            version == told || (version == told + 1 && sent)
        };
        let kind = answer.body["type"].as_str().unwrap_or_default();
        match answer.status {
            200 => {}
            404 if kind.ends_with("-unknown") && told == 0 => return Ok(()),
            404 if kind.ends_with("-deleted") => {
                let gone = |(version, command): (&u64, &&Command)| may(*version) && is_deletion(command);
                return by_version.iter().any(gone).then_some(()).ok_or("nobody deleted it".to_owned());
            }
            _ => return Err(format!("version {told} was acknowledged")),
        }
        let version = answer.etag.as_deref().and_then(|etag| etag.trim_matches('"').parse().ok());
        let version: u64 = version.ok_or("no version is shown")?;
        if !may(version) {
            return Err(format!("version {told} was acknowledged"));
        }
        match by_version.get(&version) {
            Some(command) if !is_deletion(command) && !is_result(command, &answer.body) => {
                Err(format!("that is not what {:?} makes of it", command.draft))
            }
            Some(_) => Ok(()),
            None => Err("nobody made it".to_owned()),
        }
    }

    /// Whoever repeats a command with its key gets the first answer again, or that of a command that is decided now.
    pub(crate) async fn is_repeated(&self, client: &Client, url: &str) -> Result<(), String> {
        for (command, number) in self.keyed().zip(self.ns..) {
            if !self.is_looked_at(std::slice::from_ref(command), number, REPEATED_EVERY) {
                continue;
            }
            let draft = &command.draft;
            let again = draft.send(client, url).await.map_err(|error| format!("{draft:?}: {error}"))?;
            let same = command.told_before(self.ns).is_none_or(|first| is_same(first, &again));
            if again.status != draft.expects || !same {
                let first = command.told_before(self.ns);
                return Err(format!("{draft:?} was answered with {first:?}, repeated with {again:?}"));
            }
        }
        Ok(())
    }

    /// Commands with keys that had been sent, of every story in their order.
    fn keyed(&self) -> impl Iterator<Item = &Command> {
        let commands = self.stories.iter().flat_map(|story| &story.commands);
        let sent =
            |command: &&Command| command.told_before(self.ns).is_some() || command.under_way_at(self.ns);
        commands.filter(|command| command.draft.key.is_some()).filter(sent)
    }

    /// Everything that was told is in the log where it was told to be, every aggregate's events are there in their order, and
    /// nothing was done twice.
    pub(crate) fn is_in_the_log(&self, kafka: &Kafka, topic: &str, mark: Mark) -> Result<(), String> {
        let events = log::events(kafka, topic)?;
        let mut last_of: BTreeMap<&str, u64> = BTreeMap::new();
        let mut firsts: BTreeMap<String, (i32, u64)> = BTreeMap::new();
        for (at, event) in &events {
            let last = last_of.entry(&event.subject).or_default();
            if event.version != *last + 1 {
                return Err(format!(
                    "{at:?} has version {} of {} behind {last}",
                    event.version, event.subject
                ));
            }
            *last = event.version;
            if let Some(before) =
                (event.version == 1).then(|| firsts.insert(mark(&event.data), *at)).flatten()
            {
                return Err(format!("{at:?} does again what {before:?} has done: {event:?}"));
            }
        }
        self.stories.iter().try_for_each(|story| self.story_in_the_log(story, topic, &events, &last_of))
    }

    fn story_in_the_log(
        &self,
        story: &Story,
        topic: &str,
        events: &BTreeMap<(i32, u64), Event>,
        last_of: &BTreeMap<&str, u64>,
    ) -> Result<(), String> {
        let Some(id) = story.id() else { return Ok(()) };
        for (version, command) in story.versions() {
            let Some(answer) = command.told_before(self.ns) else { continue };
            let at = written(answer, topic)?;
            match events.get(&at) {
                Some(event) if event.subject == id && event.version == version => {}
                found => {
                    return Err(format!(
                        "version {version} of {id} was to be at {at:?}, where there is {found:?}"
                    ));
                }
            }
        }
        let (told, last) = (story.version_at(self.ns), last_of.get(id).copied().unwrap_or(0));
        let next = story.versions().find(|(version, _)| *version == told + 1);
        let under_way = next.is_some_and(|(_, command)| command.under_way_at(self.ns));
        // A command under way that made something new may now have made it under another id.
        if last < told || last > told + u64::from(under_way) {
            return Err(format!("{id} has version {last} in the log, and {told} was acknowledged"));
        }
        Ok(())
    }
}

fn is_deletion(command: &Command) -> bool {
    command.draft.method == quickstart::client::Method::DELETE
}

/// Whether a state is what a command has made, as far as that is known.
fn is_result(command: &Command, state: &Value) -> bool {
    match command.answer() {
        Some(answer) => answer.body == *state,
        None => {
            let asked = command.draft.body.as_object();
            asked.is_some_and(|asked| asked.iter().all(|(member, value)| state[member] == *value))
        }
    }
}

fn is_same(first: &Answer, again: &Answer) -> bool {
    let parts =
        |answer: &Answer| (answer.status, answer.token.clone(), answer.etag.clone(), answer.body.clone());
    parts(first) == parts(again)
}

/// Partition and position of what a command has written.
fn written(answer: &Answer, topic: &str) -> Result<(i32, u64), String> {
    let token: Option<Token> = answer.token.as_deref().and_then(|token| token.parse().ok());
    let positions = token.map(|token| token.positions).unwrap_or_default();
    let own = positions.iter().find(|position| position.topic == topic);
    own.map(|own| (own.partition, own.position)).ok_or(format!("no position in {answer:?}"))
}
