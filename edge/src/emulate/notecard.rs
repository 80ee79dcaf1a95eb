//! A Notecard, byte by byte.
