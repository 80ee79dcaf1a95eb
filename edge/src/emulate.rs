//! Stand-ins for hardware and the world.

/// An I2C bus with devices on it.
pub mod bus;

/// The camera, register by register.
pub mod mlx90640;

/// The Notecard, byte by byte.
pub mod notecard;

/// Notehub: events of synced notes, and the route that posts them.
pub mod notehub;

/// A boiler room and an electrical panel, as the camera would see them.
pub mod scene;

/// All of it together: a station, its days and its troubles.
pub mod station;

/// Time that passes as fast as the work in it.
pub mod time;
