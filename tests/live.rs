//! Open pages hear of changes.

use std::time::Duration;

use axum::http::StatusCode;
use chrono::TimeDelta;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::app::{PEOPLE, TOKEN, TestApp};
use crate::support::event::thermal;

/// Longer than anything here takes on a busy machine; only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A page's view of the stream: one event after another.
struct Heard {
    bytes: std::pin::Pin<Box<dyn futures_util::Stream<Item = Vec<u8>> + Send>>,
    text: String,
}

impl Heard {
    async fn open(url: &str) -> Self {
        let response = client()
            .get(format!("{url}/live"))
            .bearer_auth(PEOPLE)
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let bytes = response
            .bytes_stream()
            .map(|bytes| bytes.map(|bytes| bytes.to_vec()).unwrap_or_default());
        Self {
            bytes: Box::pin(bytes),
            text: String::new(),
        }
    }

    /// Name and data of the next event; none when the stream ends.
    async fn next(&mut self) -> Option<(String, String)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let lines = event.lines();
                    lines
                        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                        .collect::<String>()
                };
                let event = (field("event"), field("data"));
                self.text = rest.to_owned();
                return Some(event);
            }
            let more = tokio::time::timeout(PATIENCE, self.bytes.next()).await;
            let more = more.expect("something comes in time")?;
            self.text.push_str(&String::from_utf8_lossy(&more));
        }
    }

    /// Waits until a change is heard that the condition is true of.
    async fn change(&mut self, wanted: impl Fn(&Value) -> bool) {
        loop {
            let (name, data) = self.next().await.expect("the stream goes on");
            if name == "change" && wanted(&serde_json::from_str(&data).expect("JSON")) {
                return;
            }
        }
    }
}

fn client() -> reqwest::Client {
    cloud::demo::local_client().expect("a client")
}

#[tokio::test]
async fn a_page_hears_of_stations_and_incidents_and_of_the_end() {
    let app = TestApp::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let stop = CancellationToken::new();
    let TestApp {
        service,
        clock,
        pool,
        database: _kept,
        ubidots: _ubidots,
        twilio: _twilio,
        ..
    } = app;
    let served = tokio::spawn(service.serve(listener, stop.clone().cancelled_owned()));

    let mut page = Heard::open(&url).await;
    let (first, at) = page.next().await.expect("a beat");
    assert_eq!(first, "beat");
    let beat: Value = serde_json::from_str(&at).expect("JSON");
    let at: chrono::DateTime<chrono::Utc> =
        serde_json::from_value(beat["at"].clone()).expect("the time here");
    assert_eq!(at, clock.now());
    assert!(beat["heard"].is_boolean(), "{beat}");

    let event = thermal("hot", "dev:1", clock.now() - TimeDelta::minutes(1), 0.9);
    let posted = client()
        .post(format!("{url}/notehub"))
        .bearer_auth(TOKEN)
        .body(event.to_string())
        .send()
        .await
        .expect("an answer");
    assert_eq!(posted.status(), StatusCode::OK);
    page.change(|change| change["devices"] == json!(["dev:1"]))
        .await;

    let acknowledged = client()
        .post(format!("{url}/api/v1/incidents/1/acknowledge"))
        .bearer_auth(PEOPLE)
        .header("content-type", "application/json")
        .body(json!({ "by": "ann" }).to_string())
        .send()
        .await
        .expect("an answer");
    assert_eq!(acknowledged.status(), StatusCode::OK);
    page.change(|change| change["incidents"] == json!([1]))
        .await;

    // A page that is open does not keep the service from stopping.
    stop.cancel();
    while page.next().await.is_some() {}
    served.await.expect("no panic").expect("a good end");
    pool.close().await;
}
