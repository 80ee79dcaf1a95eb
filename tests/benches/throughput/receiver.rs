//! A stand-in for Ubidots without a rate limit: it answers as Ubidots does and counts what it has not seen before.
//!
//! A point is told by its device (in the path) and its time, so a delivery that is made twice counts once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::floor;

/// The variable whose points are counted: the tutorial's expression sends all four together.
const COUNTED: &str = "cold";

#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) distinct: usize,
    pub(crate) points: usize,
    pub(crate) requests: usize,
}

#[derive(Debug, Default)]
struct Seen {
    points: HashSet<(String, u64)>,
    count: Count,
}

type Shared = Arc<Mutex<Seen>>;

pub(crate) async fn serve() -> anyhow::Result<()> {
    let router = Router::new()
        .route("/api/v1.6/devices/{device}", post(accept))
        .route("/api/v1.6/devices/{device}/", post(accept))
        .route("/count", get(count))
        .with_state(Shared::default());
    floor::listen(router).await
}

async fn accept(
    State(seen): State<Shared>,
    Path(device): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, StatusCode> {
    let Ok(Value::Object(variables)) = serde_json::from_slice(&body) else {
        return Err(StatusCode::BAD_REQUEST);
    };
    let mut answer = Map::new();
    for (name, value) in &variables {
        let points = points(value).len();
        answer.insert(
            name.clone(),
            json!(vec![json!({"status_code": 201}); points]),
        );
    }
    // A panic while counting would have failed its request; what was counted before stays good.
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.count.requests += 1;
    for point in variables.get(COUNTED).map(points).unwrap_or_default() {
        seen.count.points += 1;
        if let Some(at) = point["timestamp"].as_u64() {
            seen.points.insert((device.clone(), at));
        }
    }
    Ok(Json(Value::Object(answer)))
}

async fn count(State(seen): State<Shared>) -> Json<Count> {
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    Json(Count {
        distinct: seen.points.len(),
        ..seen.count
    })
}

/// A variable may come as one point or as a list of them.
fn points(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(points) => points.iter().collect(),
        point => vec![point],
    }
}
