//! Notehub: events of synced notes, and the route that posts them.
