//! Looks a station over before it is left alone: what is there, what is wrong, and what to do about it.
//!
//! Each part gives findings in words. A part that needs another one which is missing is passed over. Nothing is changed of
//! the Notecard, neither settings nor notes; in the state folder, which is made if it is missing, a file is written and
//! removed to see whether that works, and the copy of the camera's EEPROM is kept if there is none.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::agent::{check_labels, model_id};
use crate::capture::eeprom::{Kept, Outcome};
use crate::capture::mlx90640::{Captured, Mlx90640};
use crate::classify::{self, Classifier, Verdict};
use crate::clock::Clock;
use crate::config::Config;
use crate::frame::statistics;
use crate::hardware::Station;
use crate::model;
use crate::note::{Labels, Usage};
use crate::send::notecard::{Notecard, NotecardError};
use crate::send::request::Request;
use crate::send::request::card::{CardStatus, CardTime, CardVersion, CardVoltage};
use crate::send::request::hub::{HubGet, HubSyncStatus};

/// The longest that anything the Notecard is asked may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Less room than this on the disk is too little.
const LEAST_ROOM: u64 = 64 * 1024 * 1024;
/// The camera is made for 3.3 V, and the datasheet's limits are these.
const VOLTS: std::ops::RangeInclusive<f32> = 3.2..=3.4;
const STORAGE_FULL: i64 = 70;
/// A Notecard's modem needs more than this.
const CARD_VOLTS: f64 = 3.3;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What of: `disk`, `camera`, `notecard` …
    pub part: &'static str,
    pub mark: Mark,
    pub found: String,
    /// What to do, where something is to be done.
    pub advice: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Good,
    /// It will work, but look at it.
    Doubtful,
    Wrong,
}

impl Mark {
    pub fn sign(self) -> char {
        match self {
            Self::Good => '✓',
            Self::Doubtful => '!',
            Self::Wrong => '✗',
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Doubtful => "doubtful",
            Self::Wrong => "wrong",
        }
    }
}

/// Where findings go.
struct Teller<'a> {
    part: &'static str,
    tell: &'a mut dyn FnMut(Finding),
}

impl Teller<'_> {
    fn at(&mut self, part: &'static str) -> &mut Self {
        self.part = part;
        self
    }

    fn say(&mut self, mark: Mark, found: impl Into<String>, advice: Option<&str>) {
        (self.tell)(Finding {
            part: self.part,
            mark,
            found: found.into(),
            advice: advice.map(str::to_owned),
        });
    }

    fn good(&mut self, found: impl Into<String>) {
        self.say(Mark::Good, found, None);
    }

    fn doubtful(&mut self, found: impl Into<String>, advice: &str) {
        self.say(Mark::Doubtful, found, Some(advice));
    }

    fn wrong(&mut self, found: impl Into<String>, advice: &str) {
        self.say(Mark::Wrong, found, Some(advice));
    }
}

/// Looks at everything, in the order in which the agent needs it.
pub fn examine(
    config: &Config,
    state_dir: &Path,
    station: &Station,
    clock: &Clock,
    tell: &mut dyn FnMut(Finding),
) {
    let mut teller = Teller { part: "", tell };
    disk(teller.at("disk"), state_dir);
    let mut classifier = model(teller.at("model"), config);
    let captured = camera(teller.at("camera"), config, state_dir, station, clock);
    if let (Some(classifier), Some(captured)) = (&mut classifier, captured) {
        picture(teller.at("picture"), classifier, &captured);
    }
    match &classifier {
        Some(classifier) => data(teller.at("data"), config, classifier),
        None => teller
            .at("data")
            .doubtful("not estimated without a model", "mend the model first"),
    }
    let mut card = notecard(&mut teller, config, station, clock);
    time(teller.at("clock"), card.as_mut(), station, clock);
}

