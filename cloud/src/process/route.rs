//! Which destinations an event goes to, and with what body (pure).

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Taken;
use super::plan::{Plan, Route};
use super::transform::{Outcome, TransformError};

/// A delivery that an event calls for.
#[derive(Debug, Clone, PartialEq)]
pub struct Routed {
    pub id: Uuid,
    pub route: String,
    pub destination: String,
    pub body: String,
}

/// What one route makes of one event.
#[derive(Debug)]
pub enum Routing {
    Deliver(Routed),
    /// The expression yields nothing, or says `$doNotRoute()`.
    Nothing,
    Failed(TransformError),
}

/// The routes that take this event, each with what it makes of it.
pub fn route<'plan>(
    plan: &'plan Plan,
    event: &Taken,
    now: DateTime<Utc>,
) -> Vec<(&'plan Route, Routing)> {
    plan.routes
        .iter()
        .filter(|route| route.config.enabled && event.is_in(&route.scope))
        .map(|route| (route, route_one(route, event, now)))
        .collect()
}

fn route_one(route: &Route, event: &Taken, now: DateTime<Utc>) -> Routing {
    let body = match &route.transform {
        None => event.raw.clone(),
        Some(transform) => match transform.run(&event.value, now) {
            Outcome::Json(value) => value.to_string(),
            Outcome::Nothing | Outcome::DoNotRoute => return Routing::Nothing,
            Outcome::Error(error) => return Routing::Failed(error),
        },
    };
    Routing::Deliver(Routed {
        id: delivery_id(&["route", &event.uid, &route.config.name]),
        route: route.config.name.clone(),
        destination: route.config.destination.clone(),
        body,
    })
}

/// A uuid made of what the delivery is for: the same duty always has the same id, however often the event is processed.
pub fn delivery_id(parts: &[&str]) -> Uuid {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
