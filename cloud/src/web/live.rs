//! `GET /live`: server-sent events for open pages.
//!
//! `change` says what may look different, gathered for a second, so that a busy fleet does not make a page look all the
//! time. `beat` comes every fifteen seconds with the time here and whether changes are heard at all (the database answers,
//! and the listener is connected): a page that misses it, or is told that nothing is heard, knows that it may be out of
//! date. The stream ends when the session does. There is room for so many streams and no more.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use chrono::{DateTime, Utc};
use futures_util::Stream;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout, timeout_at};

use super::person::Person;
use super::probe;
use crate::App;
use crate::error::Error;
use crate::live::Change;

const BEAT: Duration = Duration::from_secs(15);
const GATHER: Duration = Duration::from_secs(1);
/// A database that takes longer to answer a beat does not answer.
const ANSWER: Duration = Duration::from_secs(2);
/// Each stream keeps a connection and asks for its session every fifteen seconds: this many are some thirty queries a
/// second, beside which the fleet's events still have their way.
const STREAMS: usize = 500;
/// More windows than anybody watches at once. It is for a session, or for whoever sends a token.
const STREAMS_OF_ONE: usize = 20;

/// Counts the streams, by whose they are.
#[derive(Debug, Clone, Default)]
pub struct Seats(Arc<Mutex<HashMap<String, usize>>>);

/// One stream's, until it ends.
#[derive(Debug)]
struct Seat {
    seats: Seats,
    whose: String,
}

impl Seats {
    fn take(&self, whose: String) -> Option<Seat> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = taken.get(&whose).copied().unwrap_or_default();
        if of_one >= STREAMS_OF_ONE || taken.values().sum::<usize>() >= STREAMS {
            return None;
        }
        taken.insert(whose.clone(), of_one + 1);
        Some(Seat {
            seats: self.clone(),
            whose,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.whose);
            }
        }
    }
}

/// What a page is told every fifteen seconds.
#[derive(Debug, Serialize)]
struct Beat {
    at: DateTime<Utc>,
    heard: bool,
}

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
    _seat: Seat,
}

pub async fn stream(
    State(app): State<App>,
    person: Person,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Error> {
    // With a session each browser counts for itself: many may share the people token.
    let whose = person.csrf.unwrap_or(person.name);
    let seat = app
        .seats
        .take(whose)
        .ok_or_else(|| Error::Unavailable("too many pages are open".into()))?;
    let listening = Listening {
        changes: app.live.hear(),
        app,
        headers,
        // The first one at once: it tells the page that it is connected.
        beat: Instant::now(),
        _seat: seat,
    };
    let events = futures_util::stream::unfold(listening, |mut listening| async move {
        let event = listening.next().await.ok()?;
        Some((Ok(event), listening))
    });
    Ok(Sse::new(events))
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
        // A fleet that never rests does not put it off: the session is asked for with it.
        let first = if Instant::now() < self.beat {
            timeout_at(self.beat, self.changes.recv()).await.ok()
        } else {
            None
        };
        let Some(first) = first else {
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
        let person = timeout(ANSWER, Person::of(&self.app, &self.headers)).await;
        if let Ok(Ok(None)) = person {
            return Err(Over);
        }
        let beat = Beat {
            at: self.app.clock.now(),
            heard: self.app.live.is_connected()
                && matches!(person, Ok(Ok(_)))
                // A token needs no database to be known.
                && probe::answers(&self.app).await,
        };
        Event::default()
            .event("beat")
            .json_data(&beat)
            .map_err(|_| Over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_many_streams() {
        let seats = Seats::default();
        let take = |whose: &str| seats.take(whose.to_owned());
        let mut ann: Vec<_> = (0..STREAMS_OF_ONE).map_while(|_| take("ann")).collect();
        assert_eq!(ann.len(), STREAMS_OF_ONE);
        assert!(take("ann").is_none());
        assert!(take("bob").is_some(), "others have theirs");
        ann.pop();
        ann.extend(take("ann"));
        assert_eq!(ann.len(), STREAMS_OF_ONE, "what ends makes room");
        let all: Vec<_> = (0..STREAMS)
            .map_while(|one| take(&one.to_string()))
            .collect();
        assert_eq!(all.len() + ann.len(), STREAMS);
        drop((all, ann));
        assert!(
            seats.0.lock().expect("unpoisoned").is_empty(),
            "nobody is remembered"
        );
    }
}
