//! Notehub: events of synced notes, and the route that posts them.
//!
//! Stands between one emulated Notecard and a real service. Like the original it makes one event of each note, throws away
//! what it has seen before by the event's uid, keeps all events, and posts each to its HTTP route, where a 5xx answer, no
//! answer or a broken one is tried again, three times over about six minutes; anything else is final. It lives in the time
//! of its clock: retries wait in a queue until somebody calls `tick`, in the thread that calls, which is the only one.
//! Faults are switched while it runs. Not here: templates and what they do to numbers, which is the Notecard's part.

mod event;
mod go;
mod route;
mod uid;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value};

use crate::clock::Clock;
use event::Session;
use route::{Caller, Verdict};

pub use event::{Location, Station};
pub use route::{Attempt, Route, Source};
pub use uid::content_uid;

/// Notes that may wait for a device, as at Notehub.
const INBOX: usize = 100;
/// Bytes of a payload towards a device, as at Notehub.
const PAYLOAD: usize = 256;

/// A note as the Notecard uploads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Synced {
    pub file: String,
    /// Empty for queues (`.qo`).
    pub note_id: String,
    /// Unix s; None if the Notecard had no time when the note was added.
    pub when: Option<i64>,
    /// Null if the note has none.
    pub body: Value,
    pub payload: Option<Vec<u8>>,
}

/// A note for the device.
#[derive(Debug, Clone, PartialEq)]
pub struct Inbound {
    pub file: String,
    pub body: Value,
    pub payload: Option<Vec<u8>>,
}

/// What an inbound sync brings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Downlink {
    /// In the order in which they were sent; they come once.
    pub notes: Vec<Inbound>,
    /// All environment variables, every time.
    pub environment: BTreeMap<String, String>,
    /// When these last changed, Unix s; None if there never were any.
    pub environment_changed: Option<i64>,
}

/// What goes wrong between Notehub and the service, from now on. None of it in the default.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Faults {
    /// Nobody can be reached; retries go on.
    pub down: bool,
    /// Chance of an event being posted once more within ten minutes, although it was taken.
    pub repeat: f64,
    /// Events of one upload are posted in any order.
    pub shuffle: bool,
    /// Chance of an event being routed late, and by how much at most.
    pub late: f64,
    pub latest: Duration,
}

/// One project with one device in it and one route; clones are the same one.
#[derive(Debug, Clone)]
pub struct Notehub(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    caller: Caller,
    station: Station,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    chance: ChaCha8Rng,
    faults: Faults,
    session: Option<Session>,
    events: Vec<Arc<Map<String, Value>>>,
    known: HashSet<String>,
    /// By when (uptime) and by who came first.
    due: BTreeMap<(Duration, u64), Post>,
    posts: u64,
    log: Vec<Attempt>,
    inbox: Vec<Inbound>,
    environment: BTreeMap<String, String>,
    environment_changed: Option<i64>,
}

/// An event on its way to the service.
#[derive(Debug, Clone)]
struct Post {
    uid: String,
    text: Arc<str>,
    /// From 1.
    number: u32,
    source: Source,
}

impl Notehub {
    pub fn new(clock: Clock, seed: u64, route: Route, station: Station) -> Self {
        Self(Arc::new(Shared {
            clock,
            caller: Caller::new(route),
            station,
            state: Mutex::new(State {
                chance: ChaCha8Rng::seed_from_u64(seed),
                faults: Faults::default(),
                session: None,
                events: Vec::new(),
                known: HashSet::new(),
                due: BTreeMap::new(),
                posts: 0,
                log: Vec::new(),
                inbox: Vec::new(),
                environment: BTreeMap::new(),
                environment_changed: None,
            }),
        }))
    }

    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// The device connects. Without this the first notes begin a session.
    pub fn begin_session(&self, why: &str) {
        self.state().begin_session(&self.0, why);
        self.tick();
    }

    /// Takes what the device uploads, and posts what is new.
    pub fn receive(&self, notes: Vec<Synced>) {
        let mut state = self.state();
        if state.session.is_none() {
            state.begin_session(&self.0, "periodic sync (TLS)");
        }
        let mut new = Vec::new();
        for note in notes {
            new.extend(state.take(&self.0, note));
        }
        if state.faults.shuffle {
            new.shuffle(&mut state.chance);
        }
        for event in new {
            state.route(&self.0, &event);
        }
        drop(state);
        self.tick();
    }

