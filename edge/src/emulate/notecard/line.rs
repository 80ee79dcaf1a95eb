//! Bytes become lines, lines become requests, and replies become bytes.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Map, Value};

use super::fault::{Damage, Fault, Moment};
use super::{Card, Restart, Rule, error};
use crate::send::notecard::crc;

/// Bytes that wait to be read by the machine behind the door.
const BUFFER: f64 = 1500.0;
/// How fast it reads them, bytes a second.
const READING: f64 = 1000.0;
/// Two segments and a bit: whoever pauses between them never gets there.
const PACED: f64 = 620.0;
/// More than any request.
const LONGEST_LINE: usize = 64 * 1024;
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Until a bare newline is answered.
const NEWLINE: Duration = Duration::from_millis(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Serial,
    I2c,
}

#[derive(Debug, Default)]
pub(super) struct Doors {
    pub serial: Port,
    pub i2c: Port,
}

/// What is under way at one door.
#[derive(Debug, Default)]
pub(super) struct Port {
    line: Vec<u8>,
    /// Bytes of this line that came, damaged or not.
    came: usize,
    fault: Option<Fault>,
    /// What is said, and when each byte of it may be fetched.
    said: VecDeque<(Duration, u8)>,
    /// What restarts the card when so many more bytes were fetched.
    restart_after: Option<(usize, Restart)>,
    level: f64,
    level_at: Duration,
    /// Of this line.
    complained: bool,
}

/// What the card knows of the conversation; lost when it restarts.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The last request that was done, as `SSSS:CCCCCCCC`, and its reply.
    last: Option<(String, String)>,
    /// The last sequence number.
    sequence: Option<u16>,
    busy_until: Duration,
}

impl Port {
    pub fn say(&mut self, at: Duration, bytes: &[u8], per_byte: Duration) {
        let mut at = at.max(self.said.back().map_or(Duration::ZERO, |(last, _)| *last));
        for byte in bytes {
            at += per_byte;
            self.said.push_back((at, *byte));
        }
    }

    /// How much may be fetched.
    pub fn waiting(&self, now: Duration) -> usize {
        self.said.iter().take_while(|(at, _)| *at <= now).count()
    }
}

impl Card {
    /// Bytes that came through a door, the last of them at `at`.
    pub fn hear(&mut self, door: Door, at: Duration, bytes: &[u8], per_byte: Duration) {
        for (index, byte) in bytes.iter().enumerate() {
            let after = u32::try_from(bytes.len() - 1 - index).unwrap_or(u32::MAX);
            let at = at.saturating_sub(per_byte.saturating_mul(after));
            if self.hears(at) && self.buffer(door, at) {
                self.hear_byte(door, at, *byte, per_byte);
            }
        }
    }

    /// Puts a byte into the input buffer, if there is room.
    fn buffer(&mut self, door: Door, at: Duration) -> bool {
        let port = self.door(door);
        let emptied = at.saturating_sub(port.level_at).as_secs_f64() * READING;
        port.level = (port.level - emptied).max(0.0) + 1.0;
        port.level_at = port.level_at.max(at);
        let (overflows, unpaced) = (port.level > BUFFER, port.level > PACED);
        if overflows {
            port.level -= 1.0;
        }
        if unpaced && !std::mem::replace(&mut port.complained, true) {
            self.break_rule(at, Rule::Pacing);
        }
        if overflows {
            self.break_rule(at, Rule::Overflow);
        }
        !overflows
    }

    fn hear_byte(&mut self, door: Door, at: Duration, byte: u8, per_byte: Duration) {
        if self.door(door).came == 0 && !b"\r\n".contains(&byte) {
            let fault = self.faults.next();
            self.door(door).fault = fault;
        }
        let port = self.door(door);
        let place = port.came;
        port.came += 1;
        match port.fault {
            Some(Fault::Request(damage, here)) if here == place => match damage {
                Damage::Lost => return,
                Damage::Doubled => port.line.push(byte),
                Damage::Flipped(bits) => return self.take(door, at, byte ^ bits, per_byte),
            },
            Some(Fault::Reset(Moment::InRequest(here))) if here == place => {
                return self.restart(at, Duration::ZERO, Restart::Reset);
            }
            Some(Fault::BrownOut(Moment::InRequest(here))) if here == place => {
                return self.restart(at, Duration::ZERO, Restart::Power);
            }
            _ => {}
        }
        self.take(door, at, byte, per_byte);
    }

    fn take(&mut self, door: Door, at: Duration, byte: u8, per_byte: Duration) {
        let port = self.door(door);
        if byte != b'\n' {
            if port.line.len() < LONGEST_LINE {
                port.line.push(byte);
            }
            return;
        }
        let line = std::mem::take(&mut port.line);
        let fault = port.fault.take();
        port.came = 0;
        port.complained = false;
        // It is read to its end before it is answered.
        port.level = 0.0;
        let line = String::from_utf8_lossy(&line).into_owned();
        let line = line.trim();
        let free = at.max(self.memory.busy_until);
        if line.is_empty() {
            self.door(door).say(free + NEWLINE, b"\r\n", per_byte);
            return;
        }
        if !self.door(door).said.is_empty() {
            self.break_rule(at, Rule::Overlap);
        }
        if fault == Some(Fault::Deaf) {
            return;
        }
        let reply = self.answer(line, fault == Some(Fault::Io));
        self.reply(door, free + self.options.latency, reply, fault, per_byte);
    }

