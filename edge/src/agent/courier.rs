//! The courier: hands what waits in the spool to the Notecard, and brings back what the cloud wants.
//!
//! A step does what is due and says when the next one is. Whatever fails is tried again after a while that grows; a
//! transaction has a deadline, so a step ends whatever the Notecard does. Nothing leaves the spool before the Notecard has
//! said that it has it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::DateTime;
use serde_json::{Map, Value};

use super::shared::Shared;
use crate::config::live::Live;
use crate::hardware::Station;
use crate::health::Worker;
use crate::note::{Class, Note, Template};
use crate::send::notecard::{Notecard, NotecardError, Reason};
use crate::send::request::Request;
use crate::send::request::card::{CardAttn, CardTemp, CardTime, CardVersion, CardVoltage};
use crate::send::request::env::EnvGet;
use crate::send::request::hub::{HubSet, HubSync, Mode};
use crate::send::request::note::{NoteAdd, NoteGet, NoteTemplate};
use crate::send::spool::Id;

/// The file that commands come in.
const COMMANDS: &str = "cmd.qi";
/// The longest that one transaction may take, with all its tries.
const DEADLINE: Duration = Duration::from_mins(1);
/// A step that has work for longer than this makes a pause, so that its end is seen.
const STEP: Duration = Duration::from_mins(5);
/// The same once the agent is to end: whoever stops it waits.
const LAST_DEADLINE: Duration = Duration::from_secs(10);
const LAST_STEP: Duration = Duration::from_secs(20);
/// After the first failure, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// How often settings and commands that have come are looked at. It asks the Notecard, not the network.
const LOOK: Duration = Duration::from_mins(2);
/// How often the clocks are compared once the time is known.
const COMPARE: Duration = Duration::from_hours(1);
/// A note that the Notecard refuses for itself is given up after so many times.
const MOST_REFUSALS: u32 = 3;
/// So many commands are taken in one look.
const MOST_COMMANDS: usize = 10;

/// The thread's state.
pub(super) struct Courier {
    shared: Arc<Shared>,
    station: Station,
    templates: Vec<Template>,
    notecard: Option<Notecard>,
    /// The Notecard knows its settings and templates.
    prepared: bool,
    pause: Duration,
    /// Nothing is tried before this.
    not_before: Duration,
    next_look: Duration,
    next_time: Duration,
    /// Of the environment that was applied, Unix s.
    environment: Option<i64>,
    /// Something that was handed over should go at once.
    sync: bool,
    /// A note that the Notecard may have or not. Asked for in the same words again, it is not queued twice.
    doubtful: Option<(Id, Note, NoteAdd)>,
    refused: Option<(Id, u32)>,
}

impl Courier {
    pub fn new(shared: Arc<Shared>, station: Station, templates: Vec<Template>) -> Self {
        Self {
            shared,
            station,
            templates,
            notecard: None,
            prepared: false,
            pause: FIRST_PAUSE,
            not_before: Duration::ZERO,
            next_look: Duration::ZERO,
            next_time: Duration::ZERO,
            environment: None,
            sync: false,
            doubtful: None,
            refused: None,
        }
    }

