//! Transactions with the Notecard: one request, its reply, and what is done when that does not come.
//!
//! `Notecard` sends a request as a line of JSON and reads the reply, over any `Link`: `super::serial` or
//! `super::i2c`. Both ways carry a check (`crc`) and a sequence number, by which a Notecard knows a request that it has
//! already done, and we a reply that is not to our request. What fails is tried again, and before that, when the link
//! itself was in doubt, both ends are brought back to the beginning of a line.
//!
//! A transaction has a deadline and keeps it. One that failed may have been done all the same; if the next request is the
//! same text, it goes out as the same try, so that a Notecard that still remembers it does nothing twice.

/// The check of requests and replies.
pub mod crc;
/// What a Notecard hangs on.
pub mod link;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Map, Value};

use self::link::{Link, LinkError, Pacing};
use super::request::{Fields, Request};
use crate::clock::Clock;

/// Before and after the newline that ends whatever the Notecard has got of a line.
const SETTLE: Duration = Duration::from_millis(250);
/// How long nothing but line ends may come for both sides to agree that a line begins.
const QUIET: Duration = Duration::from_millis(500);
/// Between looks while waiting for that.
const DRAIN_POLL: Duration = Duration::from_millis(20);
const RESYNC_TRIES: u32 = 10;
/// More than any reply to what is asked here.
const LONGEST_REPLY: usize = 64 * 1024;
/// How far back a reply may have been meant for an earlier request.
const STALE: u16 = 64;

/// How patient the client is; the defaults are those of Blues' own libraries.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The sequence number of the first request. It should differ from start to start, or a Notecard that was asked the
    /// same as its last by the process before may take it for a repetition.
    pub first_sequence: u16,
    /// How often a request is sent at most.
    pub tries: u32,
    /// Until the first byte of a reply.
    pub answer: Duration,
    /// Between bytes of a reply.
    pub gap: Duration,
    /// Before another try.
    pub pause: Duration,
    /// Ends a transaction early when it becomes true.
    pub cancel: Arc<AtomicBool>,
}

/// The way to a Notecard, and where the conversation with it stands.
#[derive(Debug)]
pub struct Notecard {
    link: Box<dyn Link>,
    pacing: Pacing,
    clock: Clock,
    settings: Settings,
    sequence: u16,
    /// The Notecard has once put a check into a reply, so that one without is damaged.
    checks: bool,
    /// Nobody knows where in a line the other side is.
    lost: bool,
    /// A request that may have been done, and its sequence number.
    unanswered: Option<(String, u16)>,
    received: Vec<u8>,
    /// What the link last complained of, in this transaction.
    trouble: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum NotecardError {
    /// The link is down, or the time was up. The request may have been done.
    #[error("the Notecard did not answer {request} ({tries} tries): {why}")]
    NoAnswer {
        request: &'static str,
        tries: u32,
        why: String,
    },
    /// The Notecard has understood, and will not.
    #[error("the Notecard refused {request}: {refusal}")]
    Refused {
        request: &'static str,
        refusal: Refusal,
    },
    /// Somebody wanted it to end.
    #[error("{request} was given up")]
    Cancelled { request: &'static str },
}

/// The text of an error reply, and what it amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub text: String,
    pub reason: Reason,
}

/// What a caller does something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No room until the next sync.
    StorageFull,
    /// Notehub has stopped this device's notes.
    NotePaused,
    /// As many notes as were allowed wait in this notefile.
    NoteMax,
    /// There is no such note, or none at all.
    NoNote,
    NotefileMissing,
    /// The environment is what it was.
    NotModified,
    /// The body is not what the notefile's template says.
    Template,
    /// It waits before it tries the network again.
    Penalty,
    NoTime,
    /// This Notecard or its firmware does not know the request.
    NotSupported,
    /// It did not get the request in one piece, every time.
    Io,
    Other,
}

/// Why one try came to nothing.
enum Failure {
    /// The link is in doubt.
    Link(String),
    /// An answer came, but not in one piece, or to say that the request had not.
    Damaged(String),
    /// An answer that says to try again.
    Io(Refusal),
    Late,
    Cancelled,
}

