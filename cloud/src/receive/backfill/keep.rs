//! The events of a page, put where those go that are posted.

use anyhow::Result;
use chrono::{DateTime, Utc};
use futures_util::future::join_all;

use super::{Backfill, Tally};
use crate::receive::event;
use crate::receive::store::{self, StoreError, Stored};

/// How many events are handed to the writers at once: fewer than what makes processing step back.
const AT_ONCE: usize = 12;

impl Backfill {
    /// Stores events that were not there, and counts what became of each.
    pub(super) async fn store(
        &self,
        events: &[String],
        tally: &mut Tally,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let mut wanted = Vec::new();
        for text in events {
            let read = if text.len() > self.body_limit {
                Err("it is larger than server.body_limit".to_owned())
            } else {
                event::parse(text.as_bytes(), now).map_err(|why| why.to_string())
            };
            match read {
                Ok(event) if !self.config.system_files && is_of_notehub(&event.file) => {
                    tally.skipped += 1;
                }
                Ok(event) => wanted.push((event, text)),
                Err(why) => self.reject(&why, text, tally, now).await?,
            }
        }
        while !wanted.is_empty() {
            let rest = wanted.split_off(AT_ONCE.min(wanted.len()));
            let (batch, texts): (Vec<_>, Vec<_>) = wanted.into_iter().unzip();
            let answers = join_all(batch.into_iter().map(|event| self.intake.store(event))).await;
            wanted = rest;
            for (answer, text) in answers.into_iter().zip(texts) {
                match answer {
                    Ok(Stored::New) => tally.new += 1,
                    Ok(Stored::Duplicate) => tally.known += 1,
                    Err(StoreError::Refused(why)) => {
                        let why = format!("the database refuses it: {why}");
                        self.reject(&why, text, tally, now).await?;
                    }
                    Err(why @ (StoreError::Overloaded | StoreError::Unavailable)) => {
                        return Err(why.into());
                    }
                }
            }
        }
        Ok(())
    }

    async fn reject(
        &self,
        why: &str,
        text: &str,
        tally: &mut Tally,
        now: DateTime<Utc>,
    ) -> sqlx::Result<()> {
        let reason = format!("fetched from Notehub: {why}");
        if store::reject_once(&self.pool, now, &reason, text.as_bytes()).await? {
            tracing::warn!(reason, bytes = text.len(), "event rejected");
            tally.rejected += 1;
        } else {
            tally.known += 1;
        }
        Ok(())
    }
}

/// Whether it is a notefile of Notehub's own, behind a gateway too.
fn is_of_notehub(file: &str) -> bool {
    file.rsplit('#').next().unwrap_or_default().starts_with('_')
}
