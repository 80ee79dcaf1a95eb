//! The camera's driver over an emulated camera.
