//! The agent as a whole: what it is told, and what it does, on emulated hardware.

mod behaviour;
mod collect;
mod examine;
mod hands;
mod life;
mod settings;
pub mod station;
#[cfg(feature = "cloud")]
mod week;
