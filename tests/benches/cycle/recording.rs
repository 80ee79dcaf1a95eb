//! What a camera measured, word by word, and a tape that plays it back to any driver.
//!
//! The words come from the emulated camera before a simulated scene. Played back they cost nothing to make, so that what
//! is measured is a driver's work and not the emulator's.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use chrono::{DateTime, Timelike, Utc};
use edge::capture::calibration::{WORDS, Words};
use edge::capture::mlx90640::{CONTROL, EEPROM, NEW_DATA, OVERWRITE, RAM, STATUS, SUBPAGE};
use edge::clock::Clock;
use edge::emulate::bus::{Bus, Device, Span};
use edge::emulate::mlx90640::{Camera, Kind, Make, Seen, synthetic};
use edge::emulate::scene::{self, Scene};
use edge::emulate::time::World;
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};

/// Moments that are looked at, five minutes apart.
pub const MOMENTS: usize = 8;
/// Full frames at each, and sub-pages of them.
pub const FRAMES: usize = 4;
const SUBPAGES: usize = 2 * FRAMES;
/// Between two moments.
pub const INTERVAL: Duration = Duration::from_mins(5);
/// Of the camera, and of its noise.
const SEED: u64 = 1;
/// Which course of the scene's days; the model that ships has learned another one.
const COURSE: u64 = 2;
/// On the bus, as cameras are delivered.
const ADDRESS: u8 = 0x33;
const EEPROM_FILE: &str = "eeprom.bin";
const SUBPAGES_FILE: &str = "subpages.bin";

/// As bytes, the high one of each word first.
type Bytes = [u8; 2 * WORDS];

/// The sub-pages of all moments, 0 and 1 in turn.
#[derive(Debug)]
pub struct Recording {
    eeprom: Box<Bytes>,
    control: u16,
    subpages: Vec<Bytes>,
}

impl Recording {
    /// Before the scene that the model that ships has learned.
    pub fn make() -> anyhow::Result<Self> {
        let start = start();
        let world = World::new(start, None);
        let clock = Clock::simulated(world.local());
        let mut bus = Bus::new(clock.clone(), 100_000.0);
        let words = synthetic(&Kind::new(SEED));
        let make = Make {
            noise: 0.5,
            seed: SEED,
            ..Make::new(words.clone())
        };
        let (camera, faults) = Camera::new(make, looking_at(start), clock.clone())?;
        bus.attach(ADDRESS, camera);
        let mut subpages = Vec::new();
        for _ in 0..MOMENTS {
            clock.sleep(INTERVAL);
            // What lies in the camera is of long ago.
            write(&mut bus, OVERWRITE)?;
            let begin = subpages.len();
            while subpages.len() < begin + SUBPAGES {
                let (number, bytes) = next(&mut bus, &clock)?;
                if usize::from(number) == subpages.len() % 2 {
                    subpages.push(*bytes);
                }
            }
        }
        let mut control = [0; 2];
        read(&mut bus, CONTROL, &mut control)?;
        let broken = faults.violations();
        ensure!(broken.is_empty(), "the emulated camera bears no {broken:?}");
        Ok(Self {
            eeprom: bytes(&words),
            control: u16::from_be_bytes(control),
            subpages,
        })
    }

    /// For another process.
    pub fn save(&self, folder: &Path) -> anyhow::Result<()> {
        fs::write(folder.join(EEPROM_FILE), *self.eeprom)?;
        let mut bytes = self.control.to_be_bytes().to_vec();
        bytes.extend(self.subpages.iter().flatten());
        fs::write(folder.join(SUBPAGES_FILE), bytes)?;
        Ok(())
    }

    pub fn load(folder: &Path) -> anyhow::Result<Self> {
        let eeprom = fs::read(folder.join(EEPROM_FILE))?.try_into().ok();
        let bytes = fs::read(folder.join(SUBPAGES_FILE))?;
        let (control, subpages) = bytes.split_first_chunk().context("no control register")?;
        Ok(Self {
            eeprom: eeprom.context("no EEPROM")?,
            control: u16::from_be_bytes(*control),
            subpages: subpages.as_chunks().0.to_vec(),
        })
    }
}

/// When the first moment is, five minutes later.
pub fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_760_000_000, 0).unwrap_or_default()
}

