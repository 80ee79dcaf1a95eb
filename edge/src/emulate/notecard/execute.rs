//! The requests, done.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::Card;
use super::fault::Network;
use super::store::Mode;

mod note;

/// The reply, or the text of an error.
pub(super) type Reply = Result<Map<String, Value>, String>;

/// How `card.attn` rounds up in continuous mode, seconds.
const ATTN_GRID: u64 = 15;

/// What a request brings along.
#[derive(Debug, Clone, Copy)]
struct Arguments<'a>(&'a Map<String, Value>);

impl<'a> Arguments<'a> {
    fn text(self, name: &str) -> Result<Option<&'a str>, String> {
        self.read(name, Value::as_str, "text")
    }

    fn integer(self, name: &str) -> Result<Option<i64>, String> {
        self.read(name, Value::as_i64, "a whole number")
    }

    fn flag(self, name: &str) -> Result<bool, String> {
        Ok(self
            .read(name, Value::as_bool, "true or false")?
            .unwrap_or(false))
    }

    fn object(self, name: &str) -> Result<Option<&'a Map<String, Value>>, String> {
        self.read(name, Value::as_object, "an object")
    }

    fn payload(self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let bytes = BASE64_STANDARD
            .decode(text)
            .map_err(|_| format!("{name} is not base64 {{bad-bin}}"))?;
        Ok(Some(bytes))
    }

    fn read<T>(
        self,
        name: &str,
        read: impl Fn(&'a Value) -> Option<T>,
        what: &str,
    ) -> Result<Option<T>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => match read(value) {
                Some(value) => Ok(Some(value)),
                None => Err(format!("{name} is not {what} {{incompatible}}")),
            },
        }
    }
}

