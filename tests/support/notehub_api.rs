//! Notehub's API for events, as documented and no kinder: a real server that plays one project.
//!
//! It lives in the time of a manual clock, which may differ from everybody else's, and complains of whatever the
//! documentation does not allow: unknown parameters, values out of range, a wrong token, more requests in a minute than
//! are granted. Where the documentation leaves something open it does what is unkind: a window has neither of its edges,
//! and events with the same time come in any order. A cursor that it does not know is taken for none, as at Notehub.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use chrono::{DateTime, TimeDelta, Utc};
use cloud::clock::Clock;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_util::sync::{CancellationToken, DropGuard};

pub const PROJECT: &str = "app:0f9a2f5e-5f8a-4b52-9c3e-6a2b1f1d7c44";
pub const API_TOKEN: &str = "notehub-api-token-of-the-tests";
pub const CLIENT: &str = "client-of-the-tests";
pub const CLIENT_SECRET: &str = "client-secret-of-the-tests";
const PER_MINUTE: usize = 7;

type Source = Box<dyn Fn() -> Vec<Value> + Send>;

pub struct NotehubApi {
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    clock: Clock,
    state: Mutex<Inner>,
}

struct Inner {
    source: Source,
    skew: TimeDelta,
    /// How many requests a minute are granted; none is any number.
    granted: Option<usize>,
    says_date: bool,
    next: VecDeque<Planned>,
    /// A wider window (seconds) or a larger page is too slow.
    slow_above: Option<(i64, usize)>,
    asked: Vec<(DateTime<Utc>, BTreeMap<String, String>)>,
    complaints: Vec<String>,
    grants: usize,
    grant: Option<(String, DateTime<Utc>)>,
}

/// What comes in place of the answer.
#[derive(Clone)]
pub enum Planned {
    Reply {
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
    },
    /// Nothing, for ever.
    Silence,
    /// As if nothing were planned.
    Nothing,
}

impl Planned {
    /// An error as Notehub writes them.
    pub fn error(status: u16, err: &str) -> Self {
        Self::body(
            status,
            &json!({ "err": err, "code": status, "status": err }).to_string(),
        )
    }

    pub fn body(status: u16, body: &str) -> Self {
        Self::Reply {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
        }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Reply { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

impl NotehubApi {
    /// With no events.
    pub async fn start(clock: &Clock) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            clock: clock.clone(),
            state: Mutex::new(Inner {
                source: Box::new(Vec::new),
                skew: TimeDelta::zero(),
                granted: Some(PER_MINUTE),
                says_date: true,
                next: VecDeque::new(),
                slow_above: None,
                asked: Vec::new(),
                complaints: Vec::new(),
                grants: 0,
                grant: None,
            }),
        });
        let router = Router::new()
            .route("/v1/projects/{project}/events", get(events))
            .route("/v1/projects/{project}/events-cursor", get(events_cursor))
            .route("/oauth2/token", post(grant))
            .with_state(shared.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            let served = axum::serve(listener, router);
            tokio::select! { _ = served.into_future() => {}, () = stopped.cancelled() => {} }
        });
        Self {
            address,
            shared,
            _stop: stop.drop_guard(),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a configuration needs to fetch from here.
    pub fn section(&self) -> String {
        format!(
            "[notehub]\napi_url = \"{}\"\nproject = \"{PROJECT}\"\ntoken = \"{API_TOKEN}\"\n",
            self.url()
        )
    }

    fn state(&self) -> MutexGuard<'_, Inner> {
        self.shared.state.lock().expect("no panic while serving")
    }

    /// Exactly these events, each with the moment at which Notehub took it as `received`.
    pub fn holds(&self, events: Vec<Value>) {
        self.state().source = Box::new(move || events.clone());
    }

    pub fn holds_what(&self, source: impl Fn() -> Vec<Value> + Send + 'static) {
        self.state().source = Box::new(source);
    }

    /// How far its clock is ahead.
    pub fn is_ahead(&self, skew: TimeDelta) {
        self.state().skew = skew;
    }

    pub fn hides_its_time(&self) {
        self.state().says_date = false;
    }

    /// As with a large plan.
    pub fn grants_any_number(&self) {
        self.state().granted = None;
    }

    pub fn then(&self, planned: Planned) {
        self.state().next.push_back(planned);
    }

    pub fn is_slow_above(&self, seconds: i64, page: usize) {
        self.state().slow_above = Some((seconds, page));
    }

    /// The parameters of every request so far.
    pub fn asked(&self) -> Vec<BTreeMap<String, String>> {
        self.state()
            .asked
            .iter()
            .map(|(_, asked)| asked.clone())
            .collect()
    }