    /// The device hangs up.
    pub fn end_session(&self) {
        self.state().end_session(&self.0);
        self.tick();
    }

    /// When something is next to be posted: uptime of the clock.
    pub fn next_due(&self) -> Option<Duration> {
        let state = self.state();
        state.due.first_key_value().map(|((due, _), _)| *due)
    }

    /// Posts whatever is due. How many attempts that were.
    pub fn tick(&self) -> usize {
        let mut attempts = 0;
        loop {
            let now = self.0.clock.uptime();
            let mut state = self.state();
            let Some(entry) = state.due.first_entry().filter(|entry| entry.key().0 <= now) else {
                return attempts;
            };
            let post = entry.remove();
            let down = state.faults.down;
            // Nobody waits for the lock while the service is asked.
            drop(state);
            attempts += 1;
            let began = self.0.clock.now();
            let answer = if down {
                route::unreachable()
            } else {
                self.0.caller.post(&post.text)
            };
            // In a simulated world nothing passes meanwhile, but nobody answers late in no time.
            let took = self
                .0
                .clock
                .uptime()
                .saturating_sub(now)
                .max(answer.at_least);
            let mut state = self.state();
            state.log.push(Attempt {
                began,
                took,
                event: post.uid.clone(),
                source: post.source,
                failed: answer.verdict != Verdict::Taken,
                status: answer.status,
                text: answer.text,
            });
            state.follow_up(&self.0, post, answer.verdict, now + took);
        }
    }

    /// All events, in the order in which they came to be.
    pub fn events(&self) -> Vec<Arc<Map<String, Value>>> {
        self.state().events.clone()
    }

    /// Every attempt at the route.
    pub fn log(&self) -> Vec<Attempt> {
        self.state().log.clone()
    }

    /// The first attempt of all, which tells whether anybody is there.
    pub fn first_attempt(&self) -> Option<Attempt> {
        self.state().log.first().cloned()
    }

    /// The latest attempt that failed.
    pub fn last_failure(&self) -> Option<Attempt> {
        let state = self.state();
        state
            .log
            .iter()
            .rev()
            .find(|attempt| attempt.failed)
            .cloned()
    }

    /// Events (uids) whose latest attempt failed and which will not be tried again: what a backfill is for.
    pub fn given_up(&self) -> Vec<String> {
        let state = self.state();
        let latest: BTreeMap<_, _> = state
            .log
            .iter()
            .map(|attempt| (&attempt.event, attempt.failed))
            .collect();
        let waits = |uid: &String| state.due.values().any(|post| post.uid == *uid);
        latest
            .into_iter()
            .filter(|(uid, failed)| *failed && !waits(uid))
            .map(|(uid, _)| uid.clone())
            .collect()
    }

    /// Posts an event again, as a person would who presses the button. False if there is no such event.
    pub fn reroute(&self, uid: &str) -> bool {
        let mut state = self.state();
        let event = state.events.iter().find(|event| event["event"] == uid);
        let Some(event) = event.cloned() else {
            return false;
        };
        let now = self.0.clock.uptime();
        state.enqueue(now, post(&event, Source::Manual));
        drop(state);
        self.tick();
        true
    }

    /// Puts a note into one of the device's inbound files (`cmd.qi`).
    pub fn send_note(&self, file: &str, body: Value) -> anyhow::Result<()> {
        self.send_note_with(file, body, None)
    }

    pub fn send_note_with(
        &self,
        file: &str,
        body: Value,
        payload: Option<Vec<u8>>,
    ) -> anyhow::Result<()> {
        let inbound = [".qi", ".qis", ".db", ".dbs", ".dbx"];
        ensure!(
            inbound.iter().any(|end| file.ends_with(end)),
            "a device gets no notes in {file}: such files end in {}",
            inbound.join(", ")
        );
        let length = payload.as_ref().map_or(0, Vec::len);
        ensure!(
            length <= PAYLOAD,
            "a payload has at most {PAYLOAD} bytes, not {length}"
        );
        let mut state = self.state();
        ensure!(
            state.inbox.len() < INBOX,
            "{INBOX} notes wait for the device already"
        );
        state.inbox.push(Inbound {
            file: file.to_owned(),
            body,
            payload,
        });
        Ok(())
    }

