//! The story of an incident: what happened, who was told, what came of that, and who did what, in order of time.
//!
//! Read only. Phone numbers are whole: who may see them is for the page to decide.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::process::silence::Silence;

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TimelineEntry {
    pub at: DateTime<Utc>,
    #[serde(flatten)]
    pub what: What,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// In the time of the device, as the peak and the end. Of a silence, `value` is in hours.
    Opened {
        value: f64,
        event_uid: String,
    },
    Peak {
        value: f64,
    },
    /// `resolution` says by whom: `cleared`, `closed`, `rule removed`, `watch switched off`.
    Resolved {
        resolution: String,
    },
    /// A notice was made for somebody.
    Told(Told),
    /// A notice was due, and this is why it was not made; `until` is when it was to be looked at again.
    HeldBack {
        notice: String,
        reason: String,
        until: Option<DateTime<Utc>>,
    },
    /// A silence over this incident began.
    Silenced {
        silence: i64,
        by: String,
        reason: String,
        until: DateTime<Utc>,
    },
    /// Its end, which may lie ahead; `by` is who ended it before its time.
    SilenceOver {
        silence: i64,
        by: Option<String>,
    },
    /// What a person did: `acknowledged`, `noted`, `closed`.
    Person {
        by: String,
        via: String,
        action: String,
        text: Option<String>,
    },
}

/// A notice, and what came of it so far.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Told {
    pub delivery: Uuid,
    /// `opened`, `escalated`, `reminder` or `resolved`.
    pub notice: String,
    pub destination: String,
    /// The phone number, if the destination has several.
    pub recipient: Option<String>,
    pub text: Option<String>,
    /// `due`, `leased`, `delivered` or `dead`.
    pub state: String,
    pub attempts: i32,
    pub ended_at: Option<DateTime<Utc>>,
    /// Why it is where it is.
    pub reason: Option<String>,
}

/// Everything about an incident; nothing if there is no such incident.
pub async fn timeline(pool: &PgPool, id: i64) -> sqlx::Result<Vec<TimelineEntry>> {
    let mut connection = pool.acquire().await?;
    let incident = sqlx::query!(
        "SELECT rule, device, event_uid, opened_at, opened_value, peak_value, peak_at, resolved_at, resolution FROM incidents WHERE id = $1",
        id
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(incident) = incident else {
        return Ok(Vec::new());
    };
    let mut entries = vec![TimelineEntry {
        at: incident.opened_at,
        what: What::Opened {
            value: incident.opened_value,
            event_uid: incident.event_uid,
        },
    }];
    if let Some(at) = incident.peak_at.filter(|at| *at > incident.opened_at) {
        let value = incident.peak_value;
        entries.push(TimelineEntry {
            at,
            what: What::Peak { value },
        });
    }
    if let Some((at, resolution)) = incident.resolved_at.zip(incident.resolution) {
        entries.push(TimelineEntry {
            at,
            what: What::Resolved { resolution },
        });
    }
    entries.extend(notices(&mut connection, id).await?);
    entries.extend(held_back(&mut connection, id).await?);
    entries.extend(deeds(&mut connection, id).await?);
    let life = (incident.opened_at, incident.resolved_at);
    entries.extend(silences(&mut connection, &incident.device, &incident.rule, life).await?);
    // What happened in the same moment stays in the order above.
    entries.sort_by_key(|entry| entry.at);
    Ok(entries)
}

/// What became of a text after it was sent is to be added here, by delivery.
async fn notices(connection: &mut PgConnection, id: i64) -> sqlx::Result<Vec<TimelineEntry>> {
    let rows = sqlx::query!(
        r#"SELECT c.id, c.created_at, c.notice, c.body ->> 'to' AS recipient, c.body ->> 'text' AS text, s.destination, s.state, s.attempts, s.ended_at, s.reason
             FROM delivery_contents AS c JOIN delivery_states AS s USING (id)
            WHERE c.incident_id = $1 ORDER BY c.created_at, s.destination, recipient"#,
        id
    )
    .fetch_all(connection)
    .await?;
    let entries = rows.into_iter().map(|row| TimelineEntry {
        at: row.created_at,
        what: What::Told(Told {
            delivery: row.id,
            notice: row.notice.unwrap_or_default(),
            destination: row.destination,
            recipient: row.recipient,
            text: row.text,
            state: row.state,
            attempts: row.attempts,
            ended_at: row.ended_at,
            reason: row.reason,
        }),
    });
    Ok(entries.collect())
}

async fn held_back(connection: &mut PgConnection, id: i64) -> sqlx::Result<Vec<TimelineEntry>> {
    let rows = sqlx::query!(
        "SELECT at, notice, reason, until FROM held_back WHERE incident_id = $1 ORDER BY at, notice",
        id
    )
    .fetch_all(connection)
    .await?;
    let entries = rows.into_iter().map(|row| TimelineEntry {
        at: row.at,
        what: What::HeldBack {
            notice: row.notice,
            reason: row.reason,
            until: row.until,
        },
    });
    Ok(entries.collect())
}

/// What people did, but for silences: those are told by what they silence, whoever asked for them and how.
async fn deeds(connection: &mut PgConnection, id: i64) -> sqlx::Result<Vec<TimelineEntry>> {
    let rows = sqlx::query!(
        "SELECT at, person, via, action, detail FROM audit WHERE incident_id = $1 AND action <> $2 ORDER BY at, id",
        id,
        crate::audit::Action::Silenced.word()
    )
    .fetch_all(connection)
    .await?;
    let entries = rows.into_iter().map(|row| TimelineEntry {
        at: row.at,
        what: What::Person {
            by: row.person,
            via: row.via,
            action: row.action,
            text: row
                .detail
                .get("text")
                .and_then(Value::as_str)
                .map(str::to_owned),
        },
    });
    Ok(entries.collect())
}

/// The silences that lay over the incident while it was open.
async fn silences(
    connection: &mut PgConnection,
    device: &str,
    rule: &str,
    (from, to): (DateTime<Utc>, Option<DateTime<Utc>>),
) -> sqlx::Result<Vec<TimelineEntry>> {
    let rows = sqlx::query_as!(
        Silence,
        r#"SELECT id, device, rule, starts_at, ends_at, author, reason, ended_by FROM silences
            WHERE ends_at > $3 AND ($4::timestamptz IS NULL OR starts_at <= $4)
              AND (device IS NULL OR device = $1) AND (rule IS NULL OR rule = $2)
            ORDER BY starts_at, id"#,
        device,
        rule,
        from,
        to
    )
    .fetch_all(connection)
    .await?;
    let entries = rows.into_iter().flat_map(|silence| {
        let began = TimelineEntry {
            at: silence.starts_at,
            what: What::Silenced {
                silence: silence.id,
                by: silence.author,
                reason: silence.reason,
                until: silence.ends_at,
            },
        };
        let over = TimelineEntry {
            at: silence.ends_at,
            what: What::SilenceOver {
                silence: silence.id,
                by: silence.ended_by,
            },
        };
        [began, over]
    });
    Ok(entries.collect())
}