fn disk(teller: &mut Teller<'_>, state_dir: &Path) {
    if state_dir.exists() && !state_dir.is_dir() {
        teller.wrong(
            format!("{} is a file, and no folder", state_dir.display()),
            "name a folder in `state_dir`",
        );
        return;
    }
    let probe = state_dir.join("check.part");
    let written = fs::create_dir_all(state_dir)
        .and_then(|()| fs::write(&probe, b"thermal watch"))
        .and_then(|()| fs::remove_file(&probe));
    if let Err(error) = written {
        teller.wrong(
            format!("cannot write in {}: {error}", state_dir.display()),
            "run it as the service's user (sudo -u thermal-watch edge check …), or set `state_dir`",
        );
        return;
    }
    match rustix::fs::statvfs(state_dir) {
        Ok(room) => {
            let free = room.f_bavail.saturating_mul(room.f_frsize);
            let found = format!("{} MB free in {}", free / 1_000_000, state_dir.display());
            if free < LEAST_ROOM {
                teller.doubtful(
                    found,
                    "make room: what the Notecard does not take waits there",
                );
            } else {
                teller.good(found);
            }
        }
        Err(error) => teller.doubtful(
            format!(
                "how much room there is in {} cannot be told: {error}",
                state_dir.display()
            ),
            "look with df",
        ),
    }
}

fn model(teller: &mut Teller<'_>, config: &Config) -> Option<Classifier> {
    let options = config.model.options(std::env::current_exe().ok());
    let runtime = config.model.runtime();
    let loaded = match &config.model.file {
        Some(file) => classify::load_file(file, &runtime, &options),
        None => classify::load_bytes(model::DEMONSTRATION, &runtime, &options),
    };
    let classifier = match loaded {
        Ok(classifier) => classifier,
        Err(error) => {
            teller.wrong(
                format!("{error:#}"),
                "`edge check-model FILE` says more; `edge train` makes one of your scene",
            );
            return None;
        }
    };
    let found = format!(
        "{}: {} on {}",
        model_id(&classifier),
        classifier.labels().join(", "),
        classifier.runtime()
    );
    if config.model.file.is_some() {
        teller.good(found);
    } else {
        teller.doubtful(
            format!("{found}; it is for demonstration and knows nothing of your scene"),
            "collect frames with `edge capture --every 10m --out frames`, learn them with `edge train`, and set [model] file",
        );
    }
    let labels = classifier.labels();
    let fitting = Labels::new(labels).and_then(|_| check_labels(config, labels));
    if let Err(error) = fitting {
        teller.wrong(
            format!("{error:#}"),
            "use a model with other labels, or mend [model] and [[dwell]]",
        );
        return None;
    }
    Some(classifier)
}

fn camera(
    teller: &mut Teller<'_>,
    config: &Config,
    state_dir: &Path,
    station: &Station,
    clock: &Clock,
) -> Option<Captured> {
    let settings = &config.camera;
    let bus = match station.camera_bus(settings, clock) {
        Ok(bus) => bus,
        Err(error) => {
            teller.wrong(
                format!("{error:#}"),
                "restart after switching it on; `ls -l /dev/i2c*` shows who may use it",
            );
            return None;
        }
    };
    let kept = Kept::new(state_dir);
    let mut camera = match Mlx90640::open(bus, clock.clone(), settings.settings(), &kept) {
        Ok(camera) => camera,
        Err(error) => {
            teller.wrong(
                format!("{error}"),
                "check the four wires (3.3 V, GND, SDA, SCL); `i2cdetect -y 1` shows the camera as 33",
            );
            return None;
        }
    };
    eeprom(teller, camera.eeprom());
    let began = clock.uptime();
    match camera.capture() {
        Ok(captured) => {
            let took = clock.uptime().saturating_sub(began);
            let found = format!(
                "a picture in {:.1} s at {:.2} V, the camera itself at {:.1} deg C, {} dropped subpages",
                took.as_secs_f64(),
                captured.vdd,
                captured.frame.ambient.unwrap_or(f32::NAN),
                captured.rejected
            );
            if VOLTS.contains(&captured.vdd) {
                teller.good(found);
            } else {
                teller.doubtful(
                    found,
                    "it wants 3.3 V: use a better supply, or shorter wires",
                );
            }
            Some(captured)
        }
        Err(error) => {
            teller.wrong(
                format!("{error}"),
                "lower `refresh_hz`, or check the supply: a Notecard that transmits takes 2 A for a moment",
            );
            None
        }
    }
}

