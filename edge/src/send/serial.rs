//! The Notecard's UART (9600 baud, 8N1) and USB, which differ in the path only.
//!
//! A Notecard that restarts on USB comes back as a new device: after an error the port is opened anew.

use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serialport::{SerialPort, TTYPort};

use super::notecard::link::{Link, LinkError, Pacing};
use crate::emulate::notecard::Wire;

const BAUD: u32 = 9600;

/// How long a look at the port may take.
const LOOK: Duration = Duration::from_millis(10);

/// A Notecard on a serial line.
#[derive(Debug)]
pub struct Serial(Line);

#[derive(Debug)]
enum Line {
    Device {
        path: PathBuf,
        port: Option<TTYPort>,
    },
    Emulated(Wire),
}

impl Serial {
    /// A device of this machine, such as `/dev/serial0` or `/dev/ttyACM0`; it is opened when it is first used, and need not
    /// be there yet.
    pub fn device(path: &Path) -> Self {
        Self(Line::Device {
            path: path.to_owned(),
            port: None,
        })
    }

    /// An emulated Notecard's.
    pub fn emulated(wire: Wire) -> Self {
        Self(Line::Emulated(wire))
    }
}

impl Line {
    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut dyn ReadWrite) -> std::io::Result<T>,
    ) -> Result<T, LinkError> {
        match self {
            Self::Emulated(wire) => work(wire).map_err(|error| LinkError(error.to_string())),
            Self::Device { path, port } => {
                let open = match port {
                    Some(open) => open,
                    None => port.insert(open(path)?),
                };
                work(open).map_err(|error| {
                    *port = None;
                    LinkError(format!("{}: {error}", path.display()))
                })
            }
        }
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

impl Link for Serial {
    fn pacing(&self) -> Pacing {
        Pacing {
            piece: 250,
            between: Duration::ZERO,
            after_piece: Duration::from_millis(250),
            poll: LOOK,
            broken: Duration::from_millis(500),
            longest: Duration::from_millis(50),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.0.with(|line| line.write_all(bytes))
    }

    fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, LinkError> {
        let mut buffer = [0; 512];
        let read = self.0.with(|line| match line.read(&mut buffer) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if nothing_yet(error.kind()) => Ok(0),
            read => read,
        })?;
        into.extend_from_slice(&buffer[..read]);
        Ok(read == buffer.len())
    }
}

fn nothing_yet(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

fn open(path: &Path) -> Result<TTYPort, LinkError> {
    let port = serialport::new(path.to_string_lossy(), BAUD)
        .timeout(LOOK)
        .open_native()
        .map_err(|error| LinkError(explained(path, &error)))?;
    // What came before was not meant for us.
    port.clear(serialport::ClearBuffer::All)
        .map_err(|error| LinkError(format!("{}: {error}", path.display())))?;
    Ok(port)
}

fn explained(path: &Path, error: &serialport::Error) -> String {
    use serialport::ErrorKind::{Io, NoDevice};
    let what_to_do = match error.kind {
        Io(ErrorKind::PermissionDenied) => {
            "add the user of this program to the group dialout (`sudo usermod -aG dialout USER`)"
        }
        Io(ErrorKind::NotFound) => {
            "plug the Notecard in, or switch the UART on: `sudo raspi-config nonint do_serial_hw 0`, and restart"
        }
        NoDevice | Io(ErrorKind::ResourceBusy) => {
            "end the program that uses it; if that is the login console, `sudo raspi-config nonint do_serial_cons 1`, and \
             restart"
        }
        _ => "see that it is the Notecard's serial port",
    };
    format!("cannot open {}: {error}; {what_to_do}", path.display())
}
