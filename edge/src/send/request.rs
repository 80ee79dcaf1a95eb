//! The requests that are used, as types.
