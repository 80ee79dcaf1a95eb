//! Clients that post as Notehub does: each event until it is answered with 200, under the same uid every time.
//!
//! Their events are of several files and stations. Of every five one is from a station that glows, a new one for
//! every place the clients are sent to, so that texts are under way whenever something is killed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::support::app::TOKEN;
use crate::support::event::thermal;

/// How long a client waits before it tries a place again that did not answer, or said "not now".
const PAUSE: Duration = Duration::from_millis(20);
/// Whatever the clients are to see, they see it by then.
const PATIENCE: Duration = Duration::from_mins(1);

pub struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

struct Shared {
    http: reqwest::Client,
    place: watch::Sender<Place>,
    next: AtomicI64,
    /// The moment of the first event; each is a second later than the one before.
    start: DateTime<Utc>,
    acknowledged: watch::Sender<usize>,
    /// Answers of "not now".
    turned_away: watch::Sender<usize>,
    /// Requests that got no answer at all.
    broken: AtomicUsize,
    posted: Mutex<Vec<Posted>>,
    /// How often an event was said to be new.
    stored: Mutex<BTreeMap<String, usize>>,
    objections: Mutex<Vec<String>>,
    stop: CancellationToken,
}

/// Where the clients post.
#[derive(Clone)]
struct Place {
    urls: Vec<String>,
    number: usize,
}

/// An event that was answered with 200.
#[derive(Debug, Clone)]
pub struct Posted {
    pub uid: String,
    pub device: String,
    pub file: String,
    pub when: DateTime<Utc>,
    pub glows: bool,
}

/// What the clients saw.
pub struct Seen {
    pub posted: Vec<Posted>,
    pub turned_away: usize,
    pub broken: usize,
}

impl Load {
    /// Starts clients that post to one of these services each time, and now and then the same event to all.
    pub fn start(clients: usize, urls: &[&str]) -> Self {
        let hours_ago = TimeDelta::hours(20);
        let shared = Arc::new(Shared {
            http: cloud::demo::local_client().expect("a client"),
            place: watch::Sender::new(Place {
                urls: owned(urls),
                number: 0,
            }),
            next: AtomicI64::new(0),
            start: cloud::clock::Clock::System.now() - hours_ago,
            acknowledged: watch::Sender::new(0),
            turned_away: watch::Sender::new(0),
            broken: AtomicUsize::new(0),
            posted: Mutex::default(),
            stored: Mutex::default(),
            objections: Mutex::default(),
            stop: CancellationToken::new(),
        });
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            tasks.spawn(client(Arc::clone(&shared)));
        }
        Self {
            shared,
            clients: tasks,
        }
    }

    /// Sends the clients to other services.
    pub fn goes_to(&self, urls: &[&str]) {
        self.shared.place.send_modify(|place| {
            place.urls = owned(urls);
            place.number += 1;
        });
    }

    /// Waits until this many further events were answered with 200.
    pub async fn acknowledged(&self, more: usize) {
        further(&self.shared.acknowledged, more, "events answered with 200").await;
    }

    /// Waits until this many further requests were answered with 503.
    pub async fn turned_away(&self, more: usize) {
        further(&self.shared.turned_away, more, "requests turned away").await;
    }

    pub fn acknowledged_so_far(&self) -> usize {
        *self.shared.acknowledged.borrow()
    }

    /// Lets the clients finish the event each is at, and ends them.
    pub async fn finish(mut self) -> Seen {
        self.shared.stop.cancel();
        let ended = async {
            while self
                .clients
                .join_next()
                .await
                .transpose()
                .expect("a client")
                .is_some()
            {}
        };
        timeout(PATIENCE, ended)
            .await
            .expect("every event is taken in the end");
        let objections = self.shared.objections.lock().unwrap();
        assert_eq!(*objections, Vec::<String>::new());
        let twice = self.shared.stored.lock().unwrap().clone().into_iter();
        assert_eq!(
            twice.filter(|(_, times)| *times > 1).collect::<Vec<_>>(),
            [],
            "events that were new more than once"
        );
        Seen {
            posted: self.shared.posted.lock().unwrap().clone(),
            turned_away: *self.shared.turned_away.borrow(),
            broken: self.shared.broken.load(Ordering::Relaxed),
        }
    }
}

