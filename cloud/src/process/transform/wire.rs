//! What the service and its worker process say to each other, over one socket.
//!
//! A request is a header and the event, an answer is a tag and its text; each part is preceded by its length.
//! The event and the result travel as JSON text of their own, so neither loses a level of the
//! nesting that `serde_json` reads.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Engine, Limits, Outcome, TransformError};

/// Far above what a request or an answer may be; a longer one means that the other side is broken.
const MAX_PART: usize = 256 << 20;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) engine: Engine,
    pub(super) text: String,
    /// Only read the expression, and evaluate nothing.
    pub(super) check: bool,
    pub(super) now_ms: i64,
    pub(super) limits: Limits,
}

pub(super) fn write_request(
    stream: &mut impl Write,
    request: &Request,
    input: &[u8],
) -> io::Result<()> {
    let mut message = Vec::new();
    part(&mut message, &serde_json::to_vec(request)?)?;
    part(&mut message, input)?;
    stream.write_all(&message)
}

/// `None` when the other side is gone.
pub(super) fn read_request(stream: &mut impl Read) -> io::Result<Option<(Request, Vec<u8>)>> {
    let header = match read_part(stream) {
        Ok(header) => header,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some((serde_json::from_slice(&header)?, read_part(stream)?)))
}

pub(super) fn write_outcome(stream: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    let (tag, text) = match outcome {
        Outcome::Json(value) => (b'j', serde_json::to_vec(value)?),
        Outcome::Nothing => (b'n', Vec::new()),
        Outcome::DoNotRoute => (b'd', Vec::new()),
        Outcome::Error(error) => (b'e', serde_json::to_vec(error)?),
    };
    let mut message = vec![tag];
    part(&mut message, &text)?;
    stream.write_all(&message)
}

pub(super) fn read_outcome(stream: &mut impl Read) -> io::Result<Outcome> {
    let mut tag = [0];
    stream.read_exact(&mut tag)?;
    let text = read_part(stream)?;
    Ok(match tag[0] {
        b'j' => Outcome::Json(json(&text)?),
        b'n' => Outcome::Nothing,
        b'd' => Outcome::DoNotRoute,
        b'e' => Outcome::Error(json::<TransformError>(&text)?),
        _ => return Err(io::Error::other("an unknown kind of answer")),
    })
}

fn json<T: DeserializeOwned>(text: &[u8]) -> io::Result<T> {
    serde_json::from_slice(text).map_err(io::Error::other)
}

fn part(message: &mut Vec<u8>, part: &[u8]) -> io::Result<()> {
    let length = u32::try_from(part.len()).map_err(io::Error::other)?;
    message.extend_from_slice(&length.to_le_bytes());
    message.extend_from_slice(part);
    Ok(())
}

fn read_part(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_PART {
        return Err(io::Error::other("a message is too long"));
    }
    let mut part = vec![0; length];
    stream.read_exact(&mut part)?;
    Ok(part)
}
