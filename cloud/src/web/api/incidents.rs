//! Incidents as people and scripts see them: page by page, one with its timeline, and what can be done about one.
//!
//! The pages show what this module reads, so that the API and a page never tell two stories.

use axum::Json;
use axum::extract::{Path, Query, State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::deliveries::Attempt;
use crate::App;
use crate::deliver::text_status;
use crate::error::Error;
use crate::process::incident::{TimelineEntry, timeline};
use crate::process::{incident, silence};
use crate::web::frames;
use crate::web::given::{self, Moment, optional, signer};
use crate::web::person::Person;

const MOST_ROWS: i64 = 1_000;
const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];

/// Which incidents; what is absent stands for any.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Only those that are open, or only those that are over.
    #[serde(default, deserialize_with = "optional")]
    pub open: Option<bool>,
    /// The uid of a station.
    #[serde(default, deserialize_with = "optional")]
    pub device: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    pub rule: Option<String>,
    /// `critical`, `warning` or `info`.
    #[serde(default, deserialize_with = "optional")]
    pub severity: Option<String>,
    /// Opened at this moment or later: a time in RFC 3339, or a day in UTC.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = Option<String>)]
    pub from: Option<Moment>,
    /// Opened before this moment, or before the end of this day.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = Option<String>)]
    pub to: Option<Moment>,
    /// With a smaller number than this: where the page before ended.
    #[serde(default, deserialize_with = "optional")]
    pub before: Option<i64>,
    /// At most so many, 1 to 1000.
    #[serde(default, deserialize_with = "optional")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<i64>,
}

/// An incident with what is known of its station and its picture.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Incident {
    pub id: i64,
    pub rule: String,
    pub device: String,
    /// The station's serial number, or its uid.
    pub name: String,
    pub severity: String,
    /// The event that opened it.
    pub event_uid: String,
    pub opened_at: DateTime<Utc>,
    pub resolved_at: Option<DateTime<Utc>>,
    pub resolution: Option<String>,
    pub acknowledged_at: Option<DateTime<Utc>>,
    pub acknowledged_by: Option<String>,
    pub opened_value: f64,
    pub peak_value: f64,
    /// The latest value, while it is open.
    pub value: Option<f64>,
    pub value_at: Option<DateTime<Utc>>,
    /// Rounds of notices that were made.
    pub notices: i32,
    pub last_notice_at: Option<DateTime<Utc>>,
    /// When people are told the next time if nothing else happens.
    pub notice_due_at: Option<DateTime<Utc>>,
    /// The recipients of so many steps of escalation were told; 0 are those who are told first.
    pub escalation: i32,
    /// When the next step is due if nobody acknowledges before.
    pub escalate_at: Option<DateTime<Utc>>,
    /// The picture nearest to the opening, if there is one within a day.
    pub frame: Option<Picture>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Picture {
    pub at: DateTime<Utc>,
    pub event: String,
    /// Where its temperatures are found.
    pub href: String,
    /// Where it is drawn.
    pub png: String,
}

impl Incident {
    pub fn is_open(&self) -> bool {
        self.resolved_at.is_none()
    }
}

/// As the queries read it.
struct Row {
    id: i64,
    rule: String,
    device: String,
    name: String,
    severity: String,
    event_uid: String,
    opened_at: DateTime<Utc>,
    resolved_at: Option<DateTime<Utc>>,
    resolution: Option<String>,
    acknowledged_at: Option<DateTime<Utc>>,
    acknowledged_by: Option<String>,
    opened_value: f64,
    peak_value: f64,
    value: Option<f64>,
    value_at: Option<DateTime<Utc>>,
    notices: i32,
    last_notice_at: Option<DateTime<Utc>>,
    notice_due_at: Option<DateTime<Utc>>,
    escalation: i32,
    escalate_at: Option<DateTime<Utc>>,
    frame_at: Option<DateTime<Utc>>,
    frame_event: Option<String>,
}

impl From<Row> for Incident {
    fn from(row: Row) -> Self {
        let frame = row.frame_at.zip(row.frame_event).map(|(at, event)| {
            let href = frames::link(&row.device, &event);
            let png = format!("{href}.png");
            Picture {
                at,
                event,
                href,
                png,
            }
        });
        Self {
            id: row.id,
            rule: row.rule,
            device: row.device,
            name: row.name,
            severity: row.severity,
            event_uid: row.event_uid,
            opened_at: row.opened_at,
            resolved_at: row.resolved_at,
            resolution: row.resolution,
            acknowledged_at: row.acknowledged_at,
            acknowledged_by: row.acknowledged_by,
            opened_value: row.opened_value,
            peak_value: row.peak_value,
            value: row.value,
            value_at: row.value_at,
            notices: row.notices,
            last_notice_at: row.last_notice_at,
            notice_due_at: row.notice_due_at,
            escalation: row.escalation,
            escalate_at: row.escalate_at,
            frame,
        }
    }
}