fn owned(urls: &[&str]) -> Vec<String> {
    urls.iter().map(|url| (*url).to_owned()).collect()
}

/// Waits until a number has grown by so much.
async fn further(number: &watch::Sender<usize>, more: usize, what: &str) {
    let mut number = number.subscribe();
    let enough = *number.borrow() + more;
    let waited = timeout(PATIENCE, number.wait_for(|number| *number >= enough)).await;
    assert!(waited.is_ok(), "fewer than {more} further {what}");
}

async fn client(shared: Arc<Shared>) {
    while !shared.stop.is_cancelled() {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let when = shared.start + TimeDelta::seconds(number);
        let round = shared.place.borrow().number;
        let (event, posted) = event(number, round, when);
        shared.post(&event, &posted, number).await;
        shared.posted.lock().unwrap().push(posted);
        shared.acknowledged.send_modify(|count| *count += 1);
    }
}

fn event(number: i64, round: usize, when: DateTime<Utc>) -> (Value, Posted) {
    let station = number % 5;
    let device = match station {
        0 => format!("dev:glowing-{round}"),
        _ => format!("dev:{station}"),
    };
    let uid = format!("event-{number}");
    let mut event = thermal(&uid, &device, when, if station == 0 { 0.88 } else { 0.1 });
    match number % 3 {
        0 => {}
        1 => event["file"] = "alert.qo".into(),
        _ => {
            event["file"] = "health.qo".into();
            event["body"] = json!({ "uptime": number, "volts": 4.1 });
        }
    }
    let file = event["file"].as_str().unwrap_or_default().to_owned();
    let posted = Posted {
        uid,
        device,
        glows: station == 0 && file != "health.qo",
        file,
        when: DateTime::from_timestamp(when.timestamp(), 0).expect("a time"),
    };
    (event, posted)
}

impl Shared {
    /// Posts until it is taken, some to all places at once, and some again after that, as Notehub may.
    async fn post(&self, event: &Value, posted: &Posted, number: i64) {
        let mut place = self.place.subscribe();
        loop {
            let now = place.borrow_and_update().clone();
            let one = usize::try_from(number).unwrap_or_default() % now.urls.len();
            let taken = if number % 4 == 0 {
                let all = now.urls.iter().map(|url| self.once(url, event, posted));
                join_all(all).await.contains(&true)
            } else {
                self.once(&now.urls[one], event, posted).await
            };
            if taken {
                if number % 10 == 0 {
                    self.once(&now.urls[one], event, posted).await;
                }
                return;
            }
            // The same place may be well again, or there is a new one.
            let _ = timeout(PAUSE, place.changed()).await;
        }
    }

    /// Whether the event was taken. Any answer but 200 and a proper "not now" is objected to.
    async fn once(&self, url: &str, event: &Value, posted: &Posted) -> bool {
        let request = self.http.post(format!("{url}/notehub")).bearer_auth(TOKEN);
        let answer = match request.body(event.to_string()).send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                let after = response.headers().contains_key("retry-after");
                response.text().await.map(|text| (status, after, text))
            }
            Err(error) => Err(error),
        };
        match answer {
            Err(_) => {
                self.broken.fetch_add(1, Ordering::Relaxed);
                false
            }
            Ok((200, _, text)) => {
                let answer: Value = serde_json::from_str(&text).unwrap_or_default();
                if answer["status"] == "stored" {
                    let mut stored = self.stored.lock().unwrap();
                    *stored.entry(posted.uid.clone()).or_default() += 1;
                } else if answer["status"] != "duplicate" || answer["event"] != posted.uid {
                    self.object(format!("200 {text}"));
                }
                true
            }
            Ok((503, true, _)) => {
                self.turned_away.send_modify(|count| *count += 1);
                sleep(PAUSE).await;
                false
            }
            Ok((status, after, text)) => {
                self.object(format!("{status} (Retry-After: {after}) {text}"));
                false
            }
        }
    }

    fn object(&self, objection: String) {
        self.objections.lock().unwrap().push(objection);
    }
}
