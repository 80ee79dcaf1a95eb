//! The service with a database, stand-ins for Ubidots and Twilio, and a clock, all its loops turned by hand.

use std::path::PathBuf;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use cloud::clock::Clock;
use cloud::config::Config;
use cloud::demo::twilio::TwilioStandIn;
use cloud::demo::ubidots::UbidotsStandIn;
use cloud::{Service, web};
use serde_json::Value;
use sqlx::PgPool;
use tower::ServiceExt;

use super::database::{TestDatabase, database};

pub const TOKEN: &str = "notehub-token-of-the-tests";
pub const PEOPLE: &str = "people-token-of-the-tests";
const ACCOUNT: &str = "AC00000000000000000000000000000001";
pub const PHONE: &str = "+15005550010";

pub struct TestApp {
    pub service: Service,
    pub router: Router,
    pub clock: Clock,
    pub pool: PgPool,
    pub ubidots: UbidotsStandIn,
    pub twilio: TwilioStandIn,
    pub database: TestDatabase,
}

/// The file of the program, for the workers that the service starts from it.
pub fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_cloud-under-test"))
}

/// The moment at which every test begins.
pub fn start() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().expect("a time")
}

impl TestApp {
    /// With the tutorial's route and rule.
    pub async fn new() -> Self {
        Self::with("").await
    }

    /// With more configuration after the destinations `ubidots` and `sms`.
    pub async fn with(more: &str) -> Self {
        Self::on(database().await, more, Clock::manual(start())).await
    }

    /// On a database that may be in use already.
    pub async fn on(database: TestDatabase, more: &str, clock: Clock) -> Self {
        let ubidots = UbidotsStandIn::start("ubidots-secret-token")
            .await
            .expect("the Ubidots stand-in starts");
        let twilio = TwilioStandIn::start(ACCOUNT, "twilio-secret-token")
            .await
            .expect("the Twilio stand-in starts");
        let config = config(ubidots.url().as_str(), twilio.url().as_str(), more);
        let pool = database.pool.clone();
        let service = Service::new(config, pool.clone(), clock.clone(), program())
            .expect("the service is made");
        Self {
            router: web::router(service.app.clone()),
            service,
            clock,
            pool,
            ubidots,
            twilio,
            database,
        }
    }

    /// Another service with other configuration on the same database and the same stand-ins, as after a restart.
    pub fn restarted(&mut self, more: &str) {
        let config = config(
            self.ubidots.url().as_str(),
            self.twilio.url().as_str(),
            more,
        );
        self.service = Service::new(config, self.pool.clone(), self.clock.clone(), program())
            .expect("the service is made");
        self.router = web::router(self.service.app.clone());
    }

    /// The text of this service's configuration, for the program itself.
    pub fn configuration(&self, more: &str) -> String {
        let (ubidots, twilio) = (self.ubidots.url(), self.twilio.url());
        configuration(ubidots.as_str(), twilio.as_str(), more)
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub async fn post(&self, body: impl Into<Body>) -> (StatusCode, Value) {
        self.send(
            Request::post("/notehub")
                .header("authorization", format!("Bearer {TOKEN}"))
                .body(body.into()),
        )
        .await
    }

    /// Posts an event that must be taken, and returns whether it was `stored` or a `duplicate`.
    pub async fn take(&self, event: &Value) -> String {
        let (status, answer) = self.post(event.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["status"].as_str().expect("a status").to_owned()
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(
            Request::get(path)
                .header("authorization", format!("Bearer {PEOPLE}"))
                .body(Body::empty()),
        )
        .await
    }

    pub async fn post_as_person(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = Request::post(path)
            .header("authorization", format!("Bearer {PEOPLE}"))
            .header("content-type", "application/json");
        self.send(request.body(body.to_string().into())).await
    }

    pub async fn send(&self, request: axum::http::Result<Request<Body>>) -> (StatusCode, Value) {
        let response = self
            .router
            .clone()
            .oneshot(request.expect("a request"))
            .await
            .expect("the router answers");
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .expect("a body");
        let text = String::from_utf8_lossy(&body).into_owned();
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    /// Processes until nothing waits.
    pub async fn process(&self) -> usize {
        let mut total = 0;
        loop {
            match self
                .service
                .app
                .processor
                .tick(self.now())
                .await
                .expect("events are processed")
            {
                0 => return total,
                count => total += count,
            }
        }
    }

    /// Makes one attempt at whatever is due at this moment.
    pub async fn deliver(&self) -> usize {
        let mut total = 0;
        for lane in &self.service.app.lanes {
            loop {
                match lane
                    .tick(self.now())
                    .await
                    .expect("deliveries are made")
                    .attempted
                {
                    0 => break,
                    count => total += count,
                }
            }
        }
        total
    }

    /// Everything that can happen at this moment.
    pub async fn settle(&self) {
        loop {
            let processed = self.process().await;
            let told = self
                .service
                .watch
                .tick(self.now())
                .await
                .expect("the watch looks");
            let delivered = self.deliver().await;
            if processed == 0 && delivered == 0 && !told {
                return;
            }
        }
    }

    /// Lets time pass, minute by minute, with everything that happens meanwhile.
    pub async fn pass(&self, time: TimeDelta) {
        let end = self.now() + time;
        while self.now() < end {
            self.clock
                .advance(TimeDelta::minutes(1).min(end - self.now()));
            self.settle().await;
        }
    }

    pub async fn count(&self, table: &str) -> i64 {
        let query = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(query)
            .fetch_one(&self.pool)
            .await
            .expect("a count")
    }

    /// The texts that the phone got, in order.
    pub fn texts(&self) -> Vec<String> {
        self.twilio
            .messages()
            .into_iter()
            .map(|message| message.body)
            .collect()
    }

    /// Ends a test: the stand-ins found nothing to complain of, and nothing is left in flight.
    pub async fn finish(&self) {
        assert_eq!(self.ubidots.complaints(), Vec::<String>::new());
        assert_eq!(self.twilio.complaints(), Vec::<String>::new());
        assert_eq!(
            self.count("pending_events").await,
            0,
            "events left unprocessed"
        );
        assert_eq!(
            self.count("deliveries WHERE state IN ('due', 'leased')")
                .await,
            0,
            "deliveries left undone"
        );
    }
}

fn config(ubidots: &str, twilio: &str, more: &str) -> Config {
    let text = configuration(ubidots, twilio, more);
    Config::parse(&text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn configuration(ubidots: &str, twilio: &str, more: &str) -> String {
    // Most tests let hours pass without a note, and are not about the silence of their stations.
    let watch = if more.contains("[watch]") {
        ""
    } else {
        "[watch]\n        enabled = false"
    };
    format!(
        r#"
        [access]
        notehub_tokens = ["{TOKEN}", "notehub-token-that-comes-next"]
        people_token = "{PEOPLE}"
        [[destination]]
        name = "ubidots"
        kind = "ubidots"
        base_url = "{ubidots}"
        token = "ubidots-secret-token"
        rate_limit = "none"
        [[destination]]
        name = "sms"
        kind = "twilio"
        base_url = "{twilio}"
        account_sid = "{ACCOUNT}"
        auth_token = "twilio-secret-token"
        from = "+15005550006"
        to = ["{PHONE}"]
        rate_limit = "none"
        {more}
        {watch}"#
    )
}