/// What a line that came is to us.
enum Line {
    Reply(Map<String, Value>),
    /// It is still at it.
    Heartbeat,
    /// Nothing, or an answer to something else.
    Nothing,
    Damaged(String),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            first_sequence: 0,
            tries: 6,
            answer: Duration::from_secs(30),
            gap: Duration::from_secs(1),
            pause: Duration::from_millis(500),
            cancel: Arc::default(),
        }
    }
}

impl Notecard {
    pub fn new(link: impl Link + 'static, clock: Clock, settings: Settings) -> Self {
        Self {
            pacing: link.pacing(),
            link: Box::new(link),
            clock,
            sequence: settings.first_sequence,
            settings,
            checks: false,
            lost: true,
            unanswered: None,
            received: Vec::new(),
            trouble: None,
        }
    }

    /// Sends a request and waits for its reply, for no longer than `deadline`.
    pub fn transact<R: Request>(
        &mut self,
        request: &R,
        deadline: Duration,
    ) -> Result<R::Reply, NotecardError> {
        let reply = self.exchange(R::NAME, &request.text(), deadline)?;
        let refusal = Refusal::of(&reply);
        match refusal {
            Some(refusal) if !R::ERROR_IS_NEWS || refusal.reason == Reason::NotSupported => {
                Err(NotecardError::Refused {
                    request: R::NAME,
                    refusal,
                })
            }
            _ => Ok(R::Reply::from(Fields(&reply))),
        }
    }

    fn exchange(
        &mut self,
        request: &'static str,
        text: &str,
        deadline: Duration,
    ) -> Result<Map<String, Value>, NotecardError> {
        let until = self.clock.uptime().saturating_add(deadline);
        let sequence = self.sequence_of(text);
        let line = crc::add(text, sequence) + "\n";
        let mut tries = 0;
        let mut why = "there was no time for more".to_owned();
        let mut refusal = None;
        self.trouble = None;
        while tries < self.settings.tries {
            let tried = match tries {
                0 => Ok(()),
                _ => self.wait(self.settings.pause, until),
            };
            tries += 1;
            match tried.and_then(|()| self.attempt(line.as_bytes(), sequence, until)) {
                Ok(reply) => return Ok(reply),
                Err(Failure::Link(what)) => {
                    self.lost = true;
                    why = what;
                }
                Err(Failure::Damaged(what)) => why = what,
                Err(Failure::Io(last)) => {
                    refusal = Some(last);
                    continue;
                }
                Err(Failure::Late) => {
                    let last = self.trouble.take().unwrap_or(why);
                    why = format!("its {} were up; {last}", seconds(deadline));
                    break;
                }
                Err(Failure::Cancelled) => {
                    self.give_up(text, sequence);
                    return Err(NotecardError::Cancelled { request });
                }
            }
            refusal = None;
            tracing::debug!(notecard.request = request, notecard.try = tries, error = %why, "try failed");
        }
        self.give_up(text, sequence);
        Err(match refusal {
            Some(refusal) => NotecardError::Refused { request, refusal },
            None => NotecardError::NoAnswer {
                request,
                tries,
                why,
            },
        })
    }

    /// A request that is asked again after it failed is still the same one.
    fn sequence_of(&mut self, text: &str) -> u16 {
        match self.unanswered.take() {
            Some((failed, sequence)) if failed == text => sequence,
            _ => {
                let sequence = self.sequence;
                self.sequence = self.sequence.wrapping_add(1);
                sequence
            }
        }
    }

    fn give_up(&mut self, text: &str, sequence: u16) {
        self.lost = true;
        // Whoever answers next may be another Notecard, one that knows no checks.
        self.checks = false;
        self.unanswered = Some((text.to_owned(), sequence));
    }

    fn attempt(
        &mut self,
        line: &[u8],
        sequence: u16,
        until: Duration,
    ) -> Result<Map<String, Value>, Failure> {
        if self.lost {
            self.find_line_start(until)?;
            self.lost = false;
        }
        self.drain(until)?;
        self.send(line, until)?;
        self.receive(sequence, until)
    }

    fn send(&mut self, line: &[u8], until: Duration) -> Result<(), Failure> {
        let mut pieces = line.chunks(self.pacing.piece).peekable();
        while let Some(piece) = pieces.next() {
            self.write(piece, until)?;
            if pieces.peek().is_some() {
                self.wait(self.pacing.after_piece, until)?;
            }
        }
        Ok(())
    }

