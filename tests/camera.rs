//! The camera's driver over an emulated camera, and its calculation against what others calculated.
//!
//! The emulated camera turns temperatures into the words that a real one would hold, and the driver turns them back; a
//! fault in the middle may cost frames and time, and never a degree.

mod datasheet;
mod eeprom;
mod faults;
mod hostile;
mod recordings;
mod rig;
mod round_trip;
