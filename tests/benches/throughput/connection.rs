//! A small HTTP/1.1 client connection: one request, one answer, keep-alive.
//!
//! Written by hand because the load generator shares the processor with what it measures: a full client costs
//! several times as much per request as the floor itself. It knows just what the servers here answer:
//! a status line, headers, and a body with `content-length` (or none).

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ROOM: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

#[derive(Debug)]
struct Head {
    status: u16,
    /// Bytes of the whole answer, head and body.
    total: usize,
    /// Where the body begins.
    body: usize,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::with_capacity(ROOM),
        })
    }

    /// Sends a whole request and waits for the whole answer: its status and body.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.received.clear();
        loop {
            let count = self.stream.read_buf(&mut self.received).await?;
            ensure!(count > 0, "the server closed the connection");
            if let Some(head) = parse(&self.received)?
                && self.received.len() >= head.total
            {
                return Ok((head.status, &self.received[head.body..head.total]));
            }
        }
    }
}

/// One GET on a connection of its own, for probes and counters.
pub(crate) async fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let mut connection = Connection::open(address).await?;
    let (status, body) = connection.exchange(request.as_bytes()).await?;
    Ok((status, body.to_vec()))
}

/// The head of an answer, or `None` while it is incomplete.
fn parse(received: &[u8]) -> anyhow::Result<Option<Head>> {
    let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&received[..end]).context("the answer's head is not text")?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .context("the answer has no status")?;
    let mut length = 0;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().context("bad content-length")?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("the answer is chunked, which this client does not read");
        }
    }
    Ok(Some(Head {
        status,
        total: end + 4 + length,
        body: end + 4,
    }))
}
