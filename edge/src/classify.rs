//! Placeholder: running a model.
