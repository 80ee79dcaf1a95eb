//! The I2C bus of a Linux machine.

use std::io;
use std::path::{Path, PathBuf};

use linux_embedded_hal::I2cdev;
use linux_embedded_hal::i2cdev::linux::LinuxI2CError;
use thiserror::Error;

/// The bus cannot be opened.
#[derive(Debug, Error)]
#[error("cannot open the I2C bus {}: {}", path.display(), advice(cause))]
pub struct NoBus {
    pub path: PathBuf,
    cause: io::Error,
}

/// Opens a bus, such as `/dev/i2c-1`; its rate is the system's to set.
pub fn linux_bus(path: &Path) -> Result<I2cdev, NoBus> {
    I2cdev::new(path).map_err(|error| NoBus {
        path: path.to_owned(),
        cause: match error {
            LinuxI2CError::Io(error) => error,
            LinuxI2CError::Errno(number) => io::Error::from_raw_os_error(number),
        },
    })
}

fn advice(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::NotFound => "there is no such bus. On a Raspberry Pi, enable it with \
             `sudo raspi-config nonint do_i2c 0`, or with `dtparam=i2c_arm=on` in /boot/firmware/config.txt and a restart"
            .to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied. Add the user to the group i2c with \
             `sudo usermod -aG i2c NAME`, and log in again"
            .to_owned(),
        _ => cause.to_string(),
    }
}