    pub fn grants(&self) -> usize {
        self.state().grants
    }

    pub fn complaints(&self) -> Vec<String> {
        self.state().complaints.clone()
    }
}

impl Inner {
    fn complain(&mut self, of: String) {
        self.complaints.push(of);
    }

    /// Whether the minute up to now has room for one more.
    fn counts(&mut self, now: DateTime<Utc>, asked: BTreeMap<String, String>) -> bool {
        self.asked.push((now, asked));
        let since = now - TimeDelta::minutes(1);
        let recent = self.asked.iter().filter(|(at, _)| *at > since).count();
        let Some(granted) = self.granted.filter(|granted| recent > *granted) else {
            return true;
        };
        self.complain(format!("{recent} requests in a minute, and not {granted}"));
        false
    }

    fn visible(&self, now: DateTime<Utc>) -> Vec<Value> {
        let taken =
            |event: &Value| seconds(event, "received") <= now.timestamp_micros() as f64 / 1e6;
        // What has no time of its own was taken whenever it was.
        (self.source)()
            .into_iter()
            .filter(|event| event.get("received").is_none() || taken(event))
            .collect()
    }
}

fn seconds(event: &Value, key: &str) -> f64 {
    event.get(key).and_then(Value::as_f64).unwrap_or(0.0)
}

async fn events(
    State(shared): State<Arc<Shared>>,
    Path(project): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    const KNOWN: [&str; 16] = [
        "pageSize",
        "pageNum",
        "deviceUID",
        "sortBy",
        "sortOrder",
        "startDate",
        "endDate",
        "dateType",
        "systemFilesOnly",
        "files",
        "format",
        "serialNumber",
        "fleetUID",
        "sessionUID",
        "eventUID",
        "selectFields",
    ];
    let answer = begin(&shared, &project, pairs, &headers, &KNOWN);
    let (now, asked) = match answer {
        Ok(asked) => asked,
        Err(Planned::Silence) => std::future::pending().await,
        Err(planned) => return reply(&shared, planned),
    };
    let mut state = shared.state.lock().expect("no panic while serving");
    let mut number = |key: &str, default: i64, least: i64, most: i64| -> i64 {
        let value = asked.get(key).map_or(Ok(default), |text| text.parse());
        match value {
            Ok(value) if (least..=most).contains(&value) => value,
            _ => {
                state
                    .complaints
                    .push(format!("{key} is {:?}", asked.get(key)));
                default
            }
        }
    };
    let size = usize::try_from(number("pageSize", 50, 1, 10_000)).expect("a size");
    let page = usize::try_from(number("pageNum", 1, 1, 1_000_000)).expect("a page");
    let start = number("startDate", 0, 0, 4_000_000_000);
    let end = number("endDate", 4_000_000_000, 0, 4_000_000_000);
    let word = |key: &str, default: &'static str| {
        asked.get(key).map_or(default, String::as_str).to_owned()
    };
    let by = word("dateType", "captured");
    let order = word("sortOrder", "asc");
    if !["captured", "uploaded"].contains(&by.as_str())
        || !["asc", "desc"].contains(&order.as_str())
        || !["captured", "modified", "device_uid"].contains(&word("sortBy", "captured").as_str())
        || start > end
    {
        state.complain(format!("parameters that mean nothing: {asked:?}"));
    }
    if let Some((widest, largest)) = state.slow_above
        && (end - start > widest || size > largest)
    {
        drop(state);
        return reply(&shared, Planned::error(504, "Took too long"));
    }
    let key = if by == "uploaded" { "received" } else { "when" };
    let mut found: Vec<_> = state
        .visible(now)
        .into_iter()
        .filter(|event| {
            let at = seconds(event, key);
            event.get(key).is_none() || (start as f64) < at && at < end as f64
        })
        .filter(|event| {
            let files = asked
                .get("files")
                .map(|files| files.split(',').map(str::to_owned).collect::<Vec<_>>());
            files.is_none_or(|files| files.iter().any(|file| event["file"] == file.as_str()))
        })
        .collect();
    // Nobody promised that those of one moment come in the order in which they were taken.
    found.sort_by_cached_key(|event| {
        let any = Sha256::digest(event.to_string()).to_vec();
        (seconds(event, "when") as i64, any)
    });
    let total = found.len();
    let listed: Vec<_> = found
        .into_iter()
        .skip((page - 1) * size)
        .take(size)
        .collect();
    let more = total > (page - 1) * size + listed.len();
    drop(state);
    let body = json!({ "events": listed, "has_more": more, "through": "" });
    reply(
        &shared,
        Planned::body(200, &body.to_string()).with("x-has-more", &more.to_string()),
    )
}

