//! The MLX90640 on its bus.
