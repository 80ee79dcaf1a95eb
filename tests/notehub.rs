//! From synced notes to routed events.
