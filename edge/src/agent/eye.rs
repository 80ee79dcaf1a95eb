//! The eye: the camera, opened when it is needed and opened anew when it fails, and the model that says what it sees.

use anyhow::Context as _;

use crate::capture::eeprom::{Kept, Outcome};
use crate::capture::mlx90640::{Captured, Mlx90640};
use crate::classify::{Classifier, Verdict};
use crate::clock::Clock;
use crate::config;
use crate::decide::{Seen, Sight};
use crate::frame::Pixels;
use crate::hardware::{I2cBus, Station};

/// While the camera fails, the log says it again after so many failures in a row.
const SAY_AGAIN: u32 = 20;

pub(super) struct Eye {
    pub station: Station,
    pub classifier: Classifier,
    clock: Clock,
    config: config::Camera,
    kept: Kept,
    camera: Option<Mlx90640<I2cBus>>,
    failures: u32,
    last: Option<Conditions>,
    /// The camera's own memory is damaged, and the copy is used.
    is_restored: bool,
    /// What is to be told of that.
    alarm: Option<&'static str>,
}

/// How the camera was at a look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conditions {
    /// Volts.
    pub vdd: f32,
    /// Deg C.
    pub ambient: Option<f32>,
}

/// What one look gave: what `decide` is told, and the mended picture.
pub(super) struct Look {
    pub seen: Seen,
    pub pixels: Option<Box<Pixels>>,
}

impl Eye {
    pub fn new(
        station: Station,
        classifier: Classifier,
        clock: Clock,
        config: config::Camera,
        kept: Kept,
    ) -> Self {
        Self {
            station,
            classifier,
            clock,
            config,
            kept,
            camera: None,
            failures: 0,
            last: None,
            is_restored: false,
            alarm: None,
        }
    }

    /// A picture and what the model says of it, or why there is none.
    pub fn look(&mut self) -> Look {
        let nothing = |seen| Look { seen, pixels: None };
        let captured = match self.capture() {
            Ok(captured) => captured,
            Err(error) => return nothing(self.failed(&error)),
        };
        if self.failures > 0 {
            tracing::info!(camera.failures = self.failures, "the camera is back");
            self.failures = 0;
        }
        let ambient = captured.frame.ambient;
        self.last = Some(Conditions {
            vdd: captured.vdd,
            ambient,
        });
        // What the factory lists as bad is mended by the driver.
        let repaired = captured.frame.repaired(&[]);
        match self.classifier.classify(&captured.frame, &[]) {
            Ok(Verdict::Classified(classification)) => Look {
                seen: Seen::Frame(Sight::of(&classification, &repaired.pixels, ambient)),
                pixels: Some(repaired.pixels),
            },
            Ok(Verdict::SensorFault { bad_pixels }) => nothing(Seen::SensorFault { bad_pixels }),
            Err(error) => nothing(Seen::Failed {
                why: format!("the model: {error:#}"),
            }),
        }
    }

    /// At the last look that gave a picture.
    pub fn conditions(&self) -> Option<Conditions> {
        self.last
    }

    /// Whether the last look gave none.
    pub fn is_failing(&self) -> bool {
        self.failures > 0
    }

    pub fn is_restored(&self) -> bool {
        self.is_restored
    }

    /// What came up since it was asked last, for people to know.
    pub fn take_alarm(&mut self) -> Option<&'static str> {
        self.alarm.take()
    }

    fn failed(&mut self, error: &anyhow::Error) -> Seen {
        let why = format!("{error:#}");
        if self.failures.is_multiple_of(SAY_AGAIN) {
            tracing::warn!(
                error = why,
                camera.failures = self.failures + 1,
                "no picture"
            );
        }
        self.failures = self.failures.saturating_add(1);
        // Whatever is wrong with it, a camera that is set up anew on a bus that is opened anew is a better chance than the
        // same again.
        self.camera = None;
        Seen::Failed { why }
    }

    fn capture(&mut self) -> anyhow::Result<Captured> {
        if self.camera.is_none() {
            let camera = self.open()?;
            self.camera = Some(camera);
        }
        let camera = self.camera.as_mut().context("the camera is closed")?;
        Ok(camera.capture()?)
    }

    fn open(&mut self) -> anyhow::Result<Mlx90640<I2cBus>> {
        let bus = self.station.camera_bus(&self.config, &self.clock)?;
        let settings = self.config.settings();
        let camera = Mlx90640::open(bus, self.clock.clone(), settings, &self.kept)?;
        let outcome = camera.eeprom();
        tracing::info!(camera.eeprom = ?outcome, "the camera is open");
        let is_restored = matches!(outcome, Outcome::Restored { .. });
        if is_restored && !self.is_restored {
            self.alarm =
                Some("the camera's EEPROM is damaged; its kept copy is used: exchange the camera");
        }
        self.is_restored = is_restored;
        Ok(camera)
    }
}
