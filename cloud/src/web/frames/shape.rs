//! What the answers about pictures look like, for the description of the API.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub struct Frames {
    pub frames: Vec<Listed>,
    pub incomplete: Vec<Incomplete>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListedFrame)]
pub struct Listed {
    pub at: DateTime<Utc>,
    /// The uid of its event.
    pub event: String,
    /// Degrees C.
    pub min: f32,
    pub max: f32,
    /// Where its temperatures are.
    pub href: String,
    /// Where it is in false colours.
    pub png: String,
}

/// A picture of which parts are missing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IncompleteFrame)]
pub struct Incomplete {
    pub at: DateTime<Utc>,
    pub boot: i64,
    pub seq: i64,
    pub parts: Vec<Piece>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FramePart)]
pub struct Piece {
    pub part: i16,
    pub event: String,
    pub min: f32,
    pub max: f32,
}

/// A thermal picture.
#[derive(Debug, Serialize, ToSchema)]
pub struct Frame {
    pub device: String,
    pub at: DateTime<Utc>,
    /// The uid of its event.
    pub event: String,
    pub width: u32,
    pub height: u32,
    /// Degrees C.
    pub min: f32,
    pub max: f32,
    /// What an alert of this moment was about.
    pub suspect: Option<Spot>,
    pub hottest: Spot,
    /// Row by row from the top left.
    pub celsius: Vec<Vec<f64>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FrameSpot)]
pub struct Spot {
    /// Column from the left, from 0.
    pub x: u32,
    /// Row from the top, from 0.
    pub y: u32,
    pub celsius: Option<f64>,
}
