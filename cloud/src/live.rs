//! Changes, told to whoever has a page open.
//!
//! A change is announced in the transaction that makes it (`NOTIFY`), so it is heard when it can be seen and by every
//! replica. Each process listens once and passes on to its open pages. A hint, not the truth: pages also look again by
//! themselves, and what is missed while the database is away is made up for by telling that everything may have changed.
//! Whether it listens right now is known (`is_connected`): it calls itself through the database now and then, so that a
//! connection that only seems to be there is found out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::postgres::PgListener;
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::App;

const CHANNEL: &str = "thermal_watch";
/// A page that is further behind is told that everything may have changed.
const BACKLOG: usize = 256;
/// More stations than these in one batch are told as everything: a notification holds 8,000 bytes.
const NAMED: usize = 40;
const AGAIN: Duration = Duration::from_secs(5);
/// How long it may be quiet before the listener calls itself, and how long the call may then take.
const QUIET: Duration = Duration::from_secs(15);
/// What the listeners call out. Every replica hears it and passes it on to nobody.
const CALL: &str = "\"call\"";

/// What may look different now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Devices(BTreeSet<String>),
    Incident(i64),
    Deliveries,
    Everything,
}

impl Change {
    pub fn of_devices<'a>(devices: impl IntoIterator<Item = &'a str>) -> Self {
        let devices: BTreeSet<String> = devices.into_iter().map(str::to_owned).collect();
        let long = devices.iter().map(String::len).sum::<usize>() > 4_000;
        if long || devices.len() > NAMED {
            Self::Everything
        } else {
            Self::Devices(devices)
        }
    }
}

/// Tells the change once the transaction is committed.
pub async fn announce(connection: &mut PgConnection, change: &Change) -> sqlx::Result<()> {
    let payload = serde_json::to_string(change).unwrap_or_default();
    sqlx::query!("SELECT pg_notify($1, $2)", CHANNEL, payload)
        .execute(connection)
        .await?;
    Ok(())
}

/// Where open pages hear of changes.
#[derive(Debug, Clone)]
pub struct Live {
    changes: broadcast::Sender<Change>,
    connected: Arc<AtomicBool>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            changes: broadcast::Sender::new(BACKLOG),
            connected: Arc::default(),
        }
    }
}

impl Live {
    pub fn hear(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Whether changes are heard at the moment.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    fn tell(&self, change: Change) {
        // Nobody may be listening.
        let _ = self.changes.send(change);
    }
}

/// Listens until `stop`.
pub async fn run(app: App, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let listened = tokio::select! {
            listened = listen(&app) => listened,
            () = stop.cancelled() => return,
        };
        app.live.connected.store(false, Ordering::Relaxed);
        if let Err(error) = listened {
            tracing::warn!(error = %error, "changes are not heard; open pages look by themselves");
        }
        tokio::select! { () = tokio::time::sleep(AGAIN) => {}, () = stop.cancelled() => {} }
    }
}

/// Until the connection is lost.
async fn listen(app: &App) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(&app.pool).await?;
    listener.listen(CHANNEL).await?;
    app.live.connected.store(true, Ordering::Relaxed);
    app.live.tell(Change::Everything);
    let mut called = false;
    let mut patience = Instant::now() + QUIET;
    loop {
        let Ok(heard) = timeout_at(patience, listener.try_recv()).await else {
            if called {
                return Err(sqlx::Error::PoolTimedOut);
            }
            timeout(QUIET, call(app))
                .await
                .map_err(|_| sqlx::Error::PoolTimedOut)??;
            called = true;
            patience = Instant::now() + QUIET;
            continue;
        };
        let Some(notification) = heard? else {
            return Ok(());
        };
        called = false;
        patience = Instant::now() + QUIET;
        if notification.payload() != CALL {
            let change = serde_json::from_str(notification.payload()).unwrap_or(Change::Everything);
            app.live.tell(change);
        }
    }
}

/// On another connection: the listener's own may be dead without knowing.
async fn call(app: &App) -> sqlx::Result<()> {
    sqlx::query!("SELECT pg_notify($1, $2)", CHANNEL, CALL)
        .execute(&app.pool)
        .await?;
    Ok(())
}
