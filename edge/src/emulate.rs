//! Stand-ins for hardware and the world.

/// A boiler room and an electrical panel, as the camera would see them.
pub mod scene;
