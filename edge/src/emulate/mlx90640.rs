//! The camera, register by register, in the time of the bus that it hangs on.
//!
//! It measures what it is shown: each sub-page is turned into words with the calibration that its EEPROM describes
//! (`forward`), and lands in the RAM at its time, also in the middle of a reading. `synthetic` makes EEPROMs, and with
//! `faults` somebody beside the driver spoils its day.
//!
//! It is stricter than a camera: what a driver must not do is not acknowledged, and told by `Faults::violations`. A read
//! needs the write of its address in the same transaction, writes go to the status and the control register only, and modes
//! that make wrong temperatures (data held back, one sub-page again and again, single steps) are refused.

use std::fmt;
use std::time::Duration;

use embedded_hal::i2c::{ErrorKind, NoAcknowledgeSource, Operation};
use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng};

use self::forward::Measurement;
use super::bus::{Device, Span};
use crate::capture::calibration::{Calibration, NO_DATA, Refused, WORDS, Words, word};
use crate::capture::mlx90640::{CONTROL, Control, EEPROM, NEW_DATA, OVERWRITE, RAM, STATUS};
use crate::clock::Clock;
use crate::frame::{PIXELS, Pixels};

mod faults;
mod forward;
mod synthetic;

pub use faults::{Counters, Faults, WordFault};
pub use synthetic::{Kind, Ranges, synthetic};

/// From power to the first measurement.
const WAKING: Duration = Duration::from_millis(80);
/// Bits of the control register that no driver sets: single steps, data held back, one sub-page again and again, and
/// those without a meaning.
const ILLEGAL: u16 = 0xe07e;
/// Sub-pages in turn.
const IN_TURN: u16 = 0x0001;

/// What the camera is, and how it is placed.
#[derive(Debug, Clone)]
pub struct Make {
    /// As it left the factory.
    pub eeprom: Box<Words>,
    /// Of what it sees,
    pub emissivity: f64,
    /// and what that mirrors, deg C; None is 8 deg C below the camera's own temperature.
    pub reflected: Option<f64>,
    /// Volts.
    pub vdd: f64,
    /// Its gain as multiple of the EEPROM's: 1 is realistic; with 2, a step of its ADC is less than 0.1 deg C.
    pub gain: f64,
    /// Standard deviation of a pixel's word, in steps; real ones have 0.5 to 1.
    pub noise: f64,
    pub seed: u64,
}

impl Make {
    pub fn new(eeprom: Box<Words>) -> Self {
        Self {
            eeprom,
            emissivity: 0.95,
            reflected: None,
            vdd: 3.3,
            gain: 2.0,
            noise: 0.0,
            seed: 1,
        }
    }
}

/// What there is to see at one moment.
#[derive(Debug, Clone)]
pub struct Seen {
    /// True temperatures, deg C.
    pub pixels: Box<Pixels>,
    /// The camera's own temperature, deg C.
    pub die: f64,
}

/// Asked once for each sub-page, with the uptime of the bus's clock; it must not wait for anybody.
pub type Source = Box<dyn FnMut(Duration) -> Seen + Send>;

/// A camera to be attached to a bus.
pub struct Camera {
    make: Make,
    calibration: Calibration,
    source: Source,
    faults: Faults,
    chance: ChaCha8Rng,
    ram: Box<Words>,
    status: u16,
    control: u16,
    /// What the measurement that is under way began with.
    measuring: u16,
    number: usize,
    /// When the next sub-page lands.
    next: Duration,
}

impl Camera {
    /// Switched on now. `clock` must be the one of its bus.
    pub fn new(make: Make, source: Source, clock: Clock) -> Result<(Self, Faults), Refused> {
        let calibration = Calibration::parse(&make.eeprom)?;
        let begin = clock.uptime();
        let faults = Faults::new(clock, make.eeprom.clone(), make.vdd);
        let mut camera = Self {
            calibration,
            source,
            faults: faults.clone(),
            chance: ChaCha8Rng::seed_from_u64(make.seed),
            ram: Box::new([0; WORDS]),
            status: 0,
            control: 0,
            measuring: 0,
            number: 0,
            next: begin,
            make,
        };
        camera.start(begin);
        Ok((camera, faults))
    }

    fn start(&mut self, at: Duration) {
        let mut state = self.faults.state();
        state.counters.starts += 1;
        // Its registers come from the EEPROM, lost words and all.
        self.control = state.eeprom[12];
        drop(state);
        self.measuring = self.control;
        self.status = 0;
        self.number = 1;
        self.ram.fill(NO_DATA);
        self.next = at + WAKING + self.period();
    }

    fn period(&self) -> Duration {
        Control::of(self.measuring).rate.period()
    }

    /// Lets everything happen that happens until then; says how many sub-pages landed.
    fn advance(&mut self, to: Duration) -> u32 {
        let mut landed = 0;
        // Of what nobody reads, only the last ones matter.
        if let Some(unread) = to.checked_sub(self.next + 4 * self.period()) {
            let pairs = unread.as_nanos() / (2 * self.period()).as_nanos();
            self.next += 2 * self.period() * u32::try_from(pairs).unwrap_or(u32::MAX);
        }
        while self.next <= to {
            let at = self.next;
            landed += u32::from(self.land(at));
            self.measuring = self.control;
            self.next = at + self.period();
        }
        landed
    }

