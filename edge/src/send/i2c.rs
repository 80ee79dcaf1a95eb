//! Serial over I2C.
