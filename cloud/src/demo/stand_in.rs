//! What every stand-in shares: a server on a free local port, planned faults, and a list of complaints.
//!
//! A stand-in plays a service we send to. It is strict where the real service is forgiving: whatever it would
//! not want to receive becomes a complaint, and the demo and the tests fail on complaints. Faults are planned
//! by the caller (`answer so for the next n requests`), so that a failure happens when a test says, not by chance.
//! A stand-in keeps nothing on disk and stops when it is dropped.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

/// Complaints beyond this many say nothing new and would only fill memory in a long run.
const COMPLAINTS_KEPT: usize = 100;

/// How long a stopping stand-in waits for answers that are still on their way.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// What a caller of the stand-in gets to see.
#[derive(Debug, Clone)]
pub enum Answer {
    /// An ordinary HTTP answer.
    Reply {
        status: u16,
        retry_after: Option<String>,
        body: String,
    },
    /// The connection is closed without one byte of answer.
    Close,
    /// No answer, ever: the caller has to give up by itself.
    Silence,
}

impl Answer {
    /// An answer with this status and a short body.
    pub fn status(status: u16) -> Self {
        Self::Reply {
            status,
            retry_after: None,
            body: format!("{{\"detail\":\"planned answer {status}\"}}"),
        }
    }

    /// An answer with this status and exactly this body.
    pub fn body(status: u16, body: impl Into<String>) -> Self {
        Self::Reply {
            status,
            retry_after: None,
            body: body.into(),
        }
    }

    /// The same answer with a `Retry-After` header, whose value may be absurd on purpose.
    #[must_use]
    pub fn with_retry_after(self, value: impl Into<String>) -> Self {
        match self {
            Self::Reply { status, body, .. } => Self::Reply {
                status,
                retry_after: Some(value.into()),
                body,
            },
            other => other,
        }
    }

    pub(super) async fn send(self) -> Response {
        match self {
            Self::Reply {
                status,
                retry_after,
                body,
            } => reply(status, retry_after.as_deref(), body),
            Self::Close => closing(),
            Self::Silence => std::future::pending().await,
        }
    }
}

/// A planned misbehaviour.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The request is not taken in, and this is answered.
    Refuse(Answer),
    /// The request is taken in as usual, but this is answered: to the sender the outcome is ambiguous.
    AcceptBut(Answer),
}

/// Faults in the order in which they will happen.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<VecDeque<(usize, Fault)>>);

impl Faults {
    pub(super) fn plan(&self, times: usize, fault: Fault) {
        if times > 0 {
            lock(&self.0).push_back((times, fault));
        }
    }

    pub(super) fn forget(&self) {
        lock(&self.0).clear();
    }

    pub(super) fn next(&self) -> Option<Fault> {
        let mut planned = lock(&self.0);
        let (times, fault) = planned.front_mut()?;
        let fault = fault.clone();
        *times -= 1;
        if *times == 0 {
            planned.pop_front();
        }
        Some(fault)
    }
}

/// Everything a sender did wrong, in words.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<Vec<String>>);

impl Complaints {
    pub(super) fn add(&self, complaint: String) {
        let mut complaints = lock(&self.0);
        if complaints.len() < COMPLAINTS_KEPT {
            complaints.push(complaint);
        }
    }

    pub(super) fn all(&self) -> Vec<String> {
        lock(&self.0).clone()
    }
}

/// A router being served on a free port of 127.0.0.1 until `stop`, or until this is dropped.
#[derive(Debug)]
pub(super) struct Serving {
    url: Url,
    stop: DropGuard,
    served: JoinHandle<std::io::Result<()>>,
}

impl Serving {
    pub(super) async fn start(router: Router) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("a stand-in could not open a local port")?;
        let address = listener.local_addr().context("the port of a stand-in")?;
        let url = Url::parse(&format!("http://{address}")).context("the address of a stand-in")?;
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let served = tokio::spawn(
            axum::serve(listener, router)
                .with_graceful_shutdown(stopped)
                .into_future(),
        );
        Ok(Self {
            url,
            stop: stop.drop_guard(),
            served,
        })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Stops listening and waits for answers on their way, but not for those that were planned never to come.
    pub(super) async fn stop(self) {
        drop(self.stop);
        let abort = self.served.abort_handle();
        if tokio::time::timeout(STOP_WAIT, self.served).await.is_err() {
            abort.abort();
        }
    }
}

pub(super) fn reply(status: u16, retry_after: Option<&str>, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        const { axum::http::HeaderValue::from_static("application/json") },
    );
    if let Some(value) = retry_after.and_then(|value| value.parse().ok()) {
        headers.insert(RETRY_AFTER, value);
    }
    response
}

/// A body that fails before its first byte makes the server drop the connection with nothing sent.
fn closing() -> Response {
    let broken = std::io::Error::other("planned: closed without an answer");
    Response::new(Body::from_stream(stream::iter([Err::<String, _>(broken)])))
}

/// The media type of a request, without parameters and in lower case.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// A panic elsewhere while the lock was held leaves plain data behind, which is still good to read.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
