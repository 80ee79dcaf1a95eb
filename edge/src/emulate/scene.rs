//! Placeholder: the simulated scene.
