//! What the tests stand on.

/// The service with its loops turned by hand.
pub mod app;
/// A proxy before Postgres that can be cut.
pub mod chaos;
/// A database for each test.
pub mod database;
/// The agent's program.
pub mod edge;
/// Events as Notehub posts them.
pub mod event;
/// The program as a process.
pub mod program;
/// A scripted HTTP server.
pub mod receiver;