    /// Says a reply, if there is one, and lets happen what was to go wrong with it.
    fn reply(
        &mut self,
        door: Door,
        mut at: Duration,
        reply: Option<String>,
        fault: Option<Fault>,
        per_byte: Duration,
    ) {
        match fault {
            Some(Fault::Silent) => return,
            Some(Fault::Reset(Moment::BeforeReply)) => {
                return self.restart(at, Duration::ZERO, Restart::Reset);
            }
            Some(Fault::BrownOut(Moment::BeforeReply)) => {
                return self.restart(at, Duration::ZERO, Restart::Power);
            }
            _ => {}
        }
        let Some(reply) = reply else {
            self.memory.busy_until = at;
            return;
        };
        match fault {
            Some(Fault::Slow(time)) => at += time,
            Some(Fault::Heartbeats(count)) => {
                for _ in 0..count {
                    let beat = "{\"err\":\"{heartbeat}\",\"status\":\"working\"}\r\n";
                    self.door(door).say(at, beat.as_bytes(), per_byte);
                    at += HEARTBEAT;
                }
            }
            _ => {}
        }
        let mut bytes = (reply + "\r\n").into_bytes();
        if let Some(Fault::Reply(damage, place)) = fault {
            let place = place % bytes.len();
            match damage {
                Damage::Lost => drop(bytes.remove(place)),
                Damage::Doubled => bytes.insert(place, bytes[place]),
                Damage::Flipped(bits) => bytes[place] ^= bits,
            }
        }
        self.memory.busy_until = at;
        let port = self.door(door);
        match fault {
            Some(Fault::Reset(Moment::InReply(after))) => {
                port.restart_after = Some((after % bytes.len(), Restart::Reset));
            }
            Some(Fault::BrownOut(Moment::InReply(after))) => {
                port.restart_after = Some((after % bytes.len(), Restart::Power));
            }
            _ => {}
        }
        port.say(at, &bytes, per_byte);
    }

    /// Gives away bytes that may be fetched, `most` at most.
    pub fn give(&mut self, door: Door, now: Duration, most: usize) -> Vec<u8> {
        let mut given = Vec::new();
        while given.len() < most {
            let port = self.door(door);
            match port.restart_after {
                Some((0, kind)) => {
                    self.restart(now, Duration::ZERO, kind);
                    break;
                }
                Some((ref mut left, _)) if port.said.front().is_some_and(|(at, _)| *at <= now) => {
                    *left -= 1;
                }
                _ => {}
            }
            match port.said.front() {
                Some((at, byte)) if *at <= now => {
                    given.push(*byte);
                    port.said.pop_front();
                }
                _ => break,
            }
        }
        given
    }

    /// When the reply has been fetched, the card restarts.
    pub fn restart_after_reply(&mut self, length: usize) {
        for port in [&mut self.doors.serial, &mut self.doors.i2c] {
            port.restart_after = Some((length, Restart::Reset));
        }
    }

    /// The reply to a line, without its end.
    fn answer(&mut self, line: &str, io: bool) -> Option<String> {
        let checked = crc::take(line);
        let damaged = match &checked {
            Some(checked) => !checked.intact,
            None => line.contains("\"crc\":"),
        };
        if damaged {
            self.tally.damaged += 1;
            return Some(refuse("the request does not fit its crc", "{io}"));
        }
        let text = checked.as_ref().map_or(line, |checked| &checked.text);
        let Ok(request) = serde_json::from_str::<Map<String, Value>>(text) else {
            return Some(refuse(
                "the request is not a JSON object",
                "{not-json} {io}",
            ));
        };
        let key = checked
            .as_ref()
            .map(|checked| format!("{:04X}:{:08X}", checked.sequence, crc::of(&checked.text)));
        if let (Some(key), Some((last, reply))) = (&key, &self.memory.last)
            && key == last
        {
            self.tally.replayed += 1;
            return Some(reply.clone());
        }
        let sequence = checked.as_ref().map(|checked| checked.sequence);
        let expected = self.memory.sequence.map(|last| last.wrapping_add(1));
        let add_check = |reply: String| match sequence {
            Some(sequence) => crc::add(&reply, sequence),
            None => reply,
        };
        if io {
            return Some(add_check(refuse("the request was not done", "{io}")));
        }
        if expected.is_some() && sequence != expected {
            self.tally.unguarded += 1;
        }
        if key.is_some() && key == self.last_done {
            self.tally.forgotten += 1;
        }
        let reply = match self.perform(&request)? {
            Value::Object(reply) => add_check(Value::Object(reply).to_string()),
            _ => return None,
        };
        self.memory.sequence = sequence.or(self.memory.sequence);
        if let Some(key) = key {
            self.last_done = Some(key.clone());
            self.memory.last = Some((key, reply.clone()));
        }
        Some(reply)
    }

    /// None for a command, which is not answered.
    fn perform(&mut self, request: &Map<String, Value>) -> Option<Value> {
        let name = |key| request.get(key).and_then(Value::as_str);
        let (name, answered) = match (name("req"), name("cmd")) {
            (Some(name), None) => (name, true),
            (None, Some(name)) => (name, false),
            _ => {
                let both = error("a request has either req or cmd", "{incompatible}");
                return Some(serde_json::json!({ "err": both }));
            }
        };
        self.tally.done += 1;
        let mut reply = self.execute(name, request).unwrap_or_else(|why| {
            [("err".to_owned(), Value::String(why))]
                .into_iter()
                .collect()
        });
        if let Some(id) = request.get("id") {
            reply.insert("id".to_owned(), id.clone());
        }
        answered.then_some(Value::Object(reply))
    }
}

fn refuse(text: &str, tags: &str) -> String {
    serde_json::json!({ "err": error(text, tags) }).to_string()
}