    fn receive(&mut self, sequence: u16, until: Duration) -> Result<Map<String, Value>, Failure> {
        let mut patience = self.settings.answer;
        let mut since = self.clock.uptime();
        self.wait(self.pacing.between, until)?;
        loop {
            let before = self.received.len();
            let more = self.read(until)?;
            if self.received.len() > before {
                patience = self.settings.gap;
                since = self.clock.uptime();
            }
            if self.received.len() > LONGEST_REPLY {
                return Err(Failure::Link("it does not stop talking".to_owned()));
            }
            while let Some(line) = self.next_line() {
                match self.judge(&line, sequence) {
                    Line::Reply(reply) => return self.accept(reply, more, until),
                    Line::Heartbeat | Line::Nothing => patience = self.settings.answer,
                    Line::Damaged(why) => return Err(Failure::Damaged(why)),
                }
            }
            if more {
                continue;
            }
            if self.clock.uptime() >= since + patience {
                let why = match self.received.len() {
                    0 => format!("nothing came for {}", seconds(patience)),
                    length => format!("its reply broke off after {length} bytes"),
                };
                return Err(Failure::Link(why));
            }
            self.wait(self.pacing.poll, until)?;
        }
    }

    /// A reply is taken when nothing of it is left to fetch.
    fn accept(
        &mut self,
        reply: Map<String, Value>,
        more: bool,
        until: Duration,
    ) -> Result<Map<String, Value>, Failure> {
        if more {
            self.drain(until)?;
        }
        match Refusal::of(&reply) {
            Some(refusal) if refusal.asks_for_another_try() => Err(Failure::Io(refusal)),
            _ => Ok(reply),
        }
    }

    fn next_line(&mut self) -> Option<Vec<u8>> {
        let end = self.received.iter().position(|byte| *byte == b'\n')?;
        Some(self.received.drain(..=end).collect())
    }

    fn judge(&mut self, line: &[u8], sequence: u16) -> Line {
        let Ok(text) = std::str::from_utf8(line) else {
            return Line::Damaged("its reply is not text".to_owned());
        };
        let text = text.trim();
        if text.is_empty() {
            return Line::Nothing;
        }
        let checked = crc::take(text);
        let bare = checked.as_ref().map_or(text, |checked| &checked.text);
        let Ok(reply) = serde_json::from_str::<Map<String, Value>>(bare) else {
            return Line::Damaged("its reply is not JSON".to_owned());
        };
        let error = reply.get("err").and_then(Value::as_str);
        if error.is_some_and(|error| error.contains("{heartbeat}")) {
            return Line::Heartbeat;
        }
        match checked {
            // A request that came in pieces is complained of without a check: there was no sequence number to give back.
            None if self.checks && error.is_none() => {
                Line::Damaged("its reply has lost its check".to_owned())
            }
            None if reply.contains_key("crc") => {
                Line::Damaged("the check of its reply is damaged".to_owned())
            }
            None => Line::Reply(reply),
            Some(checked) if !checked.intact => {
                Line::Damaged("its reply does not fit its check".to_owned())
            }
            Some(checked) => {
                self.checks = true;
                let age = sequence.wrapping_sub(checked.sequence);
                // The number itself is under no check. One that was never given out was damaged on its way, and the
                // reply is ours; to send the request again would be to have it done twice.
                if (1..=STALE).contains(&age) {
                    Line::Nothing
                } else {
                    Line::Reply(reply)
                }
            }
        }
    }

    /// Fetches and forgets what was left by others.
    fn drain(&mut self, until: Duration) -> Result<(), Failure> {
        let mut forgotten = 0;
        loop {
            self.received.clear();
            let more = self.read(until)?;
            forgotten += self.received.len();
            self.received.clear();
            if !more {
                return Ok(());
            }
            if forgotten > LONGEST_REPLY {
                return Err(Failure::Link("it does not stop talking".to_owned()));
            }
        }
    }

