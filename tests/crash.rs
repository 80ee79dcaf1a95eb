//! What must survive: every event that was answered with 200 is there once, and what follows from it happens
//! once, whatever is killed, cut, stalled or stopped meanwhile.
//!
//! Most of these run the real program against a real Postgres while clients post as Notehub would; `load` is
//! those clients, `world` is the destinations and the verdict at the end. A longer run of the kills:
//! `THERMAL_WATCH_KILLS=50 cargo test --workspace kills -- --nocapture`.

/// Clients that post as Notehub does.
mod load;
/// The destinations around the program, and what must be true in the end.
mod world;

/// The embedded Postgres goes down with its service.
mod embedded;
/// The service is killed.
mod kills;
/// Claims that run out while somebody still works on them.
mod lease;
/// Postgres is killed, cut off, stalled.
mod outage;
/// Several services on one database.
mod replicas;
/// The service is asked to stop.
mod stop;