fn eeprom(teller: &mut Teller<'_>, outcome: &Outcome) {
    match outcome {
        Outcome::FirstSeen => teller.good("its EEPROM is sound; a copy is kept from now on"),
        Outcome::Same => teller.good("its EEPROM is what it was when it was first seen"),
        Outcome::Restored { differences } => teller.wrong(
            format!(
                "{differences} words of its EEPROM are not what they were; the kept copy is used"
            ),
            "exchange the camera: what damaged it may go on",
        ),
        Outcome::NotKept { why } => teller.doubtful(
            format!("its EEPROM is sound, but no copy could be kept: {why}"),
            "mend the disk first",
        ),
    }
}

fn picture(teller: &mut Teller<'_>, classifier: &mut Classifier, captured: &Captured) {
    let repaired = captured.frame.repaired(&[]);
    let seen = statistics(&repaired.pixels);
    let range = format!("{:.1} to {:.1} deg C", seen.min, seen.max);
    match classifier.classify(&captured.frame, &[]) {
        Ok(Verdict::Classified(classification)) => {
            let scores: Vec<_> = classification
                .scores
                .iter()
                .map(|(label, score)| format!("{label} {score:.4}"))
                .collect();
            teller.good(format!("{range}; {}", scores.join(", ")));
        }
        Ok(Verdict::SensorFault { bad_pixels }) => teller.wrong(
            format!("{range}; {bad_pixels} pixels are broken"),
            "exchange the camera",
        ),
        Err(error) => teller.wrong(
            format!("{range}; {error:#}"),
            "use another model or runtime",
        ),
    }
}

fn data(teller: &mut Teller<'_>, config: &Config, classifier: &Classifier) {
    let Ok(labels) = Labels::new(classifier.labels()) else {
        return;
    };
    let a_day = |period: Duration| 86_400.0 / period.as_secs_f64();
    let usage = Usage {
        interval: config.camera.interval.get(),
        outbound: config.notecard.outbound.get(),
        pictures_a_day: config
            .decide
            .frames
            .every
            .map_or(0.0, |every| a_day(every.get())),
        health_a_day: a_day(config.health.every.get()),
        ..Usage::default()
    };
    let estimate = usage.estimate(&labels);
    if estimate.fits() {
        teller.good(estimate.to_string());
    } else {
        teller.doubtful(
            estimate.to_string(),
            "read less often (`interval`), or send less often (`outbound`)",
        );
    }
}

/// The Notecard, if it answers.
fn notecard(
    teller: &mut Teller<'_>,
    config: &Config,
    station: &Station,
    clock: &Clock,
) -> Option<Notecard> {
    let mut card = match station.notecard(&config.notecard, clock, 0) {
        Ok(card) => card,
        Err(error) => {
            teller.at("notecard").wrong(
                format!("{error:#}"),
                "look whether `port` is right, and whether the user may open it (groups i2c and dialout)",
            );
            return None;
        }
    };
    let version = match card.transact(&CardVersion::default(), PATIENCE) {
        Ok(version) => version,
        Err(error) => {
            teller
                .at("notecard")
                .wrong(format!("{error}"), advice(&error));
            return None;
        }
    };
    teller.at("notecard").good(format!(
        "{} {}, firmware {}",
        version.name.unwrap_or_default(),
        version.device.unwrap_or_default(),
        version.version
    ));
    supply(teller, &mut card);
    storage(teller, &mut card);
    hub(teller, &mut card, config);
    Some(card)
}

