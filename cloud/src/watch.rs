//! The clock's half: what happens because time passes and not because an event came.
//!
//! Notices that are due (openings that were held back, reminders and escalations until somebody acknowledges, pictures that
//! are complete by now), stations that fell silent (`rhythm` says when, `heartbeat` keeps what is known of each, `absence`
//! when nobody was there to listen), deliveries whose claim was never finished, and incidents of rules that are no longer
//! configured.

pub mod absence;
pub mod heartbeat;
pub mod rhythm;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::deliver::{Lane, outbox};
use crate::process::plan::Plan;
use crate::process::transform::Transforms;
use crate::process::{incident, picture_notice};

const PERIOD: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub struct Watch {
    pub pool: PgPool,
    pub plan: Arc<Plan>,
    pub transforms: Transforms,
}

impl Watch {
    /// Does what is due, and says whether that made deliveries due.
    ///
    /// No step waits for another one to succeed: what goes wrong is logged, and the first error is returned once all were
    /// tried.
    pub async fn tick(&self, now: DateTime<Utc>) -> anyhow::Result<bool> {
        let mut failed = None;
        let mut woken = false;
        let mut step = |name: &'static str, done: anyhow::Result<bool>| match done {
            Ok(due) => woken |= due,
            Err(error) => {
                tracing::error!(step = name, error = format!("{error:#}"), "watch failed");
                failed.get_or_insert(error.context(name));
            }
        };
        step("unfinished deliveries", self.reclaim(now).await);
        step("silent stations", self.listen(now).await.map(|()| false));
        let told = incident::notices_due(&self.pool, &self.plan, &self.transforms, now).await;
        step("notices that are due", told.map(|told| told > 0));
        let shown = picture_notice::due(&self.pool, &self.plan, now).await;
        step("pictures that are due", shown.map(|shown| shown > 0));
        failed.map_or(Ok(woken), Err)
    }

    async fn reclaim(&self, now: DateTime<Utc>) -> anyhow::Result<bool> {
        let reclaimed = outbox::reclaim(&self.pool, now).await?;
        if reclaimed > 0 {
            tracing::warn!(
                deliveries = reclaimed,
                "claims that were never finished: these deliveries are due again"
            );
        }
        Ok(reclaimed > 0)
    }

    /// Opens the incidents of stations that fell silent; they are told with all others that are due.
    async fn listen(&self, now: DateTime<Utc>) -> anyhow::Result<()> {
        let mut transaction = self.pool.begin().await?;
        absence::awake(&mut transaction, now).await?;
        transaction.commit().await?;
        heartbeat::look(&self.pool, &self.plan, now).await?;
        Ok(())
    }
}

pub async fn run(watch: Watch, lanes: Vec<Lane>, clock: Clock, stop: CancellationToken) {
    let mut forgotten = false;
    loop {
        if !forgotten {
            forgotten = forget(&watch, clock.now()).await;
        }
        // Looks before it sleeps: a service that dies again and again would else never get to it. Also if something went
        // wrong, something else may have become due.
        if !matches!(watch.tick(clock.now()).await, Ok(false)) {
            lanes.iter().for_each(Lane::wake);
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Ends the incidents of rules that are no longer configured, and says whether that is done.
async fn forget(watch: &Watch, now: DateTime<Utc>) -> bool {
    match incident::forget_removed_rules(&watch.pool, &watch.plan, now).await {
        Ok(0) => true,
        Ok(incidents) => {
            tracing::warn!(
                incidents,
                "open incidents ended: their rules are no longer configured"
            );
            true
        }
        Err(error) => {
            tracing::error!(
                error = format!("{error:#}"),
                "incidents of removed rules not ended"
            );
            false
        }
    }
}
