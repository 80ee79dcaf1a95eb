//! What is asked of the Notecard beside handing over: its settings and templates, its time, how it is, and what has come
//! from the cloud.
//!
//! A question that is refused is passed over; only a Notecard that does not answer ends the step.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::DateTime;
use serde_json::{Map, Value};

use super::{Courier, pass_over, reason};
use crate::config::live::Live;
use crate::note::Template;
use crate::send::notecard::Reason;
use crate::send::request::card::{CardTemp, CardTime, CardVersion, CardVoltage, Time};
use crate::send::request::env::EnvGet;
use crate::send::request::hub::{HubGet, HubSet, HubSyncStatus, Mode};
use crate::send::request::note::{NoteGet, NoteTemplate};

/// The file that commands come in.
const COMMANDS: &str = "cmd.qi";
/// So many commands are taken in one look.
const MOST_COMMANDS: usize = 10;
/// How often settings and commands that have come are looked at. It asks the Notecard, not the network.
const LOOK: Duration = Duration::from_mins(2);
/// How often the clocks are compared once the time is known, and the Notecard is asked how it is.
const COMPARE: Duration = Duration::from_hours(1);

pub(super) struct Aside {
    templates: Vec<Template>,
    /// The Notecard knows its settings and templates.
    is_prepared: bool,
    /// Its device uid.
    device: Option<String>,
    /// A sync was asked for, for the sake of the time.
    wants_time: bool,
    next_prepare: Duration,
    next_look: Duration,
    next_time: Duration,
    /// Of the environment that was applied, Unix s.
    environment: Option<i64>,
}

impl Aside {
    pub fn new(templates: Vec<Template>) -> Self {
        Self {
            templates,
            is_prepared: false,
            device: None,
            wants_time: false,
            next_prepare: Duration::ZERO,
            next_look: Duration::ZERO,
            next_time: Duration::ZERO,
            environment: None,
        }
    }

    /// When something is to be asked again.
    pub fn next(&self) -> Duration {
        self.next_look.min(self.next_time)
    }

    /// Whatever the Notecard was told may be forgotten.
    pub fn prepare_again(&mut self) {
        self.is_prepared = false;
        self.next_prepare = Duration::ZERO;
    }

    pub fn look_soon(&mut self) {
        self.next_look = Duration::ZERO;
    }
}

impl Courier {
    /// What is due of all this.
    pub(super) fn ask_aside(&mut self) -> anyhow::Result<()> {
        let now = self.shared.uptime();
        if now >= self.aside.next_time {
            // The machine's clock is there whether the Notecard is or not.
            let synchronised = self.station.clock_is_synchronised();
            self.shared.facts().time.set_system(synchronised);
        }
        if !self.aside.is_prepared && now >= self.aside.next_prepare {
            // What was refused may be taken some minutes later.
            self.aside.next_prepare = now + LOOK;
            self.aside.is_prepared = self.prepare()?;
        }
        if now >= self.aside.next_time {
            self.compare_clocks()?;
            self.ask_how_it_is()?;
        }
        if now >= self.aside.next_look {
            self.aside.next_look = self.shared.uptime() + LOOK;
            self.look()?;
        }
        Ok(())
    }

