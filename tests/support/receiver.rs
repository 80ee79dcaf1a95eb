//! A destination that does as it is told: answers by script, misbehaves on the wire, and keeps
//! what it saw.
//!
//! It speaks HTTP/1.1 by hand, because a well-made server will not hang up in the middle of a
//! header, drip for ever or send ten gigabytes under a small length.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What comes back to one request.
#[derive(Debug, Clone)]
pub enum Answer {
    Reply {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// Nothing at all, while the connection stays open.
    Hang,
    /// Nothing at all, and the connection is closed.
    Vanish,
    /// A head that promises more than follows before the connection is closed.
    Cut { status: u16, body: Vec<u8> },
    /// A good head, then a byte now and then.
    Drip { status: u16 },
    /// A good head, then the same bytes as fast as they are taken, up to ten gigabytes.
    Endless { status: u16, chunk: Vec<u8> },
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self::text(status, "")
    }

    pub fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Reply {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::text(status, body.to_string()).with("content-type", "application/json")
    }

    /// Adds a header to a reply.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Reply { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The number of the connection it came on.
    pub connection: usize,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let same = |(header, _): &&(String, String)| header.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .find(same)
            .map(|(_, value)| value.as_str())
    }
}

#[derive(Debug)]
pub struct Receiver {
    pub address: SocketAddr,
    script: Arc<Mutex<Script>>,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Script {
    next: VecDeque<Answer>,
    always: Answer,
    seen: Vec<Seen>,
}

impl Receiver {
    /// Starts one that answers everything alike until told otherwise.
    pub async fn start(always: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let script = Script {
            next: VecDeque::new(),
            always,
            seen: Vec::new(),
        };
        let script = Arc::new(Mutex::new(script));
        let stop = CancellationToken::new();
        tokio::spawn(accept(listener, Arc::clone(&script), stop.clone()));
        Self {
            address,
            script,
            _stop: stop.drop_guard(),
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What every request gets from now on, once the script is used up.
    pub fn always(&self, answer: Answer) {
        self.script.lock().expect("no panic while scripting").always = answer;
    }

    /// Adds one answer to the script.
    pub fn then(&self, answer: Answer) {
        self.script
            .lock()
            .expect("no panic while scripting")
            .next
            .push_back(answer);
    }

    /// Everything seen so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.script
            .lock()
            .expect("no panic while scripting")
            .seen
            .clone()
    }

    /// Everything seen since the last time this was asked.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.script.lock().expect("no panic while scripting").seen)
    }
}

async fn accept(listener: TcpListener, script: Arc<Mutex<Script>>, stop: CancellationToken) {
    let mut connection = 0;
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted.expect("the listener accepts"),
            () = stop.cancelled() => return,
        };
        connection += 1;
        let (script, stop) = (Arc::clone(&script), stop.clone());
        tokio::spawn(async move {
            // A client that goes away ends its connection, which is nothing to report.
            let _ = stop
                .run_until_cancelled(serve(stream, &script, connection))
                .await;
        });
    }
}

async fn serve(
    stream: TcpStream,
    script: &Mutex<Script>,
    connection: usize,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(seen) = request(&mut stream, connection).await? {
        let answer = {
            let mut script = script.lock().expect("no panic while scripting");
            script.seen.push(seen);
            script
                .next
                .pop_front()
                .unwrap_or_else(|| script.always.clone())
        };
        let stream = stream.get_mut();
        match answer {
            Answer::Reply {
                status,
                headers,
                body,
            } => {
                let mut head = head(status, body.len());
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                stream
                    .write_all(&[head.as_bytes(), b"\r\n", &body].concat())
                    .await?;
            }
            Answer::Hang => std::future::pending().await,
            Answer::Vanish => return Ok(()),
            Answer::Cut { status, body } => {
                let head = head(status, body.len() + 100) + "\r\n";
                stream.write_all(&[head.as_bytes(), &body].concat()).await?;
                return Ok(());
            }
            Answer::Drip { status } => {
                stream
                    .write_all((head(status, 1_000_000) + "\r\n").as_bytes())
                    .await?;
                loop {
                    stream.write_all(b".").await?;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            Answer::Endless { status, chunk } => {
                stream
                    .write_all((head(status, 10_000_000_000) + "\r\n").as_bytes())
                    .await?;
                loop {
                    stream.write_all(&chunk).await?;
                }
            }
        }
    }
    Ok(())
}

fn head(status: u16, length: usize) -> String {
    // 204 and 304 have no body, and saying otherwise would confuse the client, not test it.
    let length = if matches!(status, 204 | 304) {
        String::new()
    } else {
        format!("content-length: {length}\r\n")
    };
    format!("HTTP/1.1 {status} Scripted\r\n{length}")
}

/// Reads one request; `None` when the client is done.
async fn request(
    stream: &mut BufReader<TcpStream>,
    connection: usize,
) -> std::io::Result<Option<Seen>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut seen = Seen {
        method,
        target,
        headers,
        body: String::new(),
        connection,
    };
    let length = seen
        .header("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    seen.body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(seen))
}
