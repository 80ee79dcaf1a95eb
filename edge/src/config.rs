//! What the agent is told: one typed value, complete and checked, from `edge.toml` and the environment over it.
//!
//! Every key has a default that works, except the Notehub product that a Notecard belongs to. Keys that nobody knows are
//! refused with the nearest known name; numbers are held to limits that the hardware or sense sets. What the cloud may
//! change while the agent runs is in `live`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use crate::capture::calibration::Resolution;
use crate::capture::mlx90640;
use crate::classify::convention::{Overrides, Scale};
use crate::classify::{self, Runtime};
use crate::decide;
use crate::picture::{Colours, Range};

mod layer;
/// What the cloud changes while the agent runs.
pub mod live;
mod units;

pub use units::{NOfM, Named, Period};

/// The file that is read if none is named and it is there.
pub const DEFAULT_FILE: &str = "edge.toml";

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the spool, the camera's EEPROM and the state between two starts live.
    pub state_dir: Option<PathBuf>,
    pub camera: Camera,
    pub model: Model,
    pub decide: Decide,
    /// None: the usual ones. None at all: an empty list.
    pub dwell: Option<Vec<Dwell>>,
    pub notecard: Notecard,
    pub spool: Spool,
    pub health: Health,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Camera {
    pub bus: PathBuf,
    pub address: u8,
    /// Subpages in a second.
    pub refresh_hz: f64,
    /// Bits of the camera's converter.
    pub resolution_bits: u8,
    /// How well the target radiates.
    pub emissivity: f64,
    /// Temperature of what the target reflects, deg C; 8 below the camera's own if it is not set.
    pub reflected_c: Option<f64>,
    /// Full frames whose mean is one picture.
    pub average: u32,
    /// A picture that takes longer is given up.
    pub deadline: Period,
    /// How often a reading is made.
    pub interval: Period,
    /// How long the camera warms up before the first reading.
    pub warm_up: Period,
    /// The name of the camera in frames; its device id if it is not set.
    pub name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// What `edge train` wrote. Without it the demonstration model is used, which knows nothing of your scene.
    pub file: Option<PathBuf>,
    /// An ONNX Runtime library in place of the runtime that is built in.
    pub runtime: Option<PathBuf>,
    /// Names of the scores, for a model that does not tell.
    pub labels: Option<Vec<String>>,
    /// For a model of somebody else: its scores still have to go through a softmax,
    pub softmax: bool,
    /// and the picture it wants: the temperatures that its colours span, the colours, and the numbers they become.
    pub range: Option<Named<Range>>,
    pub colours: Option<Named<Colours>>,
    pub scale: Option<Named<Scale>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Decide {
    /// An anomaly score above this is suspicious.
    pub threshold: f64,
    /// An episode ends below this.
    pub clear: f64,
    /// How many of how many frames must be suspicious.
    pub confirm: NOfM,
    /// How soon the next frame is taken after a suspicious one.
    pub confirm_every: Period,
    /// How long the camera may fail before it is a fault.
    pub fault_after: Period,
    /// Which pictures are sent.
    pub frames: live::Frames,
}

/// A state that must not last.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dwell {
    pub label: String,
    pub longer_than: Period,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notecard {
    /// An I2C bus (`/dev/i2c-1`), or a serial port (`/dev/serial0`, `/dev/ttyACM0`).
    pub port: PathBuf,
    /// On an I2C bus.
    pub address: u8,
    /// The Notehub product; without it the Notecard's own settings are left as they are.
    pub product: Option<String>,
    /// What Notehub calls the station.
    pub serial_number: Option<String>,
    /// How often notes are sent.
    pub outbound: Period,
    /// How often Notehub is asked for settings and commands.
    pub inbound: Period,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spool {
    /// Bytes on disk.
    pub most_bytes: u64,
    pub most_notes: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// How often a sign of life with all about the station is sent.
    pub every: Period,
}

impl Default for Camera {
    fn default() -> Self {
        Self {
            bus: "/dev/i2c-1".into(),
            address: 0x33,
            refresh_hz: 2.0,
            resolution_bits: 18,
            emissivity: 0.95,
            reflected_c: None,
            average: 4,
            deadline: Period::seconds(60),
            interval: Period::seconds(300),
            warm_up: Period::seconds(240),
            name: None,
        }
    }
}

impl Model {
    /// For loading it. `program` is this one, which tries strangers' models in a child of its own.
    pub fn options(&self, program: Option<PathBuf>) -> classify::Options {
        classify::Options {
            program,
            labels: self.labels.clone(),
            convention: Overrides {
                range: self.range.map(|named| named.0),
                colours: self.colours.map(|named| named.0),
                scale: self.scale.map(|named| named.0),
                softmax: self.softmax,
            },
            limits: classify::trial::Limits::default(),
        }
    }

    pub fn runtime(&self) -> Runtime {
        Runtime::named(self.runtime.as_deref())
    }
}

impl Camera {
    /// For the driver.
    pub fn settings(&self) -> mlx90640::Settings {
        #[expect(clippy::cast_possible_truncation, reason = "a factor and deg C")]
        let narrow = |value: f64| value as f32;
        let usual = mlx90640::Settings::default();
        mlx90640::Settings {
            address: self.address,
            rate: mlx90640::Rate::of_hertz(self.refresh_hz).unwrap_or(usual.rate),
            resolution: Resolution::of_code(u16::from(self.resolution_bits.saturating_sub(16))),
            emissivity: narrow(self.emissivity),
            reflected: self.reflected_c.map(narrow),
            frames: self.average,
            deadline: self.deadline.get(),
            ..usual
        }
    }
}

impl Default for Decide {
    fn default() -> Self {
        Self {
            threshold: 0.7,
            clear: 0.5,
            confirm: NOfM { n: 2, m: 3 },
            confirm_every: Period::seconds(30),
            fault_after: Period::seconds(15 * 60),
            frames: live::Frames::default(),
        }
    }
}

impl Default for Notecard {
    fn default() -> Self {
        Self {
            port: "/dev/i2c-1".into(),
            address: 0x17,
            product: None,
            serial_number: None,
            outbound: Period::seconds(30 * 60),
            inbound: Period::seconds(12 * 3600),
        }
    }
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            most_bytes: 32 * 1024 * 1024,
            most_notes: 50_000,
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            every: Period::seconds(24 * 3600),
        }
    }
}