/// Newest first. Each branch has an index that gives its rows in this order; only one of them is run.
pub async fn find(pool: &PgPool, which: &Which, most: i64) -> sqlx::Result<Vec<Incident>> {
    let rows = sqlx::query_as!(
        Row,
        r#"WITH wanted AS (
               (SELECT * FROM incidents
                 WHERE $1::bool IS TRUE AND resolved_at IS NULL AND ($2::text IS NULL OR device = $2) AND ($3::text IS NULL OR rule = $3)
                   AND ($4::text IS NULL OR severity = $4) AND ($5::timestamptz IS NULL OR opened_at >= $5) AND ($6::timestamptz IS NULL OR opened_at < $6)
                   AND id < $7 ORDER BY id DESC LIMIT $8)
               UNION ALL
               (SELECT * FROM incidents
                 WHERE $1::bool IS NOT TRUE AND device = $2 AND ($1::bool IS NULL OR resolved_at IS NOT NULL) AND ($3::text IS NULL OR rule = $3)
                   AND ($4::text IS NULL OR severity = $4) AND ($5::timestamptz IS NULL OR opened_at >= $5) AND ($6::timestamptz IS NULL OR opened_at < $6)
                   AND id < $7 ORDER BY id DESC LIMIT $8)
               UNION ALL
               (SELECT * FROM incidents
                 WHERE $1::bool IS NOT TRUE AND $2::text IS NULL AND rule = $3 AND ($1::bool IS NULL OR resolved_at IS NOT NULL)
                   AND ($4::text IS NULL OR severity = $4) AND ($5::timestamptz IS NULL OR opened_at >= $5) AND ($6::timestamptz IS NULL OR opened_at < $6)
                   AND id < $7 ORDER BY id DESC LIMIT $8)
               UNION ALL
               (SELECT * FROM incidents
                 WHERE $1::bool IS NOT TRUE AND $2::text IS NULL AND $3::text IS NULL AND ($1::bool IS NULL OR resolved_at IS NOT NULL)
                   AND ($4::text IS NULL OR severity = $4) AND ($5::timestamptz IS NULL OR opened_at >= $5) AND ($6::timestamptz IS NULL OR opened_at < $6)
                   AND id < $7 ORDER BY id DESC LIMIT $8))
           SELECT i.id AS "id!", i.rule AS "rule!", i.device AS "device!", coalesce(d.serial_number, i.device) AS "name!", i.severity AS "severity!",
                  i.event_uid AS "event_uid!", i.opened_at AS "opened_at!", i.resolved_at, i.resolution, i.acknowledged_at, i.acknowledged_by,
                  i.opened_value AS "opened_value!", i.peak_value AS "peak_value!",
                  (a.memory ->> 'last_value')::float8 AS value, (a.memory ->> 'last_at')::timestamptz AS value_at,
                  i.notices AS "notices!", i.last_notice_at, i.notice_due_at, i.escalation AS "escalation!", i.escalate_at, f.at AS "frame_at?", f.event_uid AS "frame_event?"
             FROM wanted AS i
             LEFT JOIN devices AS d ON d.uid = i.device
             LEFT JOIN alerts AS a ON a.device = i.device AND a.rule = i.rule AND a.incident_id = i.id
             LEFT JOIN LATERAL (
                  SELECT at, event_uid FROM (
                      (SELECT at, event_uid FROM frames WHERE device = i.device AND at >= i.opened_at AND at <= i.opened_at + interval '1 day' ORDER BY at LIMIT 1)
                      UNION ALL
                      (SELECT at, event_uid FROM frames WHERE device = i.device AND at < i.opened_at AND at >= i.opened_at - interval '1 day' ORDER BY at DESC LIMIT 1)) AS n
                   ORDER BY abs(extract(epoch FROM n.at - i.opened_at)) LIMIT 1) AS f ON true
            ORDER BY i.id DESC LIMIT $8"#,
        which.open,
        which.device,
        which.rule,
        which.severity,
        which.from.map(Moment::begin),
        which.to.map(Moment::end),
        which.before.unwrap_or(i64::MAX),
        most
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Incident::from).collect())
}

pub async fn one(pool: &PgPool, id: i64) -> sqlx::Result<Option<Incident>> {
    // Numbers have no gaps to speak of, so this is the page of one row that ends with it.
    let which = Which {
        before: Some(id.saturating_add(1)),
        ..Which::default()
    };
    let found = find(pool, &which, 1).await?;
    Ok(found.into_iter().find(|incident| incident.id == id))
}

