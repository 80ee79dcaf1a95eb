//! The Notecard's UART and USB.