    /// Ends whatever stands in the Notecard's buffer, and waits until it answers a newline with nothing but one.
    fn find_line_start(&mut self, until: Duration) -> Result<(), Failure> {
        self.wait(SETTLE, until)?;
        let mut why = String::new();
        for _ in 0..RESYNC_TRIES {
            match self.write(b"\n", until) {
                Ok(()) => {}
                Err(Failure::Link(what)) => {
                    why = what;
                    self.wait(self.pacing.broken, until)?;
                    continue;
                }
                Err(failure) => return Err(failure),
            }
            self.wait(SETTLE, until)?;
            match self.listen(until)? {
                (true, false) => return Ok(()),
                (true, true) => "it talks of something else".clone_into(&mut why),
                (false, _) => "it does not answer a newline".clone_into(&mut why),
            }
            self.wait(QUIET, until)?;
        }
        Err(Failure::Link(why))
    }

    /// Whether anything came, and whether something other than line ends, until that was quiet for long enough.
    fn listen(&mut self, until: Duration) -> Result<(bool, bool), Failure> {
        let (mut came, mut foreign) = (false, false);
        let mut end = self.clock.uptime() + QUIET;
        while self.clock.uptime() < end {
            self.received.clear();
            match self.read(until) {
                Ok(_) => {}
                Err(Failure::Link(_)) => {
                    self.wait(SETTLE, until)?;
                    continue;
                }
                Err(failure) => return Err(failure),
            }
            came |= !self.received.is_empty();
            if self.received.iter().any(|byte| !b"\r\n".contains(byte)) {
                foreign = true;
                end = self.clock.uptime() + QUIET;
            }
            self.wait(DRAIN_POLL, until)?;
        }
        self.received.clear();
        Ok((came, foreign))
    }

    fn write(&mut self, piece: &[u8], until: Duration) -> Result<(), Failure> {
        self.wait(self.pacing.between, until)?;
        let written = self.link.write(piece);
        self.note_trouble(written)
    }

    fn read(&mut self, until: Duration) -> Result<bool, Failure> {
        self.wait(self.pacing.between, until)?;
        let read = self.link.read(&mut self.received);
        self.note_trouble(read)
    }

    fn note_trouble<T>(&mut self, done: Result<T, LinkError>) -> Result<T, Failure> {
        done.map_err(|LinkError(why)| {
            self.trouble = Some(why.clone());
            Failure::Link(why)
        })
    }

    /// Waits, unless there would be no time left then for another read or write.
    fn wait(&self, time: Duration, until: Duration) -> Result<(), Failure> {
        if self.settings.cancel.load(Ordering::Relaxed) {
            return Err(Failure::Cancelled);
        }
        if self.clock.uptime() + time + self.pacing.longest > until {
            return Err(Failure::Late);
        }
        if !time.is_zero() {
            self.clock.sleep(time);
        }
        Ok(())
    }
}

impl Refusal {
    fn of(reply: &Map<String, Value>) -> Option<Self> {
        let text = reply.get("err")?.as_str()?;
        (!text.is_empty()).then(|| Self {
            text: text.to_owned(),
            reason: Reason::of(text),
        })
    }

    fn asks_for_another_try(&self) -> bool {
        self.reason == Reason::Io && !self.text.contains("{bad-bin}")
    }
}

impl Reason {
    /// By the tags in an error's text. An unknown request is tagged as an I/O error as well, hence the order.
    fn of(text: &str) -> Self {
        const BY_TAG: [(&str, Reason); 18] = [
            ("{not-supported}", Reason::NotSupported),
            ("{file-storage-full}", Reason::StorageFull),
            ("{full}", Reason::StorageFull),
            ("{file-write-failure}", Reason::StorageFull),
            ("{note-paused}", Reason::NotePaused),
            ("{note-max}", Reason::NoteMax),
            ("{note-noexist}", Reason::NoNote),
            ("{notefile-noexist}", Reason::NotefileMissing),
            ("{env-not-modified}", Reason::NotModified),
            ("{template-incompatible}", Reason::Template),
            ("{extended-network-failure}", Reason::Penalty),
            ("{extended-service-failure}", Reason::Penalty),
            ("{no-time}", Reason::NoTime),
            ("{bad-bin}", Reason::Other),
            ("{io}", Reason::Io),
            // What we send is JSON, so it was not what arrived.
            ("{not-json}", Reason::Io),
            ("{syntax}", Reason::Io),
            ("", Reason::Other),
        ];
        BY_TAG
            .into_iter()
            .find(|(tag, _)| text.contains(tag))
            .map_or(Self::Other, |(_, reason)| reason)
    }
}

impl NotecardError {
    /// What the Notecard refused for, if it did.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal.reason),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
