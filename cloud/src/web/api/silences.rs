//! Silences as people and scripts see them.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};

use super::incidents::named;
use crate::App;
use crate::error::Error;
use crate::process::silence::{self, Matcher};
use crate::web::given::{self, signer};
use crate::web::person::Person;

const MOST_ROWS: i64 = 1_000;

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Silence {
    pub id: i64,
    /// The station it mutes; absent means any.
    pub device: Option<String>,
    /// The station's serial number, or its uid.
    pub name: Option<String>,
    /// The rule it mutes; absent means any.
    pub rule: Option<String>,
    pub starts_at: DateTime<Utc>,
    pub ends_at: DateTime<Utc>,
    pub author: String,
    pub reason: String,
    /// Who ended it before its time.
    pub ended_by: Option<String>,
    pub in_force: bool,
}

impl Silence {
    pub fn mutes(&self, device: &str, rule: &str) -> bool {
        let fits = |own: &Option<String>, other: &str| own.as_deref().is_none_or(|it| it == other);
        self.in_force && fits(&self.device, device) && fits(&self.rule, rule)
    }
}

/// Those in force, or the others, the latest end first.
pub async fn find(
    pool: &PgPool,
    in_force: bool,
    most: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Silence>> {
    sqlx::query_as!(
        Silence,
        r#"SELECT s.id AS "id!", s.device, coalesce(d.serial_number, s.device) AS name, s.rule, s.starts_at AS "starts_at!", s.ends_at AS "ends_at!",
                  s.author AS "author!", s.reason AS "reason!", s.ended_by, s.ends_at > $2 AS "in_force!"
             FROM ((SELECT * FROM silences WHERE $1 AND ends_at > $2 ORDER BY ends_at DESC LIMIT $3)
                   UNION ALL
                   (SELECT * FROM silences WHERE NOT $1 AND ends_at <= $2 ORDER BY ends_at DESC LIMIT $3)) AS s
             LEFT JOIN devices AS d ON d.uid = s.device
            ORDER BY s.ends_at DESC"#,
        in_force,
        now,
        most
    )
    .fetch_all(pool)
    .await
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Those in force (the default), or those that are over.
    in_force: Option<bool>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Silences {
    silences: Vec<Silence>,
}

/// List silences
///
/// Those in force.
#[utoipa::path(get, path = "/api/v1/silences", tag = "Silences", operation_id = "listSilences", params(Which), responses((status = 200, description = "Silences in force", body = Silences)))]
pub async fn list(
    State(app): State<App>,
    Query(which): Query<Which>,
) -> Result<Json<Silences>, Error> {
    let in_force = which.in_force.unwrap_or(true);
    let silences = find(&app.pool, in_force, MOST_ROWS, app.clock.now()).await?;
    Ok(Json(Silences { silences }))
}

/// What is to be quiet, for how long and why. At least one of `device` and `rule` is needed.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewSilence {
    device: Option<String>,
    rule: Option<String>,
    /// With a unit, such as `2h`: a minute to 30 days.
    r#for: String,
    #[schema(min_length = 1, max_length = 300)]
    reason: String,
    /// Needed with the people token; who is signed in by name signs with it, whatever stands here.
    by: Option<String>,
}

/// Start a silence
///
/// Of a station, of a rule, or of a rule at a station.
#[utoipa::path(post, path = "/api/v1/silences", tag = "Silences", operation_id = "startSilence", request_body = NewSilence,
    responses((status = 201, description = "`{\"silence\":id,\"until\":time}`", body = Value), (status = 422, description = "A field is missing, unknown or out of range")))]
pub async fn start(
    State(app): State<App>,
    person: Person,
    Json(new): Json<NewSilence>,
) -> Result<(StatusCode, Json<Value>), Error> {
    let actor = signer(&person, new.by.as_deref())?;
    let time = given::silence_time(&new.r#for).map_err(named("for"))?;
    let reason = given::text(&new.reason, given::LONGEST_REASON).map_err(named("reason"))?;
    let matcher = Matcher {
        device: new.device,
        rule: new.rule,
    };
    if let Err((field, problem)) = known(&app, &matcher).await? {
        return Err(named(field)(problem));
    }
    let now = app.clock.now();
    let id = silence::start(&app.pool, &matcher, time, &reason, &actor, now).await?;
    let answer = json!({ "silence": id, "until": now + time });
    Ok((StatusCode::CREATED, Json(answer)))
}

/// A silence that can never match anything would let people believe that something is quiet. The error is a field and
/// what is wrong with it.
pub async fn known(
    app: &App,
    matcher: &Matcher,
) -> sqlx::Result<Result<(), (&'static str, String)>> {
    if matcher.device.is_none() && matcher.rule.is_none() {
        let problem = "Name a station, a rule, or both; everything at once cannot be silenced.";
        return Ok(Err(("device", problem.into())));
    }
    if let Some(device) = &matcher.device
        && !sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM devices WHERE uid = $1) AS "known!""#,
            device
        )
        .fetch_one(&app.pool)
        .await?
    {
        let problem = "No station has this uid; choose one from the list.";
        return Ok(Err(("device", problem.into())));
    }
    if let Some(rule) = &matcher.rule
        && !rules(app).await?.contains(rule)
    {
        return Ok(Err(("rule", "There is no rule with this name.".into())));
    }
    Ok(Ok(()))
}

/// The rules there are, and those of incidents that there were, by name.
pub async fn rules(app: &App) -> sqlx::Result<Vec<String>> {
    // From name to name by the index: there are many incidents and few rules.
    let mut rules = sqlx::query_scalar!(
        r#"WITH RECURSIVE names AS (
               (SELECT rule FROM incidents ORDER BY rule LIMIT 1)
               UNION ALL
               SELECT (SELECT rule FROM incidents WHERE rule > names.rule ORDER BY rule LIMIT 1) FROM names WHERE names.rule IS NOT NULL)
           SELECT rule AS "rule!" FROM names WHERE rule IS NOT NULL LIMIT 1000"#
    )
    .fetch_all(&app.pool)
    .await?;
    let configured = app.processor.plan.watched();
    rules.extend(configured.map(|rule| rule.config.name.clone()));
    rules.sort();
    rules.dedup();
    Ok(rules)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Signed {
    /// Needed with the people token: who ends it.
    by: Option<String>,
}

/// End a silence
///
/// Before its time. What it held back and is still true is told then.
#[utoipa::path(delete, path = "/api/v1/silences/{id}", tag = "Silences", operation_id = "endSilence", params(("id" = i64, Path, description = "The number of the silence"), Signed),
    responses((status = 200, description = "`{\"silence\":id,\"status\":\"ended\"}`", body = Value), (status = 404, description = "No such silence in force")))]
pub async fn end(
    State(app): State<App>,
    person: Person,
    Path(id): Path<i64>,
    Query(signed): Query<Signed>,
) -> Result<Json<Value>, Error> {
    let actor = signer(&person, signed.by.as_deref())?;
    if silence::end(&app.pool, id, &actor, app.clock.now()).await? {
        Ok(Json(json!({ "silence": id, "status": "ended" })))
    } else {
        Err(Error::NotFound("silence in force"))
    }
}
