//! Transactions with the Notecard.
