//! `GET /live`: server-sent events for open pages.
//!
//! `change` says what may look different, gathered for a second, so that a busy fleet does not make a page look all the
//! time. `beat` comes every fifteen seconds with the time here: a page that misses it knows that it is out of date. The
//! stream ends when the session does.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use futures_util::Stream;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use super::person::Person;
use crate::App;
use crate::live::Change;

const BEAT: Duration = Duration::from_secs(15);
const GATHER: Duration = Duration::from_secs(1);

/// Changes of about a second. Nothing in it means: look at everything.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Changes {
    everything: bool,
    deliveries: bool,
    devices: BTreeSet<String>,
    incidents: BTreeSet<i64>,
}

impl Changes {
    fn add(&mut self, change: Change) {
        match change {
            Change::Devices(devices) => self.devices.extend(devices),
            Change::Incident(id) => drop(self.incidents.insert(id)),
            Change::Deliveries => self.deliveries = true,
            Change::Everything => self.everything = true,
        }
    }

    fn hear(&mut self, heard: Result<Change, RecvError>) -> Result<(), Over> {
        match heard {
            Ok(change) => self.add(change),
            Err(RecvError::Lagged(_)) => self.everything = true,
            Err(RecvError::Closed) => return Err(Over),
        }
        Ok(())
    }
}

/// There will be no more.
struct Over;

struct Listening {
    app: App,
    headers: HeaderMap,
    changes: Receiver<Change>,
    beat: Instant,
}

pub async fn stream(
    State(app): State<App>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let listening = Listening {
        changes: app.live.hear(),
        app,
        headers,
        // The first one at once: it tells the page that it is connected.
        beat: Instant::now(),
    };
    let events = futures_util::stream::unfold(listening, |mut listening| async move {
        let event = listening.next().await.ok()?;
        Some((Ok(event), listening))
    });
    Sse::new(events)
}

impl Listening {
    async fn next(&mut self) -> Result<Event, Over> {
        let closing = self.app.closing.clone();
        tokio::select! {
            event = self.beat_or_change() => event,
            () = closing.cancelled() => Err(Over),
        }
    }

    async fn beat_or_change(&mut self) -> Result<Event, Over> {
        let Ok(first) = timeout_at(self.beat, self.changes.recv()).await else {
            self.beat = Instant::now() + BEAT;
            return self.beat().await;
        };
        let mut changes = Changes::default();
        changes.hear(first)?;
        let enough = Instant::now() + GATHER;
        while let Ok(more) = timeout_at(enough, self.changes.recv()).await {
            changes.hear(more)?;
        }
        Event::default()
            .event("change")
            .json_data(&changes)
            .map_err(|_| Over)
    }

    async fn beat(&self) -> Result<Event, Over> {
        // A database that is away ends nobody's session.
        if let Ok(None) = Person::of(&self.app, &self.headers).await {
            return Err(Over);
        }
        let now = self.app.clock.now();
        Ok(Event::default().event("beat").data(now.to_rfc3339()))
    }
}
