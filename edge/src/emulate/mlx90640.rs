//! An MLX90640, register by register.