/// Refuses a severity that there is not.
pub fn check(which: &Which) -> Result<(), Error> {
    let known = |severity: &String| SEVERITIES.contains(&severity.as_str());
    if which.severity.as_ref().is_some_and(|it| !known(it)) {
        let message = format!("`severity` is one of {}", SEVERITIES.join(", "));
        return Err(Error::Unprocessable(message));
    }
    Ok(())
}

/// A page of incidents, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Incidents {
    pub incidents: Vec<Incident>,
    /// What to send as `before` for the next page; absent on the last.
    pub next: Option<i64>,
}

/// List incidents
///
/// The newest first, page by page. `frame` is the picture nearest to the opening, if there is one within a day.
#[utoipa::path(get, path = "/api/v1/incidents", tag = "Incidents", operation_id = "listIncidents", params(Which),
    responses((status = 200, description = "Incidents, and where the next page begins", body = Incidents), (status = 422, description = "A parameter has no such value")))]
pub async fn list(
    State(app): State<App>,
    Query(which): Query<Which>,
) -> Result<Json<Incidents>, Error> {
    check(&which)?;
    let most = which.limit.unwrap_or(MOST_ROWS);
    if !(1..=MOST_ROWS).contains(&most) {
        let message = format!("`limit` is a number from 1 to {MOST_ROWS}");
        return Err(Error::Unprocessable(message));
    }
    let incidents = find(&app.pool, &which, most).await?;
    let full = i64::try_from(incidents.len()).is_ok_and(|count| count == most);
    let next = incidents.last().filter(|_| full).map(|last| last.id);
    Ok(Json(Incidents { incidents, next }))
}

/// An incident with all that happened around it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WholeIncident)]
pub struct Whole {
    pub incident: Incident,
    /// Oldest first.
    pub timeline: Vec<TimelineEntry>,
    /// Every attempt at its notices, by delivery and number.
    pub tries: Vec<Try>,
    /// What the carrier reported of its texts.
    pub texts: Vec<Text>,
}

/// How far a text got after it was sent.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Text {
    pub delivery: Uuid,
    /// Twilio's word, such as `delivered` or `undelivered`.
    pub status: String,
    pub at: DateTime<Utc>,
    pub error_code: Option<i32>,
    pub explanation: Option<&'static str>,
}

/// Get an incident
///
/// With its timeline: what was told to whom, what came back, and what people did.
#[utoipa::path(get, path = "/api/v1/incidents/{id}", tag = "Incidents", operation_id = "getIncident", params(("id" = i64, Path, description = "The number of the incident")),
    responses((status = 200, description = "With all that belongs to it", body = Whole), (status = 404, description = "No such incident")))]
pub async fn whole(State(app): State<App>, Path(id): Path<i64>) -> Result<Json<Whole>, Error> {
    let incident = one(&app.pool, id).await?;
    let incident = incident.ok_or(Error::NotFound("incident"))?;
    let timeline = timeline(&app.pool, id).await?;
    let tries = tries(&app.pool, id).await?;
    let texts = text_status::of_incident(&app.pool, id).await?;
    let texts = texts.into_values().map(|text| Text {
        delivery: text.delivery_id,
        explanation: text.explanation(),
        status: text.status,
        at: text.at,
        error_code: text.error_code,
    });
    Ok(Json(Whole {
        incident,
        timeline,
        tries,
        texts: texts.collect(),
    }))
}

/// An attempt at a notice.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Try {
    pub delivery: Uuid,
    #[serde(flatten)]
    pub attempt: Attempt,
}

/// Every attempt at the notices of an incident.
pub async fn tries(pool: &PgPool, id: i64) -> sqlx::Result<Vec<Try>> {
    let rows = sqlx::query!(
        r#"SELECT a.delivery_id, a.number, a.started_at, a.ended_at, a.outcome, a.status, a.answer, a.reason
             FROM delivery_contents AS c JOIN attempts AS a ON a.delivery_id = c.id WHERE c.incident_id = $1 ORDER BY a.delivery_id, a.number"#,
        id
    )
    .fetch_all(pool)
    .await?;
    let tries = rows.into_iter().map(|row| Try {
        delivery: row.delivery_id,
        attempt: Attempt {
            number: row.number,
            started_at: row.started_at,
            ended_at: row.ended_at,
            outcome: row.outcome,
            status: row.status,
            answer: row.answer,
            reason: row.reason,
        },
    });
    Ok(tries.collect())
}

/// Who takes it.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct Signed {
    /// Needed with the people token; who is signed in by name signs with it, whatever stands here.
    by: Option<String>,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Done {
    incident: i64,
    /// `acknowledged`, `noted` or `closed`.
    status: &'static str,
}

fn done(incident: i64, status: &'static str) -> Json<Done> {
    Json(Done { incident, status })
}

