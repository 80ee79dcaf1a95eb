//! One cycle's work of the agent, part by part: the driver, repair, the model, and what is said.

use std::time::Duration;

use anyhow::{bail, ensure};
use chrono::DateTime;
use edge::capture::eeprom::Kept;
use edge::capture::mlx90640::{Mlx90640, Settings};
use edge::classify::{Classifier, Runtime, Verdict};
use edge::clock::Clock;
use edge::decide::{self, Observation, Outcome, Seen, Sight, State};
use edge::emulate::time::World;
use edge::frame::Pixels;
use edge::model::DEMONSTRATION;
use edge::note::{Labels, Moment, Note, Origin};
use tempfile::TempDir;

use crate::recording::{INTERVAL, Recording, Tape, start};
use crate::spent::Laps;

pub const PARTS: [&str; 4] = [
    "words to deg C",
    "repair",
    "scores",
    "decision, note, body as JSON",
];

/// An agent's parts, on a tape instead of a bus.
pub struct Ours {
    tape: Tape,
    camera: Mlx90640<Tape>,
    classifier: Classifier,
    labels: Labels,
    settings: decide::Settings,
    state: State,
    cycles: u32,
    /// Where the EEPROM's first dump is kept.
    _folder: TempDir,
}

/// What a cycle came to.
pub struct Cycle {
    pub parts: [Duration; PARTS.len()],
    /// As the driver gave them.
    pub pixels: Box<Pixels>,
    pub body: String,
}

impl Ours {
    /// A capture is the mean of so many full frames.
    pub fn new(recording: Recording, frames: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let tape = Tape::new(recording);
        // In a world of its own a driver's waits take no time.
        let clock = Clock::simulated(World::new(start(), None).local());
        let settings = Settings {
            frames: u32::try_from(frames)?,
            ..Settings::default()
        };
        let kept = Kept::new(folder.path());
        let mut camera = Mlx90640::open(tape.clone(), clock, settings, &kept)?;
        // The first sub-pages after it was opened are passed over.
        camera.capture()?;
        let classifier = Classifier::load(DEMONSTRATION, &Runtime::Embedded)?;
        Ok(Self {
            labels: Labels::new(classifier.labels())?,
            tape,
            camera,
            classifier,
            settings: decide::Settings::default(),
            state: State::default(),
            cycles: 0,
            _folder: folder,
        })
    }

    pub fn runtime(&self) -> &str {
        self.classifier.runtime()
    }

    /// Looks at one of the moments.
    pub fn cycle(&mut self, moment: usize) -> anyhow::Result<Cycle> {
        self.tape.wind_to(moment);
        self.cycles += 1;
        let uptime = INTERVAL * self.cycles;
        let now = Moment {
            uptime,
            at: DateTime::from_timestamp(start().timestamp(), 0).map(|start| start + uptime),
        };
        let mut laps = Laps::start();

        let captured = self.camera.capture()?;
        laps.lap();
        let repaired = captured.frame.repaired(&[]);
        laps.lap();
        let verdict = self.classifier.classify(&captured.frame, &[])?;
        laps.lap();
        let Verdict::Classified(classification) = verdict else {
            bail!("the frame is no picture: {verdict:?}");
        };
        let ambient = captured.frame.ambient;
        let observation = Observation {
            boot: 1,
            moment: now,
            powered: Duration::MAX,
            seen: Seen::Frame(Sight::of(&classification, &repaired.pixels, ambient)),
        };
        let state = std::mem::take(&mut self.state);
        let (state, decision) = decide::observe(&self.settings, state, observation);
        self.state = state;
        let Outcome::Reading(reading) = &decision.outcome else {
            bail!("no reading: {}", decision.reason);
        };
        let origin = Origin {
            boot: 1,
            seq: self.cycles,
            moment: now,
        };
        let note = Note::thermal(&self.labels, reading, origin);
        let body = serde_json::to_string(&note.body_at(1, now))?;
        laps.lap();

        ensure!(
            self.camera.rejected() == 0,
            "a sub-page was dropped, and another one took its place"
        );
        Ok(Cycle {
            parts: laps.all()?,
            pixels: captured.frame.pixels,
            body,
        })
    }
}
