//! `--status`: what is published, how far it is, and who has it.

use std::path::PathBuf;
use std::time::Duration;

use crate::generation::Moment;
use crate::read_model::Withdrawn;
use crate::verify::{Client, QuarantineShown, Served, VerifyError};
use crate::{Checkpoint, Generation, GenerationError, Layout, generation, sources};
use daybook_kafka::topics::{self, Watermarks};
use serde_json::{Value, json};

use super::flags::Settings;
use super::manage::existing;
use super::{Failure, holder, say};

/// A status is not worth waiting long for.
const REACHABLE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn run(settings: &Settings, layout: &Layout) -> Result<(), Failure> {
    let left = left(settings)?;
    let Some((name, path)) = published(settings)? else {
        let sentence = VerifyError::Nothing.to_string();
        let status = json!({
            "generation": null, "unfinished": left.unfinished, "withdrawn": left.withdrawn, "rebuild": left.rebuild,
        });
        return say(settings, &status, left.after(sentence));
    };
    let bytes_on_disk = generation::bytes_on_disk(&path).map_err(Failure::failed)?;
    let status = match Generation::open(&path, layout, &holder()) {
        Ok(generation) => {
            let moment = generation.moment();
            // Not kept open while Kafka is asked: a process may want to serve it.
            drop(generation);
            let mut status = opened(settings, layout, &name, &moment, bytes_on_disk)?;
            let quarantine = QuarantineShown::of(&moment.quarantine);
            let skipped = existing(settings)?.skipped().map_err(Failure::failed)?;
            put_quarantine(&mut status, Some(QuarantineShown { skipped, ..quarantine }));
            status
        }
        Err(GenerationError::InUse { holder, .. }) => {
            let mut status = in_use(&name, &holder, bytes_on_disk);
            // The process that has it may not answer: then it is not known.
            let client = Client::new(&settings.data_dir, holder);
            put_quarantine(&mut status, Served::Remote(client).quarantine().ok());
            status
        }
        Err(error) => return Err(Failure::failed(error)),
    };
    let mut status = status;
    status["unfinished"] = json!(left.unfinished);
    status["withdrawn"] = json!(left.withdrawn);
    status["rebuild"] = left.rebuild.clone();
    say(settings, &status, left.after(as_text(&status)))
}

struct Left {
    unfinished: Vec<String>,
    withdrawn: Vec<Withdrawn>,
    rebuild: Value,
}

fn left(settings: &Settings) -> Result<Left, Failure> {
    let read_model = existing(settings)?;
    let unfinished = read_model.unfinished().map_err(Failure::failed)?;
    let withdrawn = read_model.withdrawn().map_err(Failure::failed)?;
    let rebuild = read_model.rebuild_at_work();
    let rebuild = rebuild.map(|at_work| json!({ "by": at_work.holder, "progress": at_work.progress }));
    Ok(Left { unfinished, withdrawn, rebuild: rebuild.unwrap_or_default() })
}

impl Left {
    fn after(&self, mut text: String) -> String {
        for Withdrawn { generation, served, why } in &self.withdrawn {
            text += &format!(
                "\nwithdrawn: {generation}, while {served} was served: {why}; the next `projector --replay` removes it, with `--accept-difference WHY` it publishes all the same what it builds"
            );
        }
        let names = self.unfinished.join(", ");
        match (&self.rebuild, self.unfinished.is_empty()) {
            (Value::Null, true) => text,
            (Value::Null, false) => {
                format!(
                    "{text}\nunfinished: {names}; `projector --replay` resumes it, `projector --discard` removes it"
                )
            }
            (rebuild, _) => {
                format!("{text}\nbeing built by {}: {names}", rebuild["by"].as_str().unwrap_or_default())
            }
        }
    }
}

/// Name and directory of the published generation. Creates nothing.
pub(super) fn published(settings: &Settings) -> Result<Option<(String, PathBuf)>, Failure> {
    let read_model = existing(settings)?;
    let name = read_model.current().map_err(Failure::failed)?;
    Ok(name.map(|name| (name.clone(), read_model.path_of(&name))))
}

