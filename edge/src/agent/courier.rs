//! The courier: hands what waits in the spool to the Notecard, and brings back what the cloud wants.
//!
//! A step does what is due and says when the next one is. Whatever fails is tried again after a while that grows; a
//! transaction has a deadline, so a step ends whatever the Notecard does. Nothing leaves the spool before the Notecard has
//! said that it has it, and nothing that is asked beside (`aside`) keeps notes from being handed over by being refused.

use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;
use crate::hardware::Station;
use crate::health::Worker;
use crate::note::{Class, HEALTH, Note, Template};
use crate::send::notecard::{Notecard, NotecardError, Reason};
use crate::send::request::Request;
use crate::send::request::card::CardAttn;
use crate::send::request::hub::HubSync;
use crate::send::request::note::NoteAdd;
use crate::send::spool::Id;

/// Settings, templates, clocks, commands: what is asked beside handing over.
mod aside;

use aside::Aside;

/// The longest that one transaction may take, with all its tries.
const DEADLINE: Duration = Duration::from_mins(1);
/// A step that has work for longer than this makes a pause, so that what is asked beside has its turn.
const STEP: Duration = Duration::from_mins(2);
/// The same once the agent is to end: whoever stops it waits.
const LAST_DEADLINE: Duration = Duration::from_secs(10);
const LAST_STEP: Duration = Duration::from_secs(20);
/// After the first failure, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// A note that the Notecard refuses for what it is, is given up after so many times; one that it refuses for reasons that
/// nobody knows, after this long: they may pass.
const MOST_REFUSALS: u32 = 3;
const LONGEST_REFUSAL: Duration = Duration::from_hours(24);
/// While nobody knows the time, readings wait for it this long.
const HOLD: Duration = Duration::from_hours(24);
/// How often the Notecard is asked to cut the power, and the pause between.
const ATTN_TRIES: u32 = 5;
const ATTN_PAUSE: Duration = Duration::from_secs(10);

/// The thread's state.
pub(super) struct Courier {
    shared: Arc<Shared>,
    station: Station,
    notecard: Option<Notecard>,
    aside: Aside,
    pause: Duration,
    /// Nothing is tried before this.
    not_before: Duration,
    /// There will be no further step in this start.
    is_last: bool,
    /// Something that was handed over should go at once.
    sync: bool,
    /// A note that the Notecard may have or not. Asked for in the same words again, it is not queued twice.
    doubtful: Option<(Id, Note, NoteAdd)>,
    refused: Option<Refused>,
    /// When a refused note was last told of.
    told: Option<Duration>,
}

/// A note that the Notecard does not take.
#[derive(Debug, Clone, Copy)]
struct Refused {
    id: Id,
    times: u32,
    since: Duration,
}

impl Courier {
    pub fn new(shared: Arc<Shared>, station: Station, templates: Vec<Template>) -> Self {
        Self {
            shared,
            station,
            notecard: None,
            aside: Aside::new(templates),
            pause: FIRST_PAUSE,
            not_before: Duration::ZERO,
            is_last: false,
            sync: false,
            doubtful: None,
            refused: None,
            told: None,
        }
    }

    /// Until the agent stops, and then once more.
    pub fn run(mut self) {
        loop {
            self.is_last = self.shared.is_stopping();
            let next = self.step();
            if self.is_last {
                return;
            }
            let wait = next.saturating_sub(self.shared.uptime());
            self.progress(wait);
            self.shared.to_courier.wait(wait);
        }
    }

    /// Hands over what waits, and lets the Notecard cut the power of this machine for a time. Whether all of it went well.
    pub fn last_step(&mut self, sleep: Option<Duration>) -> bool {
        // What failed before may go well now: there is no later.
        self.not_before = Duration::ZERO;
        self.is_last = true;
        let well = self.attempt();
        well & sleep.is_none_or(|time| self.cut_power(time))
    }

