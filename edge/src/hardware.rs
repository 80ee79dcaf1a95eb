//! What the station is made of: buses and ports, real or emulated.
//!
//! `Station` is all that the agent knows of them. It asks for a bus or a port whenever it needs a new handle, so that one that has gone bad can be opened again.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use embedded_hal::i2c::{Error, ErrorKind, ErrorType, I2c, Operation, SevenBitAddress};
use linux_embedded_hal::I2cdev;

use crate::capture::mlx90640::linux_bus;
use crate::clock::Clock;
use crate::config;
use crate::emulate;
use crate::emulate::bus::Bus;
use crate::send::i2c;
use crate::send::notecard::{Notecard, Settings};
use crate::send::serial::Serial;

/// Of the Notecard's serial line.
const UART_BAUD: u32 = 9600;

/// Where the agent is.
#[derive(Debug, Clone)]
pub enum Station {
    /// On a machine with a camera and a Notecard.
    Machine,
    Emulated(Box<Emulated>),
}

/// Stand-ins for a station's hardware.
#[derive(Debug, Clone)]
pub struct Emulated {
    /// With the camera on it, and the Notecard unless it has a serial line.
    pub bus: Bus,
    /// The Notecard, if it has a serial line.
    pub serial: Option<emulate::notecard::Notecard>,
    /// Whether the machine's clock is synchronised.
    pub synchronised: Arc<AtomicBool>,
    /// For how long the camera had power before the agent's clock began.
    pub powered: Duration,
}

/// An I2C bus.
pub enum I2cBus {
    Linux(LinuxBus),
    Emulated(Bus),
}

/// A bus of this machine. A handle that went bad is opened anew.
pub struct LinuxBus {
    path: PathBuf,
    device: Option<I2cdev>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct I2cError(ErrorKind);

impl Station {
    /// The bus that the camera is on, opened anew.
    pub fn camera_bus(&self, config: &config::Camera, clock: &Clock) -> anyhow::Result<I2cBus> {
        Ok(match self {
            Self::Machine => I2cBus::Linux(LinuxBus::open(&config.bus)?),
            Self::Emulated(emulated) => I2cBus::Emulated(emulated.bus.by(clock.clone())),
        })
    }

    /// The way to the Notecard. `boot` differs from start to start, and so does what the Notecard is asked first.
    pub fn notecard(
        &self,
        config: &config::Notecard,
        clock: &Clock,
        boot: u32,
    ) -> anyhow::Result<Notecard> {
        #[expect(clippy::cast_possible_truncation, reason = "any number will do")]
        let first_sequence = boot.wrapping_mul(7919) as u16;
        let settings = Settings {
            first_sequence,
            ..Settings::default()
        };
        let clock = clock.clone();
        Ok(match self {
            Self::Machine if is_i2c(&config.port) => {
                let bus = I2cBus::Linux(LinuxBus::open(&config.port)?);
                let link = i2c::SerialOverI2c::new(bus, config.address);
                Notecard::new(link, clock, settings)
            }
            Self::Machine => Notecard::new(Serial::device(&config.port), clock, settings),
            Self::Emulated(emulated) => {
                if let Some(card) = &emulated.serial {
                    let link = Serial::emulated(card.wire(Some(UART_BAUD)));
                    return Ok(Notecard::new(link, clock, settings));
                }
                let bus = emulated.bus.by(clock.clone());
                let link = i2c::SerialOverI2c::new(bus, config.address);
                Notecard::new(link, clock, settings)
            }
        })
    }

    /// For how long the camera has had power. It hangs on the machine's own supply.
    pub fn powered(&self, clock: &Clock) -> Duration {
        match self {
            Self::Machine => machine_uptime().unwrap_or_default().max(clock.uptime()),
            Self::Emulated(emulated) => emulated.powered.saturating_add(clock.uptime()),
        }
    }

    /// Whether the machine's clock follows one that is right.
    pub fn clock_is_synchronised(&self) -> bool {
        match self {
            Self::Machine => machine_clock_is_synchronised(),
            Self::Emulated(emulated) => emulated.synchronised.load(Ordering::Relaxed),
        }
    }
}

/// Serial ports have other names.
pub fn is_i2c(port: &Path) -> bool {
    port.to_string_lossy().contains("i2c")
}

/// Since the kernel was started.
fn machine_uptime() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// As systemd knows it from the kernel, whoever sets the clock. Where nobody can be asked, it is not believed.
fn machine_clock_is_synchronised() -> bool {
    // Five seconds at most: the Notecard waits for nobody.
    let asked = Command::new("timeout")
        .args([
            "5",
            "timedatectl",
            "show",
            "--property=NTPSynchronized",
            "--value",
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    asked.is_ok_and(|answer| answer.status.success() && answer.stdout.starts_with(b"yes"))
}

impl fmt::Debug for LinuxBus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LinuxBus")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl LinuxBus {
    fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            device: Some(linux_bus(path)?),
        })
    }

    fn transaction(
        &mut self,
        address: SevenBitAddress,
        operations: &mut [Operation<'_>],
    ) -> Result<(), I2cError> {
        let device = match &mut self.device {
            Some(device) => device,
            none => none.insert(linux_bus(&self.path).map_err(|_| I2cError(ErrorKind::Bus))?),
        };
        device.transaction(address, operations).map_err(|error| {
            let kind = error.kind();
            if !matches!(kind, ErrorKind::NoAcknowledge(_)) {
                // Not the device's silence, but the bus itself: the handle may be the fault.
                self.device = None;
            }
            I2cError(kind)
        })
    }
}

impl fmt::Debug for I2cBus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Linux(_) => "Linux",
            Self::Emulated(_) => "Emulated",
        })
    }
}

impl I2c for I2cBus {
    fn transaction(
        &mut self,
        address: SevenBitAddress,
        operations: &mut [Operation<'_>],
    ) -> Result<(), I2cError> {
        match self {
            Self::Linux(bus) => bus.transaction(address, operations),
            Self::Emulated(bus) => bus
                .transaction(address, operations)
                .map_err(|error| I2cError(error.kind())),
        }
    }
}

impl ErrorType for I2cBus {
    type Error = I2cError;
}

impl Error for I2cError {
    fn kind(&self) -> ErrorKind {
        self.0
    }
}
