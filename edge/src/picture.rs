//! Placeholder: frames for people.
