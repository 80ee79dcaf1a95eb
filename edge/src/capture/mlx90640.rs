//! The MLX90640 on its bus.
//!
//! `Mlx90640::open` waits for a camera, reads its EEPROM, settles it with the kept dump and sets the registers;
//! `Mlx90640::capture` gives the mean of some full frames. In between, `registers` speaks to the bus, `judge` decides
//! which sub-pages to believe, and `mean` makes a picture of those that are.
//!
//! Two registers are ever written, and there is no function that could write the EEPROM. Each access is one transaction of
//! a write and a read, for a STOP between them is what the camera is not made for. Every wait has a deadline. What was
//! torn, marked as missing, out of range or unlike what came before it is dropped and counted, and never becomes a
//! temperature.

use std::time::Duration;

use chrono::SubsecRound as _;
use embedded_hal::i2c::I2c;
use thiserror::Error;

use self::judge::Judge;
use self::mean::Mean;
use self::registers::{Registers, Writable};
use crate::capture::calibration::{Calibration, Doubt, WORDS, Words};
use crate::capture::eeprom::{Damaged, Kept, Outcome, Settled};
use crate::clock::Clock;
use crate::frame::Frame;

mod bus;
mod judge;
mod mean;
mod registers;
mod settings;

pub use bus::{NoBus, linux_bus};
pub use judge::Jump;
pub use registers::NotAnswered;
pub use settings::{
    BEGIN, CONTROL, Control, EEPROM, NEW_DATA, OVERWRITE, RAM, Rate, STATUS, SUBPAGE, Settings,
};

/// Sub-pages that still know the old settings after they were changed.
const STALE: u32 = 2;
/// Readings of an EEPROM among which two in a row must be the same.
const EEPROM_READINGS: usize = 6;
/// A camera that is slow to answer after power came is asked again after this.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// A camera that answers, with its registers set.
#[derive(Debug)]
pub struct Mlx90640<I> {
    registers: Registers<I>,
    clock: Clock,
    settings: Settings,
    calibration: Calibration,
    outcome: Outcome,
    eeprom_sha256: String,
    judge: Judge,
    /// Sub-pages still to be passed over.
    stale: u32,
    /// By when the next one is to be expected.
    next: Duration,
    rejected: u32,
}

/// A picture, and what is known of how it was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Captured {
    /// The pixels that the factory lists as bad are mended from their neighbours of the same sub-page, so that nobody needs
    /// the list. A pixel that died since is not a number.
    pub frame: Frame,
    /// The supply, volts.
    pub vdd: f32,
    /// The pixels that the factory lists.
    pub known_bad: Vec<usize>,
    /// Sub-pages that were dropped since the camera was opened.
    pub rejected: u32,
    /// By how much the two sub-pages differ in the mean, deg C: a chess board that stays is a fault.
    pub subpage_gap: f32,
}

/// What keeps a camera from giving a picture.
#[derive(Debug, Error)]
pub enum CameraError {
    /// Nobody acknowledges, or the bus itself fails: look at wires and supply, open the bus anew.
    #[error(transparent)]
    NoAnswer(#[from] NotAnswered),
    /// It answers, but measures nothing: cut its power.
    #[error(
        "the camera answers, but measured {measured} of {wanted} sub-pages within {} s; cut its power and try again",
        waited.as_secs_f32()
    )]
    Timeout {
        waited: Duration,
        measured: u32,
        wanted: u32,
    },
    /// What it measures cannot be believed: the sensor, its supply or the bus is at fault.
    #[error("{dropped} sub-pages were dropped within {} s; the last one because {last}", waited.as_secs_f32())]
    Invalid {
        waited: Duration,
        dropped: u32,
        last: Rejection,
    },
    /// It does not take its settings.
    #[error(
        "the camera's control register holds {holds:#06x} after {wanted:#06x} was written; cut its power and try again"
    )]
    Settings { wanted: u16, holds: u16 },
    /// No two readings of the EEPROM are the same.
    #[error(
        "the camera's EEPROM reads differently every time; shorten the wires, lower the bus's rate, or check the supply"
    )]
    Unsteady,
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

