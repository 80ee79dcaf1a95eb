//! What people did: who, when, by which way, to what.
//!
//! Owns the table `audit`. An entry is written in the transaction of what it tells of, so there is none without the deed
//! and no deed without one; a replay, which may be too much for one transaction, is entered before it begins. Entries that
//! name an incident are part of its timeline.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

/// The way by which somebody came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Page,
    Api,
    Sms,
    Command,
}

impl Via {
    pub fn word(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Api => "api",
            Self::Sms => "sms",
            Self::Command => "command",
        }
    }
}

/// Who does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub name: String,
    pub via: Via,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    SignedIn,
    SignedOut,
    Acknowledged,
    Noted,
    Silenced,
    SilenceEnded,
    Closed,
    Replayed,
    Fetched,
}

impl Action {
    pub fn word(self) -> &'static str {
        match self {
            Self::SignedIn => "signed in",
            Self::SignedOut => "signed out",
            Self::Acknowledged => "acknowledged",
            Self::Noted => "noted",
            Self::Silenced => "silenced",
            Self::SilenceEnded => "ended a silence",
            Self::Closed => "closed",
            Self::Replayed => "replayed",
            Self::Fetched => "asked for missed events",
        }
    }
}

#[derive(Debug)]
pub struct Entry<'a> {
    pub actor: &'a Actor,
    pub action: Action,
    /// What it was done to, for people to read.
    pub subject: String,
    pub incident: Option<i64>,
    /// An object; `{}` if there is nothing to add. A remark is `{"text": …}`.
    pub detail: Value,
}

pub async fn record(
    connection: &mut PgConnection,
    entry: Entry<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO audit (at, person, via, action, subject, incident_id, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        now,
        entry.actor.name,
        entry.actor.via.word(),
        entry.action.word(),
        entry.subject,
        entry.incident,
        entry.detail
    )
    .execute(connection)
    .await?;
    Ok(())
}