    /// Until the agent stops, and then once more.
    pub fn run(mut self) {
        loop {
            let stopping = self.shared.is_stopping();
            let next = self.step();
            if stopping {
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
        let mut well = self.attempt();
        if let Some(time) = sleep {
            let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
            // The state is on disk: there is nothing for the Notecard to keep.
            let asked = self.transact(&CardAttn::sleep(seconds, Vec::new()));
            match asked {
                Ok(_) => tracing::info!(sleep.s = seconds, "the Notecard will cut the power"),
                Err(error) => {
                    tracing::error!(
                        error = format!("{error:#}"),
                        "the Notecard will not cut the power"
                    );
                    well = false;
                }
            }
        }
        well
    }

    /// Does what is due, and says when the next thing is.
    pub fn step(&mut self) -> Duration {
        let now = self.shared.uptime();
        if now < self.not_before && !self.shared.is_stopping() {
            return self.not_before;
        }
        if self.attempt() {
            self.next_look.min(self.next_time)
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
            self.prepared = false;
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
        if !self.prepared {
            self.prepare().context("preparing the Notecard")?;
            self.prepared = true;
        }
        let now = self.shared.uptime();
        if now >= self.next_time {
            self.compare_clocks()?;
        }
        if now >= self.next_look {
            self.look().context("asking for settings and commands")?;
        }
        self.hand_over()
    }

    /// Settings, templates: whatever the Notecard may have forgotten or never known.
    fn prepare(&mut self) -> anyhow::Result<()> {
        let version = self.transact(&CardVersion::default())?;
        tracing::info!(
            notecard.version = version.version,
            notecard.device = version.device.as_deref().unwrap_or_default(),
            "the Notecard answers"
        );
        self.shared.facts().card.version = Some(version.version);
        if let Some(hub) = self.hub() {
            self.transact(&hub)?;
        }
        for template in self.templates.clone() {
            let request = NoteTemplate {
                file: template.file.to_owned(),
                body: template.body.as_object().cloned().unwrap_or_default(),
                length: template.length,
                ..NoteTemplate::default()
            };
            self.transact(&request)
                .with_context(|| format!("the template of {}", template.file))?;
        }
        // Until its first sync, a Notecard does not know the time.
        self.sync = true;
        Ok(())
    }

    /// What Notehub and the periods are. Without a product, they are the Notecard's own business.
    fn hub(&self) -> Option<HubSet> {
        let config = &self.shared.config.notecard;
        Some(HubSet {
            product: Some(config.product.clone()?),
            mode: Some(Mode::Periodic),
            outbound: Some(minutes(config.outbound.get())),
            inbound: Some(minutes(config.inbound.get())),
            sn: config.serial_number.clone(),
            ..HubSet::default()
        })
    }

    /// The Notecard's time, and how it is.
    fn compare_clocks(&mut self) -> anyhow::Result<()> {
        let synchronised = self.station.clock_is_synchronised();
        let before = self.shared.uptime();
        let time = match self.transact(&CardTime::default()) {
            Ok(time) => time.time,
            Err(error) if reason(&error) == Some(Reason::NoTime) => None,
            Err(error) => return Err(error),
        };
        let after = self.shared.uptime();
        let time = time.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        {
            let mut facts = self.shared.facts();
            facts.time.set_system(synchronised);
            if let Some(time) = time {
                facts.time.set_notecard(time, (before + after) / 2);
            }
        }
        self.next_time = after + if time.is_some() { COMPARE } else { LOOK };
        let voltage = self.transact(&CardVoltage::default())?.value;
        let temperature = self.transact(&CardTemp::default())?.value;
        let mut facts = self.shared.facts();
        facts.card.voltage = voltage;
        facts.card.temperature = temperature;
        Ok(())
    }

    /// What has come from the cloud.
    fn look(&mut self) -> anyhow::Result<()> {
        let environment = EnvGet {
            names: Vec::new(),
            time: self.environment,
        };
        match self.transact(&environment) {
            Ok(environment) => {
                self.environment = environment.time;
                self.apply(&environment.variables);
            }
            Err(error) if reason(&error) == Some(Reason::NotModified) => {}
            Err(error) => return Err(error),
        }
        let commands = NoteGet {
            file: COMMANDS.to_owned(),
            delete: true,
        };
        for _ in 0..MOST_COMMANDS {
            match self.transact(&commands) {
                Ok(note) => self.command(&note.body),
                Err(error) if is_empty(&error) => break,
                Err(error) => return Err(error),
            }
        }
        self.next_look = self.shared.uptime() + LOOK;
        Ok(())
    }

    fn apply(&self, variables: &BTreeMap<String, String>) {
        let (live, refused) = Live::new(&self.shared.config, variables);
        let mut facts = self.shared.facts();
        let changed = facts.live != live;
        if !changed && refused.is_empty() {
            return;
        }
        tracing::info!(
            settings.interval_s = live.interval.as_secs(),
            settings.threshold = live.threshold,
            settings.frames = %live.frames,
            settings.refused = refused.join("; "),
            "settings from the cloud"
        );
        facts.live = live;
        // What could not be applied is told to who can mend it.
        let mut why = vec!["settings".to_owned()];
        why.extend(refused);
        facts.wanted.health.push(why.join("; "));
        drop(facts);
        self.shared.to_watcher.notify();
    }

    fn command(&self, body: &Map<String, Value>) {
        let command = body.get("cmd").and_then(Value::as_str).unwrap_or_default();
        tracing::info!(command, "a command from the cloud");
        {
            let mut facts = self.shared.facts();
            match command {
                "snapshot" => facts.wanted.snapshot = true,
                "health" => facts.wanted.health.push("asked".to_owned()),
                other => {
                    let other: String = other.chars().take(40).collect();
                    facts.wanted.health.push(format!(
                        "unknown command {other:?}: there are snapshot and health"
                    ));
                }
            }
        }
        self.shared.to_watcher.notify();
    }

    /// Everything that waits, alarms first, in order.
    fn hand_over(&mut self) -> anyhow::Result<()> {
        let step = if self.shared.is_stopping() {
            LAST_STEP
        } else {
            STEP
        };
        let until = self.shared.uptime() + step;
        while let Some((id, note)) = self.shared.next() {
            self.progress(Duration::ZERO);
            self.hand_over_one(id, &note)?;
            if self.shared.uptime() > until {
                self.next_look = self.shared.uptime();
                break;
            }
        }
        if self.sync {
            self.transact(&HubSync::default())?;
            self.sync = false;
        }
        Ok(())
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
            // A picture's parts are added first, and then go together.
            self.sync |= note.urgent && !add.sync;
            return Ok(());
        };
        match reason(&error) {
            None => {
                self.doubtful = Some((id, note.clone(), add));
                Err(error)
            }
            Some(Reason::StorageFull | Reason::NotePaused | Reason::NoteMax | Reason::Penalty) => {
                // Only a sync makes room.
                self.transact(&HubSync::default()).ok();
                Err(error)
            }
            Some(Reason::Template | Reason::NotefileMissing) => {
                self.prepared = false;
                self.refused_for_itself(id, note, error)
            }
            Some(_) => self.refused_for_itself(id, note, error),
        }
    }

    /// One note that the Notecard will never take must not keep all others from it.
    fn refused_for_itself(
        &mut self,
        id: Id,
        note: &Note,
        error: anyhow::Error,
    ) -> anyhow::Result<()> {
        let times = match self.refused {
            Some((same, times)) if same == id => times + 1,
            _ => 1,
        };
        self.refused = Some((id, times));
        if times < MOST_REFUSALS {
            return Err(error);
        }
        tracing::error!(
            error = format!("{error:#}"),
            note.file = note.file,
            note.seq = note.seq,
            note.body = %serde_json::Value::Object(note.body.clone()),
            "the Notecard will not take this note; it is given up"
        );
        let mut facts = self.shared.facts();
        let why = format!("a note to {} was refused: {error:#}", note.file);
        facts.wanted.health.push(why);
        drop(facts);
        self.shared.done(id);
        self.refused = None;
        Ok(())
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

fn reason(error: &anyhow::Error) -> Option<Reason> {
    error.downcast_ref::<NotecardError>()?.reason()
}

fn is_empty(error: &anyhow::Error) -> bool {
    matches!(
        reason(error),
        Some(Reason::NoNote | Reason::NotefileMissing)
    )
}

/// Whole minutes, at least one: 0 would be never.
fn minutes(time: Duration) -> u32 {
    u32::try_from(time.as_secs().div_ceil(60))
        .unwrap_or(u32::MAX)
        .max(1)
}