    fn land(&mut self, at: Duration) -> bool {
        let state = self.faults.state();
        let (vdd, faults) = (state.vdd, state.words.clone());
        let is_ready = at >= state.unready_until;
        let is_frozen = at < state.frozen_until;
        drop(state);
        if is_frozen {
            return false;
        }
        self.number = if self.measuring & IN_TURN == 0 {
            0
        } else {
            1 - self.number
        };
        let measurement = Measurement {
            seen: (self.source)(at),
            vdd,
            control: Control::of(self.measuring),
            number: self.number,
        };
        measurement.take(
            &self.calibration,
            &self.make,
            &mut self.chance,
            &mut self.ram,
        );
        let pattern = measurement.control.pattern;
        for (&index, &fault) in &faults {
            let is_new = match index {
                0..PIXELS => pattern.number_of(index) == self.number,
                _ => index != word::COMPENSATION[1 - self.number],
            };
            if let Some(word) = self.ram.get_mut(index).filter(|_| is_new) {
                *word = match fault {
                    WordFault::Stuck(word) => word,
                    WordFault::Off(by) => word.cast_signed().saturating_add(by).cast_unsigned(),
                };
            }
        }
        if !is_ready {
            for index in word::USED.into_iter().flatten() {
                self.ram[index] = NO_DATA;
            }
        }
        self.status = self.status & OVERWRITE | NEW_DATA | u16::from(self.number != 0);
        self.faults.state().counters.subpages += 1;
        true
    }

    fn write(&mut self, at: Duration, register: u16, word: u16) -> Result<(), String> {
        self.advance(at);
        match register {
            STATUS => {
                // Nobody but the camera says that there is something new.
                let kept = self.status & (7 | word & NEW_DATA);
                self.status = kept | word & OVERWRITE;
                Ok(())
            }
            CONTROL if word & ILLEGAL != 0 || word & IN_TURN == 0 => Err(format!(
                "the control register was to hold {word:#06x}, a mode with wrong temperatures"
            )),
            CONTROL => {
                if word != self.control {
                    self.control = word;
                    // The measurement under way ends as it began, and the next one has the new period.
                    self.next = self.next.min(at + self.period());
                }
                Ok(())
            }
            EEPROM..0x2740 => Err(format!("the EEPROM was written to at {register:#06x}")),
            _ => Err(format!("{register:#06x} was written to")),
        }
    }

    /// Words as they are at the moments at which they pass the wire.
    fn read(&mut self, during: Span, register: u16, bytes: &mut [u8]) -> Result<(), String> {
        let count = bytes.len() / 2;
        let within = |begin: u16, words: usize| {
            let at = usize::from(register.wrapping_sub(begin));
            register >= begin && at + count <= words
        };
        let known =
            within(RAM, WORDS) || within(EEPROM, WORDS) || within(STATUS, 1) || within(CONTROL, 1);
        if !known || !bytes.len().is_multiple_of(2) || count == 0 {
            return Err(format!(
                "{} bytes were read at {register:#06x}",
                bytes.len()
            ));
        }
        self.advance(during.begin);
        let span = during.end.saturating_sub(during.begin);
        let mut state = self.faults.state();
        let (share, until) = state.garbled;
        let share = if during.begin < until { share } else { 0.0 };
        if state.interruptions > 0 && within(RAM, WORDS) {
            state.interruptions -= 1;
            self.next = during.begin + span / 2;
        }
        drop(state);
        let mut landed = 0;
        let total = u32::try_from(count).unwrap_or(u32::MAX);
        for (at, pair) in (0..total).zip(bytes.as_chunks_mut().0) {
            landed += self.advance(during.begin + span * at / total);
            let index = usize::try_from(at).unwrap_or(usize::MAX);
            let mut word = match register {
                STATUS => self.status,
                CONTROL => self.control,
                RAM..EEPROM => self.ram[usize::from(register - RAM) + index],
                _ => self.faults.state().eeprom[usize::from(register - EEPROM) + index],
            };
            if share > 0.0 && self.chance.random_bool(share.min(1.0)) {
                word = self.chance.random();
            }
            *pair = word.to_be_bytes();
        }
        if landed > 0 && within(RAM, WORDS) {
            self.faults.state().counters.torn += 1;
        }
        Ok(())
    }

    /// Whether it has power and an ear for the bus.
    fn answers(&mut self, at: Duration) -> bool {
        let mut state = self.faults.state();
        let power = state.restart_at;
        if power.is_some_and(|power| power > at) || state.silent_until > at {
            state.counters.refused += 1;
            return false;
        }
        state.restart_at = None;
        drop(state);
        if let Some(power) = power {
            self.start(power);
        }
        true
    }
}

impl Device for Camera {
    fn transfer(
        &mut self,
        during: Span,
        operations: &mut [Operation<'_>],
    ) -> Result<(), ErrorKind> {
        if !self.answers(during.begin) {
            return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));
        }
        let done = match operations {
            [Operation::Write([a, b, c, d])] => {
                self.faults.state().counters.writes += 1;
                let [register, word] = [[*a, *b], [*c, *d]].map(u16::from_be_bytes);
                self.write(during.end, register, word)
            }
            [Operation::Write([a, b]), Operation::Read(bytes)] => {
                self.faults.state().counters.reads += 1;
                self.read(during, u16::from_be_bytes([*a, *b]), bytes)
            }
            [Operation::Read(_), ..] => {
                Err("a read had no address before it in its transaction".to_owned())
            }
            other => Err(format!("no camera understands {other:?}")),
        };
        done.map_err(|violation| {
            let mut state = self.faults.state();
            state.counters.refused += 1;
            state.violations.push(violation);
            ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data)
        })
    }
}

impl fmt::Debug for Camera {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Camera")
            .field("device", &self.calibration.device)
            .finish_non_exhaustive()
    }
}