/// Why a sub-page was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum Rejection {
    #[error("{0}")]
    Doubt(Doubt),
    #[error("the next one came while it was read; lower the refresh rate or raise the bus's rate")]
    Torn,
    #[error("its number is {0}, and there are only 0 and 1")]
    Number(u16),
    #[error("the control register changed to {0:#06x}: the camera may have lost power")]
    Settings(u16),
    #[error("its conditions jumped: {0}")]
    Jump(Jump),
    #[error("{0} pixels hold what is no temperature")]
    Pixels(usize),
}

/// What became of looking for a sub-page.
enum Looked {
    Believed(judge::Subpage),
    /// One that is still to be passed over.
    Stale,
    Dropped(Rejection),
}

impl<I: I2c> Mlx90640<I> {
    /// Waits for the camera, which may be powering up, and prepares it.
    pub fn open(
        bus: I,
        clock: Clock,
        settings: Settings,
        kept: &Kept,
    ) -> Result<Self, CameraError> {
        let deadline = clock.uptime() + settings.deadline;
        let mut registers = Registers::new(bus, settings.address, clock.clone());
        while let Err(error) = registers.read_word(STATUS) {
            if clock.uptime() + ASK_AGAIN > deadline {
                return Err(error.into());
            }
            clock.sleep(ASK_AGAIN);
        }
        let words = read_eeprom(&mut registers, kept)?;
        let Settled {
            calibration,
            sha256,
            outcome,
        } = kept.settle(&words)?;
        let mut camera = Self {
            registers,
            settings,
            calibration,
            outcome,
            eeprom_sha256: sha256,
            judge: Judge::default(),
            stale: STALE,
            next: clock.uptime(),
            rejected: 0,
            clock,
        };
        camera.set()?;
        Ok(camera)
    }

    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// What became of its EEPROM when it was opened.
    pub fn eeprom(&self) -> &Outcome {
        &self.outcome
    }

