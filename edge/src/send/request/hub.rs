//! The connection to Notehub.

use serde::Serialize;

use super::{Fields, Request, is_false};

/// How and how often the Notecard connects. Without both times, it would never do so by itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct HubSet {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Minutes that a note waits at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound: Option<u32>,
    /// Minutes between looks for what Notehub has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbound: Option<u32>,
    /// Serial number: the station's name at Notehub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sn: Option<String>,
    /// In continuous mode: fetch at once what Notehub has.
    #[serde(skip_serializing_if = "is_false")]
    pub sync: bool,
    /// Other times by voltage, such as `usb:30;high:60;normal:90;low:120;dead:0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voutbound: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vinbound: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Periodic,
    Continuous,
    Minimum,
    Off,
}

/// What `hub.set` has set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct HubGet {}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hub {
    pub product: Option<String>,
    pub mode: Option<String>,
    /// Minutes.
    pub outbound: Option<i64>,
    pub inbound: Option<i64>,
    /// Serial number.
    pub sn: Option<String>,
}

/// Asks for a sync, which happens after the reply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct HubSync {
    /// Also from certain penalty boxes.
    #[serde(skip_serializing_if = "is_false")]
    pub allow: bool,
    /// Only what waits here.
    #[serde(skip_serializing_if = "is_false")]
    pub out: bool,
    /// Only what waits at Notehub.
    #[serde(rename = "in", skip_serializing_if = "is_false")]
    pub inbound: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct HubSyncStatus {
    /// Sync if something waits.
    #[serde(skip_serializing_if = "is_false")]
    pub sync: bool,
}

/// How the last sync went, or how far this one is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SyncStatus {
    /// With tags such as `{sync-end}` or `{extended-network-failure}`.
    pub status: String,
    /// Of the radio, such as `{modem-off}`.
    pub mode: Option<String>,
    /// Unix s of the last that was completed.
    pub time: Option<i64>,
    /// Seconds since then.
    pub completed: Option<i64>,
    /// Seconds since one was asked for.
    pub requested: Option<i64>,
    /// The last one failed.
    pub alert: bool,
    /// Notes wait, or the clock does.
    pub sync: bool,
    /// Seconds that a penalty still lasts.
    pub seconds: Option<i64>,
    pub err: Option<String>,
}

/// There is nothing to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done;

impl Request for HubSet {
    const NAME: &'static str = "hub.set";
    type Reply = Done;
}

impl Request for HubGet {
    const NAME: &'static str = "hub.get";
    type Reply = Hub;
}

impl Request for HubSync {
    const NAME: &'static str = "hub.sync";
    type Reply = Done;
}

impl Request for HubSyncStatus {
    const NAME: &'static str = "hub.sync.status";
    const ERROR_IS_NEWS: bool = true;
    type Reply = SyncStatus;
}

impl From<Fields<'_>> for Done {
    fn from(_: Fields<'_>) -> Self {
        Self
    }
}

impl From<Fields<'_>> for Hub {
    fn from(fields: Fields<'_>) -> Self {
        Self {
            product: fields.text("product"),
            mode: fields.text("mode"),
            outbound: fields.integer("outbound"),
            inbound: fields.integer("inbound"),
            sn: fields.text("sn"),
        }
    }
}

impl From<Fields<'_>> for SyncStatus {
    fn from(fields: Fields<'_>) -> Self {
        Self {
            status: fields.text("status").unwrap_or_default(),
            mode: fields.text("mode"),
            time: fields.integer("time"),
            completed: fields.integer("completed"),
            requested: fields.integer("requested"),
            alert: fields.flag("alert"),
            sync: fields.flag("sync"),
            seconds: fields.integer("seconds"),
            err: fields.text("err"),
        }
    }
}
