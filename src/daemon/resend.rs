//! Resends dead letters and records that Lambda gave up, through a daemon of their own that takes them like readings of
//! a source.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use delivery::batch::Batch;
use tracing::warn;
use wire::Reading;

use super::{Daemon, sink_name};
use crate::config::Loaded;
use crate::control::overrides::Overrides;
use crate::daemon::services::Services;
use crate::dead_letter::{DeadLetterError, DeadLetters, Redrive};
use crate::source::Output;

/// Dead letters sent per batch.
const DEAD_LETTER_BATCH: usize = 256;

/// Resends dead letters under new identities. Returns the number of readings and the files they came from.
pub async fn send_dead_letters(loaded: Loaded) -> anyhow::Result<(u64, Vec<PathBuf>)> {
    let settings = &loaded.settings;
    let replay = DeadLetters::open(&settings.state_dir()?, &sink_name(settings))?.replay()?;
    let (replay, readings) = send(loaded, replay).await?;
    Ok((readings, replay.finish()?))
}

/// Resends what Lambda gave up, under new identities. Returns the number of readings sent, and the number of problems
/// that were reported for what could not be sent.
pub async fn send_given_up(loaded: Loaded, paths: &[PathBuf]) -> anyhow::Result<(u64, u64)> {
    let (redrive, readings) = send(loaded, Redrive::open(paths)?).await?;
    Ok((readings, redrive.problems()))
}

/// Sends readings through a daemon of their own, which may run beside the real one.
async fn send<R>(mut loaded: Loaded, readings: R) -> anyhow::Result<(R, u64)>
where
    R: Iterator<Item = Result<Reading, DeadLetterError>> + Send + 'static,
{
    let settings = &mut loaded.settings;
    settings.spool.dir = Some(settings.state_dir()?.join("dead-letter-spool"));
    settings.source.clear();
    settings.dashboard.listen.set_port(0);
    let front = Services::bind(&loaded.settings).await?;
    let mut daemon = Daemon::start(loaded, front, Overrides::default()).await?;
    let output = daemon.sources.as_ref().expect("just started").output();
    let feeding = tokio::spawn(feed(readings, output));
    let ended = daemon.watch().await;
    let (drained, _) = daemon.drain(ended.is_err(), false).await;
    ended?;
    drained?;
    feeding.await.context("reading what is to be resent")?
}

async fn feed<R>(mut replay: R, output: Output) -> anyhow::Result<(R, u64)>
where
    R: Iterator<Item = Result<Reading, DeadLetterError>>,
{
    let mut sent = 0;
    loop {
        let mut readings = Vec::with_capacity(DEAD_LETTER_BATCH);
        while readings.len() < DEAD_LETTER_BATCH
            && let Some(reading) = replay.next()
        {
            match reading {
                Ok(reading) => readings.push(reading),
                Err(error) => warn!("not sent, and left in place: {:#}", anyhow!(error)),
            }
        }
        if readings.is_empty() {
            return Ok((replay, sent));
        }
        sent += readings.len() as u64;
        output
            .send(Batch {
                readings,
                receipt: None,
            })
            .await?;
    }
}