    /// Sets an environment variable of the device; an empty value takes it away.
    pub fn set_env(&self, name: &str, value: &str) {
        let now = self.0.clock.now().timestamp();
        let mut state = self.state();
        if value.is_empty() {
            state.environment.remove(name);
        } else {
            state.environment.insert(name.to_owned(), value.to_owned());
        }
        state.environment_changed = Some(now);
    }

    /// What an inbound sync brings to the device.
    pub fn downlink(&self) -> Downlink {
        let mut state = self.state();
        Downlink {
            notes: std::mem::take(&mut state.inbox),
            environment: state.environment.clone(),
            environment_changed: state.environment_changed,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn begin_session(&mut self, shared: &Shared, why: &str) {
        let session = Session::begin(shared.clock.now().timestamp(), &mut self.chance);
        let environment = self
            .environment
            .iter()
            .filter(|(name, _)| name.starts_with('$'))
            .map(|(name, value)| (name.clone(), Value::from(value.clone())))
            .collect();
        let event = event::session_begin(
            &shared.station,
            &session,
            why,
            environment,
            shared.clock.now(),
            &mut self.chance,
        );
        self.session = Some(session);
        self.keep_and_route(shared, event);
    }

    fn end_session(&mut self, shared: &Shared) {
        let Some(session) = self.session.take() else {
            return;
        };
        let now = shared.clock.now();
        let event = event::session_end(&shared.station, &session, now, &mut self.chance);
        self.keep_and_route(shared, event);
    }

    fn keep_and_route(&mut self, shared: &Shared, event: Map<String, Value>) {
        let event = Arc::new(event);
        self.events.push(event.clone());
        self.route(shared, &event);
    }

    /// The event of a note, unless there was one like it.
    fn take(&mut self, shared: &Shared, note: Synced) -> Option<Arc<Map<String, Value>>> {
        let session = self.session.as_mut()?;
        session.count(&note);
        let now = shared.clock.now();
        let event = event::of_note(&shared.station, session, note, now, &mut self.chance);
        let uid = event["event"].as_str().unwrap_or_default().to_owned();
        if !self.known.insert(uid) {
            return None;
        }
        session.routed += 1;
        let event = Arc::new(event);
        self.events.push(event.clone());
        Some(event)
    }

    fn route(&mut self, shared: &Shared, event: &Map<String, Value>) {
        let file = event["file"].as_str().unwrap_or_default();
        if !shared.caller.route().passes(file) {
            return;
        }
        let mut due = shared.clock.uptime();
        if self.faults.late > 0.0 && self.chance.random_bool(self.faults.late.min(1.0)) {
            due += self.faults.latest.mul_f64(self.chance.random::<f64>());
        }
        self.enqueue(due, post(event, Source::Normal));
    }

    fn enqueue(&mut self, due: Duration, post: Post) {
        self.posts += 1;
        self.due.insert((due, self.posts), post);
    }

    fn follow_up(&mut self, shared: &Shared, post: Post, verdict: Verdict, now: Duration) {
        match verdict {
            Verdict::Failed if shared.caller.route().retry => {
                if let Some(wait) = route::wait(post.number, &mut self.chance) {
                    let again = Post {
                        number: post.number + 1,
                        source: Source::Retry,
                        ..post
                    };
                    self.enqueue(now + wait, again);
                }
            }
            Verdict::Taken if self.faults.repeat > 0.0 => {
                if self.chance.random_bool(self.faults.repeat.min(0.9)) {
                    let wait = Duration::from_mins(10).mul_f64(self.chance.random::<f64>());
                    self.enqueue(now + wait, post);
                }
            }
            Verdict::Taken | Verdict::Failed | Verdict::Refused => {}
        }
    }
}

fn post(event: &Map<String, Value>, source: Source) -> Post {
    Post {
        uid: event["event"].as_str().unwrap_or_default().to_owned(),
        text: go::event(event).into(),
        number: 1,
        source,
    }
}
