//! Where frames come from.

/// What the camera's EEPROM says of it, and temperatures from its raw words (pure).
pub mod calibration;

/// The first good dump of a camera's EEPROM, kept and compared at each start.
pub mod eeprom;

/// The camera on its bus.
pub mod mlx90640;

/// Recordings: folders of files, and files of many frames.
pub mod replay;
