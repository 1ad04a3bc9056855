//! D's read model, built again from offset zero beside the one that is served, then swapped in and compared.

use std::time::{Duration, Instant};

use daybook::AppSettings;
use daybook_projection::{Generation, ReadModel, ReplayOptions, ReplayReport};
use daybook_service::Stop;
use daybook_service::program::chain;
use quickstart::client::Client;
use quickstart::shop::Urls;

use crate::print;
use crate::story::Played;

/// How long D may take to notice the new generation and to catch up in it.
const SWAP_WITHIN: Duration = Duration::from_secs(60);
/// Pause between two looks at D's status.
const SWAP_POLL: Duration = Duration::from_millis(50);

/// Who holds a directory meanwhile, for others who want it.
const HOLDER: &str = "daybook";

/// Replays, waits for the swap, asks the same question again and compares answer and digest.
/// Errors: A sentence; also when answer or digest differ.
pub(crate) async fn show(
    client: &Client,
    settings: &AppSettings,
    urls: &Urls,
    played: &Played,
) -> Result<(), String> {
    print::step("D's read model is built again from offset zero, while D keeps serving");
    let before = generation(client, urls).await?;
    let report = replay(settings).await?;
    served(client, urls, &report.generation).await?;
    let asked = client.get(&played.question).after(&played.token).send_ok().await;
    let same_answer = asked.map_err(|error| chain(&error))?.body == played.answer;
    let old_digest = digest(settings, &before)?;
    let digest = report.digest.to_string();
    print::rebuilt(report.events, (&before, &old_digest), (&report.generation, &digest), same_answer);
    if same_answer && old_digest == digest {
        return Ok(());
    }
    Err("the rebuilt read model differs from the one it was to replace".to_owned())
}

async fn replay(settings: &AppSettings) -> Result<ReplayReport, String> {
    let (kafka, directory) = (settings.kafka.clone(), settings.read_model_dir());
    let options = ReplayOptions::new(settings.partitions, HOLDER.to_owned());
    let work = move || {
        let read_model = ReadModel::open(&directory).map_err(|error| chain(&error))?;
        let never = Stop::default();
        let built = daybook_projection::replay(
            &kafka,
            &read_model,
            projector::projection(),
            &options,
            |_| {},
            &never,
        );
        built.map_err(|error| chain(&error))
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?
}

async fn served(client: &Client, urls: &Urls, wanted: &str) -> Result<(), String> {
    let deadline = Instant::now() + SWAP_WITHIN;
    while generation(client, urls).await? != wanted {
        if Instant::now() > deadline {
            return Err(format!("D did not switch to {wanted} within {} s", SWAP_WITHIN.as_secs()));
        }
        tokio::time::sleep(SWAP_POLL).await;
    }
    Ok(())
}

async fn generation(client: &Client, urls: &Urls) -> Result<String, String> {
    let status =
        client.get(&format!("{}/status", urls.query)).send_ok().await.map_err(|error| chain(&error))?;
    Ok(status.body["generation"].as_str().unwrap_or_default().to_owned())
}

/// Of the generation that was served before: it is kept, and closed once D has swapped.
fn digest(settings: &AppSettings, name: &str) -> Result<String, String> {
    let read_model = ReadModel::open(&settings.read_model_dir()).map_err(|error| chain(&error))?;
    let generation = Generation::open(&read_model.path_of(name), &projector::layout(), HOLDER);
    let generation = generation.map_err(|error| chain(&error))?;
    Ok(generation.digest().to_string())
}
