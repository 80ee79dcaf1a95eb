//! The Notecard's client over an emulated Notecard.