    /// Of the EEPROM's words that are in use, in hex.
    pub fn eeprom_sha256(&self) -> &str {
        &self.eeprom_sha256
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sub-pages that were dropped since the camera was opened.
    pub fn rejected(&self) -> u32 {
        self.rejected
    }

    /// The mean of as many full frames as the settings say, all measured from now on.
    pub fn capture(&mut self) -> Result<Captured, CameraError> {
        let began = self.clock.uptime();
        let deadline = began + self.settings.deadline;
        let wanted = 2 * self.settings.frames.max(1);
        let mut mean = Mean::new(self.settings.frames.max(1));
        let (mut measured, mut dropped, mut last) = (0, 0, None);
        let mut came = began;
        // What lies in the camera may be of long ago.
        self.acknowledge()?;
        while !mean.is_complete() {
            let Some(status) = self.wait_for_data(deadline)? else {
                let waited = self.clock.uptime().saturating_sub(began);
                // Whatever it measured before, a camera that has stopped is another fault.
                let has_stopped = came + 3 * self.settings.rate.period() < deadline;
                return Err(match last {
                    Some(last) if !has_stopped => CameraError::Invalid {
                        waited,
                        dropped,
                        last,
                    },
                    _ => CameraError::Timeout {
                        waited,
                        measured,
                        wanted,
                    },
                });
            };
            came = self.clock.uptime();
            match self.look(status & SUBPAGE)? {
                Looked::Believed(subpage) => {
                    measured += 1;
                    mean.add(subpage);
                }
                Looked::Stale => {}
                Looked::Dropped(why) => {
                    tracing::debug!(camera.rejection = %why, "a sub-page was dropped");
                    dropped += 1;
                    last = Some(why);
                    self.rejected += 1;
                }
            }
        }
        let mut captured = mean.picture(&self.calibration, self.settings.pattern);
        captured.frame.captured_at = Some(self.clock.now().trunc_subsecs(0));
        captured.frame.camera = Some(self.calibration.device.to_string());
        captured.rejected = self.rejected;
        Ok(captured)
    }

    /// The status once a sub-page was measured; None when the deadline comes first.
    fn wait_for_data(&mut self, deadline: Duration) -> Result<Option<u16>, CameraError> {
        let pause = (self.settings.rate.period() / 40).max(Duration::from_millis(1));
        // Not asked all the time: most of it nothing can have come.
        self.clock.sleep_until(self.next.min(deadline));
        loop {
            let asked = self.clock.uptime();
            if asked >= deadline {
                return Ok(None);
            }
            let status = self.ask(STATUS)?;
            if status & NEW_DATA != 0 {
                self.next = asked + self.settings.rate.period() * 7 / 8;
                return Ok(Some(status));
            }
            self.clock.sleep(pause);
        }
    }

    /// Reads the sub-page of this number. What comes meanwhile shows in the last step.
    fn look(&mut self, number: u16) -> Result<Looked, CameraError> {
        self.acknowledge()?;
        let mut words: Box<Words> = Box::new([0; WORDS]);
        let read = self.registers.read(RAM, &mut *words);
        self.heard(read)?;
        let control = self.ask(CONTROL)?;
        let status = self.ask(STATUS)?;
        if status & NEW_DATA != 0 || status & SUBPAGE != number {
            // The one that tore it is waiting, and should be read before it is torn as well.
            self.next = self.clock.uptime();
            return Ok(Looked::Dropped(Rejection::Torn));
        }
        if control != self.settings.control().word() {
            self.set()?;
            return Ok(Looked::Dropped(Rejection::Settings(control)));
        }
        let judged = self
            .judge
            .judge(&self.calibration, &self.settings, &words, number);
        // Judged all the same: the next one is compared with it.
        if self.stale > 0 {
            self.stale -= 1;
            return Ok(Looked::Stale);
        }
        Ok(judged.map_or_else(Looked::Dropped, Looked::Believed))
    }

    /// Makes the next sub-page show as new.
    fn acknowledge(&mut self) -> Result<(), CameraError> {
        let written = self.registers.write(Writable::Status, OVERWRITE | BEGIN);
        self.heard(written)
    }

    fn set(&mut self) -> Result<(), CameraError> {
        let wanted = self.settings.control().word();
        let mut holds = self.ask(CONTROL)?;
        for _ in 0..3 {
            if holds == wanted {
                return Ok(());
            }
            let written = self.registers.write(Writable::Control, wanted);
            self.heard(written)?;
            self.stale = STALE;
            holds = self.ask(CONTROL)?;
        }
        if holds == wanted {
            Ok(())
        } else {
            Err(CameraError::Settings { wanted, holds })
        }
    }

    fn ask(&mut self, register: u16) -> Result<u16, CameraError> {
        let answer = self.registers.read_word(register);
        self.heard(answer)
    }

    /// Whoever did not answer may have been without power, and is new again.
    fn heard<T>(&mut self, answer: Result<T, NotAnswered>) -> Result<T, CameraError> {
        if self.registers.take_silence() {
            self.stale = STALE;
        }
        Ok(answer?)
    }
}

/// A reading that is not what is kept is believed when it comes twice in a row.
fn read_eeprom<I: I2c>(
    registers: &mut Registers<I>,
    kept: &Kept,
) -> Result<Box<Words>, CameraError> {
    let mut last: Option<Box<Words>> = None;
    for _ in 0..EEPROM_READINGS {
        let mut words: Box<Words> = Box::new([0; WORDS]);
        registers.read(EEPROM, &mut *words)?;
        if kept.knows(&words) || last.as_ref() == Some(&words) {
            return Ok(words);
        }
        last = Some(words);
    }
    Err(CameraError::Unsteady)
}