/// The scene as its hours go on.
fn looking_at(start: DateTime<Utc>) -> edge::emulate::mlx90640::Source {
    // It lasts as long as the program: the camera looks at it from within the bus.
    let scene: &'static Scene = Box::leak(Box::new(Scene::new(scene::Kind::Boiler, SEED)));
    let mut course = scene.course(COURSE, start.num_seconds_from_midnight() / 60);
    let mut eye = scene.camera(COURSE);
    Box::new(move |uptime| {
        let passed = (uptime.as_secs() / 60).saturating_sub(course.moment().minute);
        course.advance(u32::try_from(passed).unwrap_or(u32::MAX));
        let moment = course.moment();
        Seen {
            pixels: scene.render(&moment, &mut eye, &[]),
            die: moment.die,
        }
    })
}

/// The sub-page that lands next, and its number.
fn next(bus: &mut Bus, clock: &Clock) -> anyhow::Result<(u16, Box<Bytes>)> {
    let mut status = [0; 2];
    while u16::from_be_bytes(status) & NEW_DATA == 0 {
        clock.sleep(Duration::from_millis(10));
        read(bus, STATUS, &mut status)?;
    }
    write(bus, OVERWRITE)?;
    let mut bytes = Box::new([0; 2 * WORDS]);
    read(bus, RAM, &mut *bytes)?;
    Ok((u16::from_be_bytes(status) & SUBPAGE, bytes))
}

fn read(bus: &mut Bus, register: u16, bytes: &mut [u8]) -> anyhow::Result<()> {
    Ok(bus.write_read(ADDRESS, &register.to_be_bytes(), bytes)?)
}

fn write(bus: &mut Bus, status: u16) -> anyhow::Result<()> {
    let ([a, b], [c, d]) = (STATUS.to_be_bytes(), status.to_be_bytes());
    Ok(bus.write(ADDRESS, &[a, b, c, d])?)
}

fn bytes(words: &Words) -> Box<Bytes> {
    let mut bytes = Box::new([0; 2 * WORDS]);
    for (pair, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *pair = word.to_be_bytes();
    }
    bytes
}

/// A camera that shows a recording, one sub-page after the other and then from the beginning.
///
/// It has no time of its own: once a sub-page was fetched, the second look at the status finds the next one. The first is
/// the driver's, for whether the sub-page was torn while it was read. `tutorial.py` has the same camera.
#[derive(Debug, Clone)]
pub struct Tape(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    recording: Recording,
    /// Which sub-page is in the RAM.
    at: usize,
    is_new: bool,
    /// How often the status was read since.
    asked: u32,
}

impl Tape {
    pub fn new(recording: Recording) -> Self {
        let state = State {
            at: recording.subpages.len() - 1,
            recording,
            is_new: false,
            asked: 1,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// The next sub-page is the first one of this moment.
    pub fn wind_to(&self, moment: usize) {
        let mut state = self.state();
        let count = state.recording.subpages.len();
        state.at = (moment * SUBPAGES + count - 1) % count;
        state.is_new = false;
        state.asked = 1;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn answer(&mut self, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        match operations {
            [Operation::Write([a, b, _, _])] if u16::from_be_bytes([*a, *b]) == STATUS => {
                self.is_new = false;
                self.asked = 0;
                Ok(())
            }
            [Operation::Write([a, b]), Operation::Read(bytes)] => {
                self.read(u16::from_be_bytes([*a, *b]), bytes)
            }
            _ => Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data)),
        }
    }

    fn read(&mut self, register: u16, bytes: &mut [u8]) -> Result<(), ErrorKind> {
        let status;
        let control;
        let source: &[u8] = match register {
            STATUS => {
                status = self.status().to_be_bytes();
                &status
            }
            CONTROL => {
                control = self.recording.control.to_be_bytes();
                &control
            }
            EEPROM => &*self.recording.eeprom,
            RAM => {
                self.asked = 0;
                &self.recording.subpages[self.at]
            }
            _ => &[],
        };
        let source = source
            .get(..bytes.len())
            .ok_or(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data))?;
        bytes.copy_from_slice(source);
        Ok(())
    }

    fn status(&mut self) -> u16 {
        if !self.is_new {
            self.asked += 1;
            if self.asked == 2 {
                self.at = (self.at + 1) % self.recording.subpages.len();
                self.is_new = true;
            }
        }
        let number = u16::try_from(self.at % 2).unwrap_or_default();
        OVERWRITE | number | if self.is_new { NEW_DATA } else { 0 }
    }
}

impl I2c for Tape {
    fn transaction(&mut self, _: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        self.state().answer(operations)
    }
}

impl ErrorType for Tape {
    type Error = ErrorKind;
}

impl Device for Tape {
    fn transfer(&mut self, _: Span, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        self.state().answer(operations)
    }
}