fn supply(teller: &mut Teller<'_>, card: &mut Notecard) {
    let Some(voltage) = ask(teller, card, &CardVoltage::default()).and_then(|it| it.value) else {
        return;
    };
    let found = format!("its supply has {voltage:.2} V");
    if voltage > CARD_VOLTS {
        teller.good(found);
    } else {
        teller.doubtful(
            found,
            "a modem that transmits needs 2 A for a moment: use a better supply",
        );
    }
}

fn storage(teller: &mut Teller<'_>, card: &mut Notecard) {
    let Some(status) = ask(teller, card, &CardStatus::default()) else {
        return;
    };
    let storage = status.storage.unwrap_or_default();
    if storage >= STORAGE_FULL {
        teller.doubtful(
            format!("{storage} % of its storage is in use"),
            "it has not been able to send for long: look at its antenna and at hub.sync.status",
        );
    } else {
        teller.good(format!("{storage} % of its storage is in use"));
    }
}

fn hub(teller: &mut Teller<'_>, card: &mut Notecard, config: &Config) {
    teller.at("notehub");
    if let Some(hub) = ask(teller, card, &HubGet::default()) {
        let known = hub.product.filter(|product| !product.is_empty());
        match (&config.notecard.product, known) {
            (Some(wanted), Some(known)) if *wanted == known => {
                teller.good(format!("product {known}"));
            }
            (Some(wanted), Some(known)) => teller.doubtful(
                format!("the Notecard belongs to {known}, and `edge run` will give it to {wanted}"),
                "see that this is what you want",
            ),
            (Some(wanted), None) => {
                teller.good(format!("`edge run` will give the Notecard to {wanted}"));
            }
            (None, Some(known)) => {
                teller.good(format!("product {known}, as the Notecard was told before"));
            }
            (None, None) => teller.wrong(
                "the Notecard belongs to no product, so it cannot send",
                "make a project in Notehub and set [notecard] product to its ProductUID",
            ),
        }
    }
    let Some(sync) = ask(teller, card, &HubSyncStatus::default()) else {
        return;
    };
    match (sync.completed, sync.alert) {
        (Some(ago), false) => teller.good(format!("the last sync ended well {ago} s ago")),
        (_, true) => teller.doubtful(
            format!("the last sync failed: {}", sync.status),
            "look at the antenna and at the place: a metal cabinet keeps radio out",
        ),
        (None, false) => teller.doubtful(
            format!("it has not synced yet: {}", sync.status),
            "it will after `edge run` has begun; the first time takes some minutes",
        ),
    }
}

fn time(teller: &mut Teller<'_>, card: Option<&mut Notecard>, station: &Station, clock: &Clock) {
    let asked = card.and_then(|card| card.transact(&CardTime::default(), PATIENCE).ok());
    let card_time = asked.and_then(|time| time.time);
    let synchronised = station.clock_is_synchronised();
    match card_time {
        Some(time) => {
            let off = clock.now().timestamp() - time;
            teller.good(format!(
                "the Notecard knows the time; this machine's is {off} s off{}",
                if synchronised {
                    ", and synchronised"
                } else {
                    ""
                }
            ));
        }
        None if synchronised => {
            teller.good("this machine's is synchronised; the Notecard does not know the time yet");
        }
        None => teller.doubtful(
            "nobody knows the time yet",
            "notes are stamped when the Notecard has synced for the first time; nothing is lost",
        ),
    }
}

fn ask<R: Request>(teller: &mut Teller<'_>, card: &mut Notecard, request: &R) -> Option<R::Reply> {
    match card.transact(request, PATIENCE) {
        Ok(reply) => Some(reply),
        Err(error) => {
            teller.doubtful(format!("{error}"), advice(&error));
            None
        }
    }
}

fn advice(error: &NotecardError) -> &'static str {
    match error {
        NotecardError::NoAnswer { .. } | NotecardError::Cancelled { .. } => {
            "check `port`, supply and wires: on USB `lsusb` shows it as 30a4:0001, on I2C `i2cdetect -y 1` as 17; on a UART \
             the login console must be off"
        }
        NotecardError::Refused { .. } => "update the Notecard's firmware in Notehub",
    }
}
