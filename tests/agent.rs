//! The agent as a whole: what it is told, and what it does.

mod settings;