    /// Not given up easily: a machine that stays on empties its battery.
    fn cut_power(&mut self, time: Duration) -> bool {
        let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        for _ in 0..ATTN_TRIES {
            // The state is on disk: there is nothing for the Notecard to keep.
            match self.transact(&CardAttn::sleep(seconds, Vec::new())) {
                Ok(_) => {
                    tracing::info!(sleep.s = seconds, "the Notecard will cut the power");
                    return true;
                }
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "the Notecard does not cut the power"
                ),
            }
            self.shared.clock.sleep(ATTN_PAUSE);
        }
        false
    }

    /// Does what is due, and says when the next thing is.
    pub fn step(&mut self) -> Duration {
        let now = self.shared.uptime();
        if now < self.not_before && !self.shared.is_stopping() {
            return self.not_before;
        }
        if self.attempt() {
            self.aside.next()
        } else {
            self.not_before
        }
    }

    /// Whether everything that is due was done; if not, nothing is tried again before a pause.
    fn attempt(&mut self) -> bool {
        let Err(error) = self.work() else {
            self.pause = FIRST_PAUSE;
            return true;
        };
        tracing::warn!(
            error = format!("{error:#}"),
            spool.waiting = self.shared.depth().waiting,
            retry.after_s = self.pause.as_secs(),
            "the Notecard is not to be had; notes wait"
        );
        if reason(&error).is_none() {
            // It may have been exchanged meanwhile, or have lost its memory.
            self.aside.prepare_again();
        }
        self.not_before = self.shared.uptime() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        false
    }

    fn work(&mut self) -> anyhow::Result<()> {
        // Before anything else is asked: the Notecard remembers its last request alone.
        if let Some((id, note, add)) = self.doubtful.take() {
            self.add(id, &note, add)?;
        }
        // What came in the last moment would find nobody to act on it.
        if !self.shared.is_stopping() {
            self.ask_aside()?;
        }
        self.hand_over()
    }

    /// Everything that waits, alarms first, in order.
    fn hand_over(&mut self) -> anyhow::Result<()> {
        let began = self.shared.uptime();
        while let Some((id, note)) = self.shared.next() {
            if self.is_held(&note) {
                break;
            }
            self.progress(Duration::ZERO);
            self.hand_over_one(id, &note)?;
            let step = if self.shared.is_stopping() {
                LAST_STEP
            } else {
                STEP
            };
            if self.shared.uptime() > began + step {
                self.aside.look_soon();
                break;
            }
        }
        if self.sync {
            self.ask_for_sync()?;
            self.sync = false;
        }
        Ok(())
    }

    /// A reading keeps its own time only if somebody knows what time it is before it is handed over, in the start that made
    /// it. An alarm does not wait for that, nor does a station whose Notecard finds no network for long.
    fn is_held(&self, note: &Note) -> bool {
        let now = self.shared.moment();
        let is_patient = matches!(note.class, Class::Reading | Class::Picture) && !note.urgent;
        is_patient
            && note.moment.at.is_none()
            && note.boot == self.shared.boot
            && now.at.is_none()
            && now.uptime < HOLD
            && !self.is_last
    }

    fn hand_over_one(&mut self, id: Id, note: &Note) -> anyhow::Result<()> {
        let body = note.body_at(self.shared.boot, self.shared.moment());
        let alarm = note.class == Class::Alarm;
        let add = NoteAdd {
            file: note.file.clone(),
            body: Some(body),
            payload: note.payload.clone(),
            // A sync that is interrupted by the next alarm would only carry this one twice.
            sync: alarm && note.urgent && self.shared.waiting(Class::Alarm) == 1,
            full: true,
            verify: alarm,
            ..NoteAdd::default()
        };
        self.add(id, note, add)
    }

    fn add(&mut self, id: Id, note: &Note, add: NoteAdd) -> anyhow::Result<()> {
        let Err(error) = self.transact(&add) else {
            self.shared.done(id);
            self.refused = None;
            // A picture's parts are added first, and then go together.
            self.sync |= note.urgent && !add.sync;
            return Ok(());
        };
        match reason(&error) {
            // It may have been done all the same.
            None | Some(Reason::Io) => {
                self.doubtful = Some((id, note.clone(), add));
                Err(error)
            }
            Some(Reason::StorageFull | Reason::NotePaused | Reason::NoteMax | Reason::Penalty) => {
                // Only a sync makes room.
                self.ask_for_sync()?;
                Err(error)
            }
            Some(Reason::Template | Reason::NotefileMissing) => {
                self.aside.prepare_again();
                self.does_not_take(id, note, error, true)
            }
            Some(_) => {
                let is_its_own_fault = is_about_the_note(&error);
                self.does_not_take(id, note, error, is_its_own_fault)
            }
        }
    }

    /// One note that the Notecard will never take must not keep all others from it.
    fn does_not_take(
        &mut self,
        id: Id,
        note: &Note,
        error: anyhow::Error,
        is_its_own_fault: bool,
    ) -> anyhow::Result<()> {
        let now = self.shared.uptime();
        let first = Refused {
            id,
            times: 0,
            since: now,
        };
        let mut refused = self
            .refused
            .filter(|refused| refused.id == id)
            .unwrap_or(first);
        refused.times += u32::from(is_its_own_fault);
        self.refused = Some(refused);
        if refused.times < MOST_REFUSALS && now < refused.since + LONGEST_REFUSAL {
            return Err(error);
        }
        tracing::error!(
            error = format!("{error:#}"),
            note.file = note.file,
            note.seq = note.seq,
            note.body = %serde_json::Value::Object(note.body.clone()),
            "the Notecard will not take this note; it is given up"
        );
        // Not of the note that tells so, and not of each of many.
        let is_news = self.told.is_none_or(|told| now > told + LONGEST_REFUSAL);
        if note.file != HEALTH && is_news {
            self.told = Some(now);
            let why = format!("a note to {} was refused: {error:#}", note.file);
            self.shared.facts().wanted.health.push(why);
            self.shared.to_watcher.notify();
        }
        self.shared.done(id);
        self.refused = None;
        Ok(())
    }

    /// That the Notecard does not want to now is no reason to stop: it will by itself.
    fn ask_for_sync(&mut self) -> anyhow::Result<()> {
        let asked = self.transact(&HubSync::default()).map(drop);
        pass_over(asked, "a sync").map(drop)
    }

    fn transact<R: Request>(&mut self, request: &R) -> anyhow::Result<R::Reply> {
        let notecard = match &mut self.notecard {
            Some(notecard) => notecard,
            none => {
                let Shared {
                    config,
                    clock,
                    boot,
                    ..
                } = &*self.shared;
                none.insert(self.station.notecard(&config.notecard, clock, *boot)?)
            }
        };
        let deadline = if self.shared.is_stopping() {
            LAST_DEADLINE
        } else {
            DEADLINE
        };
        let reply = notecard.transact(request, deadline);
        self.progress(Duration::ZERO);
        Ok(reply?)
    }

    /// The step goes on, or the next one begins after this.
    fn progress(&self, wait: Duration) {
        // Twice the deadline: a transaction, and what may come before it.
        self.shared
            .supervisor
            .progress(Worker::Courier, self.shared.uptime(), wait + 2 * DEADLINE);
    }
}

/// A refusal of what is asked beside is worth a line, and no more: None. Any other error means that the Notecard is not to
/// be had.
fn pass_over<T>(asked: anyhow::Result<T>, what: &str) -> anyhow::Result<Option<T>> {
    match asked {
        Err(error) if reason(&error).is_some() => {
            tracing::warn!(error = format!("{error:#}"), "the Notecard refuses {what}");
            Ok(None)
        }
        other => other.map(Some),
    }
}

fn reason(error: &anyhow::Error) -> Option<Reason> {
    error.downcast_ref::<NotecardError>()?.reason()
}

/// Whether the same note would be refused at any time.
fn is_about_the_note(error: &anyhow::Error) -> bool {
    const TAGS: [&str; 5] = [
        "{too-big}",
        "{notefile-bad-name}",
        "{note-exists}",
        "{incompatible}",
        "{bad-bin}",
    ];
    let text = error.to_string();
    TAGS.iter().any(|tag| text.contains(tag))
}