impl Config {
    /// From the file that is named, else `EDGE_CONFIG`, else `edge.toml` if it is there; the environment goes over it.
    pub fn load(
        explicit: Option<&Path>,
        environment: &BTreeMap<String, String>,
    ) -> anyhow::Result<Self> {
        let path = layer::find(explicit, environment);
        let text = match &path {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path).with_context(|| {
                format!(
                    "cannot read the configuration {}; check --config and EDGE_CONFIG",
                    path.display()
                )
            })?,
        };
        let base = path
            .as_deref()
            .and_then(Path::parent)
            .unwrap_or(Path::new(""));
        let named = path.as_ref().map_or("the environment".to_owned(), |path| {
            path.display().to_string()
        });
        Self::parse(&text, environment, base).context(named)
    }

    /// `base` is where relative paths start.
    pub fn parse(
        text: &str,
        environment: &BTreeMap<String, String>,
        base: &Path,
    ) -> anyhow::Result<Self> {
        let mut config: Self = layer::combine(text, environment)?;
        config.check()?;
        let paths = [
            config.state_dir.as_mut(),
            config.model.file.as_mut(),
            config.model.runtime.as_mut(),
        ];
        for path in paths.into_iter().flatten() {
            *path = base.join(&path);
        }
        Ok(config)
    }

    /// Where state is kept: as configured, else where systemd says, else beside the configuration.
    pub fn state_dir(&self, environment: &BTreeMap<String, String>) -> PathBuf {
        let given = environment
            .get("STATE_DIRECTORY")
            .and_then(|paths| paths.split(':').next())
            .filter(|path| !path.is_empty());
        self.state_dir
            .clone()
            .or_else(|| given.map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from("edge-state"))
    }

    /// What is decided by, as the cloud wants it now.
    pub fn decisions(&self, live: &live::Live) -> decide::Settings {
        let dwell = self.dwell.as_ref().map(|rules| {
            let rules = rules.iter();
            rules
                .map(|rule| decide::Dwell::new(&rule.label, rule.longer_than.get()))
                .collect()
        });
        let usual = decide::Settings::default();
        decide::Settings {
            interval: live.interval,
            threshold: live.threshold,
            clear: live.clear,
            confirm: decide::Confirm {
                needed: self.decide.confirm.n,
                of: self.decide.confirm.m,
                every: self.decide.confirm_every.get(),
            },
            warm_up: decide::WarmUp {
                time: self.camera.warm_up.get(),
                most: usual.warm_up.most.max(self.camera.warm_up.get()),
                ..usual.warm_up
            },
            dwell: dwell.unwrap_or(usual.dwell),
            fault_after: self.decide.fault_after.get(),
            ..usual
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        self.check_camera().context("[camera]")?;
        for dwell in self.dwell.iter().flatten() {
            let label = &dwell.label;
            ensure!(
                !label.is_empty() && label != crate::model::ANOMALY,
                "[[dwell]]: `label` is one of the model's, such as \"warm\""
            );
            within(dwell.longer_than, "1m", "30d", "[[dwell]] longer_than")?;
        }
        self.check_decide().context("[decide]")?;
        self.check_notecard().context("[notecard]")?;
        ensure!(
            self.spool.most_bytes >= 64 * 1024 && self.spool.most_notes >= 100,
            "[spool]: fewer than 100 notes or 64 KiB are no spool: a picture alone is 3 notes"
        );
        within(self.health.every, "10m", "30d", "[health] every")
    }

    fn check_camera(&self) -> anyhow::Result<()> {
        let camera = &self.camera;
        ensure!(
            [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0].contains(&camera.refresh_hz),
            "`refresh_hz` is {}, and the camera knows 0.5, 1, 2, 4, 8, 16 and 32",
            camera.refresh_hz
        );
        ensure!(
            (16..=19).contains(&camera.resolution_bits),
            "`resolution_bits` is {}, and the camera knows 16 to 19",
            camera.resolution_bits
        );
        ensure!(
            camera.emissivity > 0.05 && camera.emissivity <= 1.0,
            "`emissivity` is {}; it lies between 0.05 and 1: 0.95 for paint and plastic, less for bare metal",
            camera.emissivity
        );
        ensure!(
            camera
                .reflected_c
                .is_none_or(|reflected| (-40.0..=300.0).contains(&reflected)),
            "`reflected_c` is no temperature around a machine, deg C"
        );
        ensure!(
            (1..=64).contains(&camera.average),
            "`average` is {}; between 1 and 64 frames make a picture",
            camera.average
        );
        address(camera.address)?;
        // Opening and a capture in a row must not starve the watchdog.
        within(camera.deadline, "5s", "2m", "deadline")?;
        within(camera.interval, "10s", "1d", "interval")?;
        within(camera.warm_up, "0s", "1h", "warm_up")?;
        let needed = camera.settings().duration();
        ensure!(
            camera.deadline.get() > 2 * needed,
            "`deadline` is {}, but {} frames at {} subpages a second take {:.1} s, and some are lost: give it twice that",
            camera.deadline,
            camera.average,
            camera.refresh_hz,
            needed.as_secs_f64()
        );
        Ok(())
    }

    fn check_decide(&self) -> anyhow::Result<()> {
        let decide = &self.decide;
        live::threshold(decide.threshold)?;
        ensure!(
            decide.clear > 0.0 && decide.clear <= decide.threshold,
            "`clear` is {}; it lies above 0 and not above `threshold`, which is {}",
            decide.clear,
            decide.threshold
        );
        within(decide.confirm_every, "2s", "1h", "confirm_every")?;
        within(decide.fault_after, "0s", "1d", "fault_after")?;
        self.decisions(&live::Live::of(self)).check()
    }

    fn check_notecard(&self) -> anyhow::Result<()> {
        let notecard = &self.notecard;
        address(notecard.address)?;
        if let Some(product) = &notecard.product {
            ensure!(
                product.contains(':') && !product.contains(char::is_whitespace),
                "`product` is {product:?}; Notehub shows it in the project's settings, and it looks like \
                 \"com.your-company.you:boilers\""
            );
        }
        within(notecard.outbound, "1m", "30d", "outbound")?;
        within(notecard.inbound, "1m", "30d", "inbound")
    }
}

fn address(address: u8) -> anyhow::Result<()> {
    ensure!(
        (0x08..=0x77).contains(&address),
        "`address` is {address:#04x}, and I2C devices have 0x08 to 0x77"
    );
    Ok(())
}

fn within(period: Period, least: &str, most: &str, what: &str) -> anyhow::Result<()> {
    let limit = |text: &str| humantime::parse_duration(text).unwrap_or(Duration::MAX);
    if period.get() < limit(least) || period.get() > limit(most) {
        bail!("`{what}` is {period}; it lies between {least} and {most}");
    }
    Ok(())
}
