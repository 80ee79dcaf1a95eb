//! The first good dump of a camera's EEPROM, kept and compared at each start.
