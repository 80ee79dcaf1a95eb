//! The agent: two threads and a spool between them.

pub mod time;