/// Acknowledge an incident
///
/// Reminders and escalation stop for as long as it lasts. The people token needs `by`; who has a name of their own signs with that.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/acknowledge", tag = "Incidents", operation_id = "acknowledgeIncident", params(("id" = i64, Path, description = "The number of the incident")),
    request_body = Option<Signed>,
    responses((status = 200, description = "It is done", body = Done), (status = 404, description = "No such open incident"), (status = 422, description = "It is not said who takes it")))]
pub async fn acknowledge(
    State(app): State<App>,
    person: Person,
    Path(id): Path<i64>,
    signed: Option<Json<Signed>>,
) -> Result<Json<Done>, Error> {
    let signed = signed.map(|Json(signed)| signed).unwrap_or_default();
    let actor = signer(&person, signed.by.as_deref())?;
    if incident::acknowledge(&app.pool, id, &actor, app.clock.now()).await? {
        tracing::info!(incident.id = id, by = actor.name, "incident acknowledged");
        Ok(done(id, "acknowledged"))
    } else {
        Err(Error::NotFound("open incident"))
    }
}

/// A remark for the timeline.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Remark {
    #[schema(min_length = 1, max_length = 1000)]
    text: String,
    /// As for `acknowledge`.
    by: Option<String>,
}

/// Add a note to an incident
///
/// It becomes part of the timeline.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/note", tag = "Incidents", operation_id = "noteIncident", params(("id" = i64, Path, description = "The number of the incident")),
    request_body = Remark,
    responses((status = 200, description = "It is done", body = Done), (status = 404, description = "No such incident"), (status = 422, description = "The text or the name is missing or too long")))]
pub async fn note(
    State(app): State<App>,
    person: Person,
    Path(id): Path<i64>,
    Json(remark): Json<Remark>,
) -> Result<Json<Done>, Error> {
    let actor = signer(&person, remark.by.as_deref())?;
    let text = given::text(&remark.text, given::LONGEST_REMARK).map_err(named("text"))?;
    if incident::remark(&app.pool, id, &text, &actor, app.clock.now()).await? {
        Ok(done(id, "noted"))
    } else {
        Err(Error::NotFound("incident"))
    }
}

/// For how long nobody is told of this rule at this station, and why.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Quiet {
    /// With a unit, such as `2h`: a minute to 30 days.
    r#for: String,
    #[schema(min_length = 1, max_length = 300)]
    reason: String,
    /// As for `acknowledge`.
    by: Option<String>,
}

/// Silence an incident
///
/// Nobody is told of its rule at its station for a time.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/silence", tag = "Incidents", operation_id = "silenceIncident", params(("id" = i64, Path, description = "The number of the incident")),
    request_body = Quiet,
    responses((status = 200, description = "`{\"incident\":id,\"silence\":id,\"until\":time}`", body = Value), (status = 404, description = "No such incident"), (status = 422, description = "The time, the reason or the name is missing or out of range")))]
pub async fn silence(
    State(app): State<App>,
    person: Person,
    Path(id): Path<i64>,
    Json(quiet): Json<Quiet>,
) -> Result<Json<Value>, Error> {
    let actor = signer(&person, quiet.by.as_deref())?;
    let time = given::silence_time(&quiet.r#for).map_err(named("for"))?;
    let reason = given::text(&quiet.reason, given::LONGEST_REASON).map_err(named("reason"))?;
    let now = app.clock.now();
    let silence = silence::start_for_incident(&app.pool, id, time, &reason, &actor, now).await?;
    let silence = silence.ok_or(Error::NotFound("incident"))?;
    Ok(Json(
        json!({ "incident": id, "silence": silence, "until": now + time }),
    ))
}

/// Why an incident is given up.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Closing {
    #[schema(min_length = 1, max_length = 300)]
    reason: String,
    /// As for `acknowledge`.
    by: Option<String>,
}

/// Close an incident
///
/// For what will not end by itself, such as the silence of a station that is gone. Nobody is told.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/close", tag = "Incidents", operation_id = "closeIncident", params(("id" = i64, Path, description = "The number of the incident")),
    request_body = Closing,
    responses((status = 200, description = "It is done", body = Done), (status = 404, description = "No such open incident"), (status = 422, description = "The reason or the name is missing or too long")))]
pub async fn close(
    State(app): State<App>,
    person: Person,
    Path(id): Path<i64>,
    Json(closing): Json<Closing>,
) -> Result<Json<Done>, Error> {
    let actor = signer(&person, closing.by.as_deref())?;
    let reason = given::text(&closing.reason, given::LONGEST_REASON).map_err(named("reason"))?;
    if incident::close(&app.pool, id, &reason, &actor, app.clock.now()).await? {
        Ok(done(id, "closed"))
    } else {
        Err(Error::NotFound("open incident"))
    }
}

/// Puts the name of the field before what is wrong with it.
pub(super) fn named(field: &str) -> impl FnOnce(String) -> Error + '_ {
    move |problem| Error::Unprocessable(format!("`{field}`: {problem}"))
}