/// An object that is known to be one.
fn reply(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

impl Card {
    pub fn execute(&mut self, name: &str, request: &Map<String, Value>) -> Reply {
        let arguments = Arguments(request);
        match name {
            "hub.set" => self.hub_set(arguments),
            "hub.get" => Ok(self.hub_get()),
            "hub.sync" => self.hub_sync(arguments),
            "hub.status" => Ok(self.hub_status()),
            "hub.sync.status" => self.hub_sync_status(arguments),
            "note.add" => self.note_add(arguments),
            "note.template" => self.note_template(arguments),
            "note.get" => self.note_get(arguments),
            "env.get" => self.env_get(arguments),
            "env.default" => self.env_default(arguments),
            "env.modified" => Ok(reply(json!({ "time": self.flash.environment_changed }))),
            "card.version" => Ok(self.card_version()),
            "card.time" => Ok(self.card_time()),
            "card.voltage" => Ok(reply(json!({ "usb": true, "mode": "usb", "value": 5.07 }))),
            "card.temp" => Ok(reply(
                json!({ "value": 31.5, "calibration": -3.0, "voltage": 5.07 }),
            )),
            "card.status" => Ok(self.card_status()),
            "card.attn" => self.card_attn(arguments),
            "card.restart" => {
                self.restart_after_reply("{}\r\n".len());
                Ok(Map::new())
            }
            "echo" => {
                let mut same = request.clone();
                same.retain(|name, _| name != "req" && name != "crc");
                Ok(same)
            }
            _ => Err(format!("unknown request: {name} {{io}} {{not-supported}}")),
        }
    }

    fn hub_set(&mut self, arguments: Arguments<'_>) -> Reply {
        let mode = match arguments.text("mode")? {
            None => None,
            Some("periodic" | "-") => Some(Mode::Periodic),
            Some("continuous") => Some(Mode::Continuous),
            Some("minimum") => Some(Mode::Minimum),
            Some("off" | "dfu") => Some(Mode::Off),
            Some(other) => return Err(format!("there is no mode {other} {{incompatible}}")),
        };
        let minutes = |name| {
            Ok::<_, String>(match arguments.integer(name)? {
                None => None,
                // Back to the default.
                Some(-1) => Some(0),
                Some(minutes) => Some(
                    u64::try_from(minutes)
                        .map_err(|_| format!("{name} is less than -1 {{incompatible}}"))?,
                ),
            })
        };
        let (outbound, inbound) = (minutes("outbound")?, minutes("inbound")?);
        let (product, sn) = (arguments.text("product")?, arguments.text("sn")?);
        let hub = &mut self.flash.hub;
        hub.mode = mode.unwrap_or(hub.mode);
        hub.outbound = outbound.unwrap_or(hub.outbound);
        hub.inbound = inbound.unwrap_or(hub.inbound);
        hub.sync = arguments.flag("sync")? || hub.sync;
        if let Some(product) = product {
            product.clone_into(&mut hub.product);
        }
        if let Some(sn) = sn {
            sn.clone_into(&mut hub.sn);
        }
        if outbound.is_some() || inbound.is_some() || mode.is_some() {
            self.radio.anchor = self.clock.uptime();
        }
        Ok(Map::new())
    }

    fn hub_get(&self) -> Map<String, Value> {
        let hub = &self.flash.hub;
        let mode = match hub.mode {
            Mode::Periodic => "periodic",
            Mode::Continuous => "continuous",
            Mode::Minimum => "minimum",
            Mode::Off => "off",
        };
        reply(json!({
            "device": self.options.device,
            "product": hub.product,
            "mode": mode,
            "outbound": hub.outbound,
            "inbound": hub.inbound,
            "sn": hub.sn,
        }))
    }

    fn hub_sync(&mut self, arguments: Arguments<'_>) -> Reply {
        let now = self.clock.uptime();
        if arguments.flag("allow")? {
            self.radio.penalty_until = now;
            self.radio.failures = 0;
        }
        if self.flash.hub.mode != Mode::Off {
            self.radio.request(now);
        }
        Ok(Map::new())
    }

    fn hub_status(&self) -> Map<String, Value> {
        let connected = self.radio.is_running();
        let status = if connected {
            "connected {connected}"
        } else {
            "disconnected {disconnected}"
        };
        let mut out = reply(json!({ "status": status }));
        if connected {
            out.insert("connected".to_owned(), true.into());
        }
        out
    }

    fn hub_sync_status(&mut self, arguments: Arguments<'_>) -> Reply {
        let now = self.clock.uptime();
        if arguments.flag("sync")? && !self.flash.queue.is_empty() {
            self.radio.request(now);
        }
        let radio = &self.radio;
        let mode = if radio.is_running() {
            "{connected}"
        } else {
            "{modem-off}"
        };
        let mut out = reply(json!({ "status": radio.status(now), "mode": mode }));
        if let Some((at, time)) = radio.completed {
            out.insert(
                "completed".to_owned(),
                now.saturating_sub(at).as_secs().into(),
            );
            out.insert("time".to_owned(), time.into());
        }
        if let Some(asked) = radio.asked {
            out.insert(
                "requested".to_owned(),
                now.saturating_sub(asked).as_secs().into(),
            );
        }
        if radio.trouble.is_some() {
            out.insert("alert".to_owned(), true.into());
        }
        if !self.flash.queue.is_empty() || !self.knows_time {
            out.insert("sync".to_owned(), true.into());
        }
        if now < radio.penalty_until {
            let left = radio.penalty_until.saturating_sub(now).as_secs_f64().ceil();
            out.insert(
                "seconds".to_owned(),
                json!(left).as_f64().map_or(Value::Null, whole),
            );
        }
        Ok(out)
    }

    fn env_get(&self, arguments: Arguments<'_>) -> Reply {
        let changed = self.flash.environment_changed;
        if arguments
            .integer("time")?
            .is_some_and(|since| changed <= since)
        {
            return Err("environment hasn't been modified {env-not-modified}".to_owned());
        }
        let all = self.flash.variables();
        let mut out = Map::new();
        if let Some(name) = arguments.text("name")? {
            let text = all.get(&name.to_ascii_lowercase()).cloned();
            out.insert("text".to_owned(), text.unwrap_or_default().into());
        } else {
            let names = arguments.0.get("names").and_then(Value::as_array);
            let wanted = |name: &String| match names {
                None => true,
                Some(names) => names
                    .iter()
                    .filter_map(Value::as_str)
                    .any(|wanted| wanted.eq_ignore_ascii_case(name)),
            };
            let body: BTreeMap<_, _> = all.into_iter().filter(|(name, _)| wanted(name)).collect();
            out.insert("body".to_owned(), json!(body));
        }
        if changed > 0 {
            out.insert("time".to_owned(), changed.into());
        }
        Ok(out)
    }

    fn env_default(&mut self, arguments: Arguments<'_>) -> Reply {
        let name = arguments
            .text("name")?
            .ok_or("there is no name {incompatible}")?
            .to_ascii_lowercase();
        let before = match arguments.text("text")? {
            Some(text) => self.flash.defaults.insert(name, text.to_owned()),
            None => self.flash.defaults.remove(&name),
        };
        if before.as_deref() != arguments.text("text")? {
            let time = self.time();
            self.flash.environment_touched(time);
        }
        Ok(Map::new())
    }

    fn card_version(&self) -> Map<String, Value> {
        reply(json!({
            "version": self.options.version,
            "device": self.options.device,
            "name": "Blues Wireless Notecard",
            "sku": "NOTE-NBGL",
            "board": "1.11",
            "cell": true,
            "gps": true,
            "api": 9,
            "body": {
                "org": "Blues Wireless",
                "product": "Notecard",
                "version": self.options.version,
                "ver_major": 9,
                "ver_minor": 1,
                "ver_patch": 1,
            },
        }))
    }

    fn card_time(&self) -> Map<String, Value> {
        match self.time() {
            None => reply(json!({ "zone": "UTC,Unknown" })),
            Some(time) => reply(json!({
                "time": time,
                "zone": "CET,Europe/Berlin",
                "minutes": 60,
                "area": "Hamburg",
                "country": "DE",
                "lat": 53.55,
                "lon": 9.99,
            })),
        }
    }

    fn card_status(&self) -> Map<String, Value> {
        let (hub, radio) = (&self.flash.hub, &self.radio);
        let storage = self.flash.used() * 100 / self.options.storage.max(1);
        let mut out = reply(json!({
            "status": "{normal}",
            "usb": true,
            "storage": if self.faults.full { 80 } else { storage },
            "inbound": hub.inbound,
            "outbound": hub.outbound,
        }));
        if radio.is_running() {
            out.insert("connected".to_owned(), true.into());
            out.insert("cell".to_owned(), true.into());
        }
        if self.flash.ever_synced {
            out.insert("sync".to_owned(), true.into());
        }
        if let Some(time) = self.time() {
            let up = self.clock.uptime().saturating_sub(self.booted).as_secs();
            out.insert(
                "time".to_owned(),
                (time - i64::try_from(up).unwrap_or(0)).into(),
            );
        }
        out
    }

    fn card_attn(&mut self, arguments: Arguments<'_>) -> Reply {
        let now = self.clock.uptime();
        let modes = arguments.text("mode")?.unwrap_or_default();
        let modes: Vec<_> = modes.split(',').map(str::trim).collect();
        let seconds = arguments.integer("seconds")?;
        let mut out = Map::new();
        if arguments.flag("off")? {
            self.attn.off = true;
        } else if arguments.flag("on")? {
            self.attn.off = false;
        }
        if modes.contains(&"sleep") {
            let seconds = seconds.ok_or("sleep needs seconds {incompatible}")?;
            let mut seconds = u64::try_from(seconds).unwrap_or(0);
            if self.flash.hub.mode == Mode::Continuous {
                seconds = seconds.next_multiple_of(ATTN_GRID);
            }
            if let Some(payload) = arguments.payload("payload")? {
                self.attn.payload = Some((payload, self.time()));
            }
            self.attn.low_until = Some(now + std::time::Duration::from_secs(seconds));
        } else if modes.contains(&"watchdog") && seconds.is_none_or(|seconds| seconds < 60) {
            return Err("a watchdog needs 60 seconds or more {incompatible}".to_owned());
        } else if modes.contains(&"disarm") {
            self.attn.low_until = None;
        }
        if modes.contains(&"files") {
            let files = arguments.0.get("files").and_then(Value::as_array);
            let files = files.ok_or("there are no files to watch {incompatible}")?;
            let names = files.iter().filter_map(Value::as_str).map(str::to_owned);
            self.attn.watched = names.collect();
        } else if modes.contains(&"-files") || modes.contains(&"-all") {
            self.attn.watched.clear();
        }
        if arguments.flag("start")?
            && let Some((payload, time)) = self.attn.payload.take()
        {
            out.insert("payload".to_owned(), BASE64_STANDARD.encode(payload).into());
            if let Some(time) = time {
                out.insert("time".to_owned(), time.into());
            }
        }
        let changed = std::mem::take(&mut self.attn.changed);
        if !changed.is_empty() {
            out.insert("files".to_owned(), json!(changed));
        }
        if self.attn.off {
            out.insert("off".to_owned(), true.into());
        }
        if self.attn.low_until.is_none_or(|until| until <= now) {
            out.insert("set".to_owned(), true.into());
        }
        Ok(out)
    }

    /// In a penalty box, or out of reach of the network that it was last in.
    fn is_penalised(&self) -> bool {
        self.clock.uptime() < self.radio.penalty_until && self.faults.network != Network::Up
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "seconds of a penalty of an hour at most"
)]
fn whole(seconds: f64) -> Value {
    (seconds as i64).into()
}
