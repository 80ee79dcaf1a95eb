//! The Notecard itself.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Fields, Request, base64, is_false};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CardVersion {}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Version {
    /// Of the firmware, such as `notecard-5.3.1`.
    pub version: String,
    /// The device uid, `dev:` and digits.
    pub device: Option<String>,
    pub name: Option<String>,
    pub sku: Option<String>,
    pub board: Option<String>,
    pub cell: bool,
    pub wifi: bool,
    pub body: Option<Map<String, Value>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CardTime {}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Time {
    /// Unix s; None before the first sync.
    pub time: Option<i64>,
    pub zone: Option<String>,
    /// East of Greenwich.
    pub minutes: Option<i64>,
    pub area: Option<String>,
    pub country: Option<String>,
    /// Degrees, of the cell tower.
    pub lat: Option<f64>,
    pub lon: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CardVoltage {}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Voltage {
    /// Volts.
    pub value: Option<f64>,
    /// Such as `usb`, `normal` or `low`.
    pub mode: Option<String>,
    pub usb: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CardTemp {}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Temperature {
    /// Deg C.
    pub value: Option<f64>,
    /// Volts.
    pub voltage: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CardStatus {}

#[expect(clippy::struct_excessive_bools, reason = "what the card tells")]
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status {
    pub status: Option<String>,
    /// Percent of all; about 80 can be used.
    pub storage: Option<i64>,
    /// Unix s at which it was switched on.
    pub time: Option<i64>,
    pub connected: bool,
    pub cell: bool,
    pub usb: bool,
    /// It has once been connected to Notehub.
    pub sync: bool,
    /// Minutes, as they are in force.
    pub inbound: Option<i64>,
    pub outbound: Option<i64>,
}

/// The ATTN pin, which can switch the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CardAttn {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<AttnMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// What to keep for when the host wakes.
    #[serde(serialize_with = "base64", skip_serializing_if = "Option::is_none")]
    pub payload: Option<Vec<u8>>,
    /// Give it back.
    #[serde(skip_serializing_if = "is_false")]
    pub start: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AttnMode {
    /// The pin goes low for so many seconds.
    Sleep,
    Disarm,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attn {
    /// The pin is high.
    pub set: bool,
    pub files: Vec<String>,
    pub payload: Option<Vec<u8>>,
    /// Unix s at which the payload was left.
    pub time: Option<i64>,
    pub off: bool,
}

impl CardAttn {
    /// Takes the host's power for so long, if the pin is wired so; the reply comes before that.
    pub fn sleep(seconds: u32, payload: Vec<u8>) -> Self {
        Self {
            mode: Some(AttnMode::Sleep),
            seconds: Some(seconds),
            payload: (!payload.is_empty()).then_some(payload),
            start: false,
        }
    }

    /// Asks for the payload of the last sleep.
    pub fn start() -> Self {
        Self {
            start: true,
            ..Self::default()
        }
    }
}

impl Request for CardVersion {
    const NAME: &'static str = "card.version";
    type Reply = Version;
}

impl Request for CardTime {
    const NAME: &'static str = "card.time";
    type Reply = Time;
}

impl Request for CardVoltage {
    const NAME: &'static str = "card.voltage";
    type Reply = Voltage;
}

impl Request for CardTemp {
    const NAME: &'static str = "card.temp";
    type Reply = Temperature;
}

impl Request for CardStatus {
    const NAME: &'static str = "card.status";
    type Reply = Status;
}

impl Request for CardAttn {
    const NAME: &'static str = "card.attn";
    type Reply = Attn;
}

impl From<Fields<'_>> for Version {
    fn from(fields: Fields<'_>) -> Self {
        Self {
            version: fields.text("version").unwrap_or_default(),
            device: fields.text("device"),
            name: fields.text("name"),
            sku: fields.text("sku"),
            board: fields.text("board"),
            cell: fields.flag("cell"),
            wifi: fields.flag("wifi"),
            body: fields.object("body"),
        }
    }
}

impl From<Fields<'_>> for Time {
    fn from(fields: Fields<'_>) -> Self {
        Self {
            // 0 would be a clock that was never set.
            time: fields.integer("time").filter(|time| *time > 0),
            zone: fields.text("zone"),
            minutes: fields.integer("minutes"),
            area: fields.text("area"),
            country: fields.text("country"),
            lat: fields.number("lat"),
            lon: fields.number("lon"),
        }
    }
}

impl From<Fields<'_>> for Voltage {
    fn from(fields: Fields<'_>) -> Self {
        Self {
            value: fields.number("value"),
            mode: fields.text("mode"),
            usb: fields.flag("usb"),
        }
    }
}

impl From<Fields<'_>> for Temperature {
    fn from(fields: Fields<'_>) -> Self {
        Self {
            value: fields.number("value"),
            voltage: fields.number("voltage"),
        }
    }
}

impl From<Fields<'_>> for Status {
    fn from(fields: Fields<'_>) -> Self {
        Self {
            status: fields.text("status"),
            storage: fields.integer("storage"),
            time: fields.integer("time"),
            connected: fields.flag("connected"),
            cell: fields.flag("cell"),
            usb: fields.flag("usb"),
            sync: fields.flag("sync"),
            inbound: fields.integer("inbound"),
            outbound: fields.integer("outbound"),
        }
    }
}

impl From<Fields<'_>> for Attn {
    fn from(fields: Fields<'_>) -> Self {
        Self {
            set: fields.flag("set"),
            files: fields.texts("files"),
            payload: fields.payload("payload"),
            time: fields.integer("time"),
            off: fields.flag("off"),
        }
    }
}