async fn events_cursor(
    State(shared): State<Arc<Shared>>,
    Path(project): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    const KNOWN: [&str; 7] = [
        "limit",
        "cursor",
        "sortOrder",
        "systemFilesOnly",
        "files",
        "fleetUID",
        "deviceUID",
    ];
    let (now, asked) = match begin(&shared, &project, pairs, &headers, &KNOWN) {
        Ok(asked) => asked,
        Err(Planned::Silence) => std::future::pending().await,
        Err(planned) => return reply(&shared, planned),
    };
    let events = shared
        .state
        .lock()
        .expect("no panic while serving")
        .visible(now);
    let limit = asked
        .get("limit")
        .and_then(|limit| limit.parse().ok())
        .unwrap_or(50);
    // A cursor that is unknown is not an error: it is as if there were none.
    let from = asked
        .get("cursor")
        .and_then(|cursor| {
            events
                .iter()
                .position(|event| event["event"] == cursor.as_str())
        })
        .unwrap_or(0);
    let listed: Vec<_> = events.iter().skip(from).take(limit).collect();
    let next = events
        .get(from + listed.len())
        .map_or("", |event| event["event"].as_str().unwrap_or_default());
    let body = json!({ "events": listed, "next_cursor": next, "has_more": !next.is_empty() });
    reply(&shared, Planned::body(200, &body.to_string()))
}

/// What all requests have in common: the token, the parameters, the count, and what is planned.
fn begin(
    shared: &Shared,
    project: &str,
    pairs: Vec<(String, String)>,
    headers: &HeaderMap,
    known: &[&str],
) -> Result<(DateTime<Utc>, BTreeMap<String, String>), Planned> {
    let mut state = shared.state.lock().expect("no panic while serving");
    let now = shared.clock.now() + state.skew;
    for (key, _) in &pairs {
        if !known.contains(&key.as_str()) {
            state.complain(format!("the parameter {key} is unknown"));
        }
    }
    let count = pairs.len();
    let asked: BTreeMap<_, _> = pairs.into_iter().collect();
    if asked.len() != count {
        state.complain(format!("a parameter stands twice: {asked:?}"));
    }
    if !state.counts(now, asked.clone()) {
        return Err(Planned::error(429, "Too many requests").with("retry-after", "60"));
    }
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let is_granted = state
        .grant
        .as_ref()
        .is_some_and(|(token, until)| given == format!("Bearer {token}") && now < *until);
    if given != format!("Bearer {API_TOKEN}") && !is_granted {
        let told = format!("invalid token {given}");
        return Err(Planned::error(401, &told));
    }
    if project != PROJECT {
        return Err(Planned::error(404, "project not found"));
    }
    match state.next.pop_front() {
        None | Some(Planned::Nothing) => Ok((now, asked)),
        Some(planned) => Err(planned),
    }
}

async fn grant(State(shared): State<Arc<Shared>>, body: String) -> Response {
    let answer = {
        let mut state = shared.state.lock().expect("no panic while serving");
        let now = shared.clock.now() + state.skew;
        let form: BTreeMap<_, _> = body
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let is = |key: &str, value: &str| form.get(key).is_some_and(|given| given == value);
        if !state.counts(now, BTreeMap::new()) {
            Planned::error(429, "Too many requests")
        } else if is("grant_type", "client_credentials")
            && is("client_id", CLIENT)
            && is("client_secret", CLIENT_SECRET)
        {
            state.grants += 1;
            let token = format!("granted-token-number-{}", state.grants);
            state.grant = Some((token.clone(), now + TimeDelta::seconds(1_799)));
            let body = json!({ "access_token": token, "token_type": "bearer", "expires_in": 1_799, "scope": "" });
            Planned::body(200, &body.to_string())
        } else {
            Planned::error(401, "invalid_client")
        }
    };
    reply(&shared, answer)
}

fn reply(shared: &Shared, planned: Planned) -> Response {
    let Planned::Reply {
        status,
        headers,
        body,
    } = planned
    else {
        panic!("no answer is an answer of its own")
    };
    let state = shared.state.lock().expect("no panic while serving");
    let now = shared.clock.now() + state.skew;
    let mut response = Response::builder().status(StatusCode::from_u16(status).expect("a status"));
    let date = if state.says_date {
        now.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
    } else {
        "yesterday".to_owned()
    };
    if !headers.iter().any(|(name, _)| name == "date") {
        response = response.header(header::DATE, date);
    }
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).expect("a response")
}