    /// Settings, templates: whatever the Notecard may have forgotten or never known. Whether it took all of it.
    fn prepare(&mut self) -> anyhow::Result<bool> {
        let version = self.transact(&CardVersion::default());
        let version = pass_over(version, "to tell its version")?;
        let mut taken = version.is_some();
        if let Some(version) = version {
            tracing::info!(
                notecard.version = version.version,
                notecard.device = version.device.as_deref().unwrap_or_default(),
                "the Notecard answers"
            );
            if version.device != self.aside.device {
                // Another one, with an environment of its own.
                self.aside.environment = None;
                self.aside.device = version.device;
            }
            self.shared.facts().card.version = Some(version.version);
        }
        if let Some(hub) = self.hub() {
            let asked = self.transact(&hub);
            taken &= pass_over(asked, "its settings for Notehub")?.is_some();
        }
        for template in self.aside.templates.clone() {
            let request = NoteTemplate {
                file: template.file.to_owned(),
                body: template.body.as_object().cloned().unwrap_or_default(),
                length: template.length,
                ..NoteTemplate::default()
            };
            let asked = self.transact(&request);
            taken &= pass_over(asked, &format!("the template of {}", template.file))?.is_some();
        }
        self.aside.wants_time = true;
        self.aside.next_time = Duration::ZERO;
        Ok(taken)
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

    fn compare_clocks(&mut self) -> anyhow::Result<()> {
        let before = self.shared.uptime();
        let asked = match self.transact(&CardTime::default()) {
            Err(error) if reason(&error) == Some(Reason::NoTime) => Ok(Time::default()),
            other => other,
        };
        let seconds = pass_over(asked, "to tell the time")?.and_then(|time: Time| time.time);
        let after = self.shared.uptime();
        let time = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        if let Some(time) = time {
            let mut facts = self.shared.facts();
            facts.time.set_notecard(time, (before + after) / 2);
        } else if std::mem::take(&mut self.aside.wants_time) {
            // Until its first sync, a Notecard does not know the time.
            self.sync = true;
        }
        self.aside.next_time = after + if time.is_some() { COMPARE } else { LOOK };
        Ok(())
    }

    /// Its supply and temperature, whether it is still the same one, and whether it gets through.
    fn ask_how_it_is(&mut self) -> anyhow::Result<()> {
        let voltage = self.transact(&CardVoltage::default());
        let voltage = pass_over(voltage, "to tell its voltage")?.and_then(|it| it.value);
        let temperature = self.transact(&CardTemp::default());
        let temperature = pass_over(temperature, "to tell its temperature")?;
        let temperature = temperature.and_then(|it| it.value);
        {
            let mut facts = self.shared.facts();
            facts.card.voltage = voltage;
            facts.card.temperature = temperature;
        }
        let version = self.transact(&CardVersion::default());
        let version = pass_over(version, "to tell its version")?;
        let hub = self.transact(&HubGet::default());
        let hub = pass_over(hub, "to tell its settings")?;
        let wanted = &self.shared.config.notecard.product;
        let is_another = version.is_some_and(|version| version.device != self.aside.device);
        let has_forgotten = wanted.is_some() && hub.is_some_and(|hub| hub.product != *wanted);
        if self.aside.is_prepared && (is_another || has_forgotten) {
            tracing::warn!("the Notecard is another one, or has lost its settings");
            self.aside.prepare_again();
        }
        let status = self.transact(&HubSyncStatus::default());
        let status = pass_over(status, "to tell of its syncs")?;
        if let Some(status) = status.filter(|status| status.alert) {
            tracing::warn!(
                notecard.sync = status.status,
                notecard.unsynced = status.sync,
                "the Notecard does not get through"
            );
        }
        Ok(())
    }

    /// What has come from the cloud.
    fn look(&mut self) -> anyhow::Result<()> {
        let environment = EnvGet {
            names: Vec::new(),
            time: self.aside.environment,
        };
        match self.transact(&environment) {
            Ok(environment) => {
                self.aside.environment = environment.time;
                self.apply(&environment.variables);
            }
            Err(error) if reason(&error) == Some(Reason::NotModified) => {}
            Err(error) => {
                pass_over::<()>(Err(error), "to tell its environment")?;
            }
        }
        let commands = NoteGet {
            file: COMMANDS.to_owned(),
            delete: true,
        };
        for _ in 0..MOST_COMMANDS {
            match self.transact(&commands) {
                Ok(note) => self.command(&note.body),
                // Whatever it says where there is nothing, there is nothing.
                Err(error) if reason(&error).is_some() => {
                    tracing::debug!(error = format!("{error:#}"), "no command");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Applies the variables, and has the cloud told once of what they came to.
    fn apply(&self, variables: &BTreeMap<String, String>) {
        let (live, refused) = Live::new(&self.shared.config, variables);
        let mut facts = self.shared.facts();
        facts.live = live.clone();
        let settled = live.told(&refused);
        if facts.settings_told == settled {
            return;
        }
        tracing::info!(
            settings.interval_s = live.interval.as_secs(),
            settings.threshold = live.threshold,
            settings.frames = %live.frames,
            settings.refused = refused.join("; "),
            "settings from the cloud"
        );
        facts.settings_told = settled;
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
}

/// Whole minutes, at least one: 0 would be never.
fn minutes(time: Duration) -> u32 {
    u32::try_from(time.as_secs().div_ceil(60))
        .unwrap_or(u32::MAX)
        .max(1)
}
