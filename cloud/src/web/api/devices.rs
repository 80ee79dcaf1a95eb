//! `GET /api/v1/devices`: the stations, and how they are.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json as Read;
use utoipa::ToSchema;

use super::MOST_ROWS;
use crate::App;
use crate::error::Error;

#[derive(Debug, Serialize, ToSchema)]
pub struct Devices {
    pub devices: Vec<Device>,
}

/// A station, as its latest event tells of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Device {
    #[schema(example = "dev:864475")]
    pub uid: String,
    #[schema(example = "boiler-room")]
    pub serial_number: Option<String>,
    pub product: Option<String>,
    pub fleets: Vec<String>,
    pub first_seen: DateTime<Utc>,
    pub last_seen: DateTime<Utc>,
    pub best_lat: Option<f64>,
    pub best_lon: Option<f64>,
    pub best_location: Option<String>,
    /// IANA name.
    #[schema(example = "America/Chicago")]
    pub best_timezone: Option<String>,
    /// By rule: `normal`, `pending`, `firing` or `recovering`.
    #[schema(example = json!({ "anomaly": "firing" }))]
    pub alerts: BTreeMap<String, String>,
    /// Columns that the table has besides.
    #[serde(flatten)]
    #[schema(ignore)]
    pub more: BTreeMap<String, serde_json::Value>,
}

/// List stations
///
/// With the state of each rule. At most 1000, in the order of their uids.
#[utoipa::path(get, path = "/api/v1/devices", tag = "Stations", operation_id = "listDevices",
    responses((status = 200, description = "The stations", body = Devices)))]
pub async fn devices(State(app): State<App>) -> Result<Json<Devices>, Error> {
    let Read(devices) = sqlx::query_scalar!(
        r#"SELECT coalesce(jsonb_agg(to_jsonb(d) || jsonb_build_object('alerts', (
                      SELECT coalesce(jsonb_object_agg(a.rule, a.state), '{}') FROM alerts AS a WHERE a.device = d.uid)) ORDER BY d.uid), '[]') AS "rows!: Read<Vec<Device>>"
             FROM (SELECT * FROM devices ORDER BY uid LIMIT $1) AS d"#,
        MOST_ROWS
    )
    .fetch_one(&app.pool)
    .await?;
    Ok(Json(Devices { devices }))
}