fn opened(
    settings: &Settings,
    layout: &Layout,
    name: &str,
    moment: &Moment,
    bytes_on_disk: u64,
) -> Result<Value, Failure> {
    let checkpoint = &moment.checkpoint;
    let (log, log_problem) = match ends(settings, checkpoint) {
        Ok(log) => (Some(log), None),
        Err(problem) => (None, Some(problem)),
    };
    let partition = |index: usize| {
        let (source, at) = checkpoint.sources().nth(index)?;
        let end = log.as_ref().and_then(|log| log.get(index)).map(|held| held.high);
        Some(json!({
            "topic": &*source.topic,
            "partition": source.partition,
            "checkpoint": at.next_offset,
            "position": at.next_position,
            "end_offset": end,
            "lag": end.map(|end| (end - at.next_offset).max(0)),
            "set_aside": at.set_aside.records,
            "end_unproven": at.is_end_unproven(),
        }))
    };
    Ok(json!({
        "generation": name,
        "layout": layout.to_string(),
        "in_use_by": null,
        "digest": moment.digest.to_string(),
        "bytes_on_disk": bytes_on_disk,
        "events": checkpoint.events(),
        "partitions": (0..checkpoint.sources().len()).filter_map(partition).collect::<Vec<_>>(),
        "log": log_problem,
    }))
}

fn in_use(name: &str, holder: &str, bytes_on_disk: u64) -> Value {
    json!({ "generation": name, "in_use_by": holder, "bytes_on_disk": bytes_on_disk })
}

/// What waits, and what is left out; `null` if it is not known.
fn put_quarantine(status: &mut Value, shown: Option<QuarantineShown>) {
    status["quarantine"] = shown.as_ref().map_or(Value::Null, |shown| json!(shown.keys));
    status["skipped"] = shown.map_or(Value::Null, |shown| json!(shown.skipped));
}

/// A line for each key whose events wait, and each event that is left out.
fn quarantine_lines(status: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let all = |member: &str| status[member].as_array().cloned().unwrap_or_default();
    let place =
        |at: &Value, position: &str| format!("{}/{}@{}", text(&at["topic"]), at["partition"], at[position]);
    let parked = |key: Value| {
        let (at, reason) = (place(&key, "since_position"), text(&key["reason"]));
        format!("in quarantine: {} since {at}, {} events wait: {reason}", text(&key["key"]), key["waiting"])
    };
    let skipped = |event: Value| {
        let (at, why) = (place(&event, "position"), text(&event["why"]));
        format!("left out since {}: {at} of {}: {why}", text(&event["at"]), text(&event["key"]))
    };
    all("quarantine").into_iter().map(parked).chain(all("skipped").into_iter().map(skipped)).collect()
}

fn ends(settings: &Settings, checkpoint: &Checkpoint) -> Result<Vec<Watermarks>, String> {
    let kafka = &settings.kafka;
    topics::wait_reachable(kafka, REACHABLE_TIMEOUT).map_err(|error| error.to_string())?;
    topics::all_watermarks(kafka, &sources::partitions(checkpoint)).map_err(|error| error.to_string())
}

fn as_text(status: &Value) -> String {
    let text =
        |member: &str| status[member].as_str().map_or_else(|| status[member].to_string(), str::to_owned);
    let head = format!("generation {}, {} bytes on disk", text("generation"), text("bytes_on_disk"));
    if status["in_use_by"].is_string() {
        let in_use = format!(
            "{head}\nin use by {}: only that process knows checkpoint and digest; see its GET /status",
            text("in_use_by")
        );
        return [vec![in_use], quarantine_lines(status)].concat().join("\n");
    }
    let mut lines = vec![
        head,
        format!("layout {}, {} events, digest {}", text("layout"), text("events"), text("digest")),
    ];
    lines.extend(status["partitions"].as_array().into_iter().flatten().map(|partition| {
        let set_aside = match (partition["set_aside"].as_u64(), partition["end_unproven"] == true) {
            (Some(1..), true) => format!(", {} set aside, end unproven", partition["set_aside"]),
            (Some(1..), false) => format!(", {} set aside", partition["set_aside"]),
            _ => String::new(),
        };
        format!(
            "{}/{}: next offset {}, next position {}, end offset {}, lag {}{set_aside}",
            partition["topic"].as_str().unwrap_or_default(),
            partition["partition"],
            partition["checkpoint"],
            partition["position"],
            partition["end_offset"],
            partition["lag"]
        )
    }));
    if status["log"].is_string() {
        lines.push(format!("end offsets are unknown: {}", text("log")));
    }
    let lags = |partition: &Value| partition["lag"].as_i64().is_some_and(|lag| lag > 0);
    if status["partitions"].as_array().is_some_and(|partitions| partitions.iter().any(lags)) {
        lines.push(
            "what comes after these offsets has not been read here; the process that serves reports what of it waits"
                .to_owned(),
        );
    }
    lines.extend(quarantine_lines(status));
    lines.join("\n")
}
