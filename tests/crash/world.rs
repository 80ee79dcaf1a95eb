//! The destinations around the program, and the verdict: what must be true once everything has settled.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use cloud::demo::twilio::TwilioStandIn;
use cloud::demo::ubidots::UbidotsStandIn;
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::time::sleep;

use super::load::{Posted, Seen};
use crate::support::app::{PEOPLE, PHONE, TOKEN};
use crate::support::receiver::{Answer, Receiver};

const ACCOUNT: &str = "AC00000000000000000000000000000001";
/// Longer than the minute after which an attempt that got no answer in time is repeated.
const SETTLED_WITHIN: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(20);

/// The destinations: `ubidots` gets the scores, `hook` every event, `sms` the texts.
pub struct World {
    pub ubidots: UbidotsStandIn,
    pub twilio: TwilioStandIn,
    pub hook: Receiver,
}

impl World {
    pub async fn new() -> Self {
        let ubidots = UbidotsStandIn::start("ubidots-secret-token");
        let twilio = TwilioStandIn::start(ACCOUNT, "twilio-secret-token");
        Self {
            ubidots: ubidots.await.expect("the Ubidots stand-in starts"),
            twilio: twilio.await.expect("the Twilio stand-in starts"),
            hook: Receiver::start(Answer::status(200)).await,
        }
    }

    /// The configuration of a service on this database, or on one of its own. The time limits are short, so that
    /// the claims of the dead soon run out, but not so short that a busy machine exceeds them.
    pub fn config(&self, database: Option<&str>) -> String {
        let database = database.map_or_else(String::new, |url| format!("url = \"{url}\""));
        let (ubidots, twilio, hook) = (self.ubidots.url(), self.twilio.url(), self.hook.url("/"));
        let transform = cloud::config::TUTORIAL_TRANSFORM;
        format!(
            r#"
            [server]
            listen = "127.0.0.1:0"
            request_timeout = "3s"
            [database]
            {database}
            [access]
            notehub_tokens = ["{TOKEN}"]
            people_token = "{PEOPLE}"
            [[destination]]
            name = "ubidots"
            kind = "ubidots"
            base_url = "{ubidots}"
            token = "ubidots-secret-token"
            rate_limit = "none"
            timeout = "2s"
            [[destination]]
            name = "sms"
            kind = "twilio"
            base_url = "{twilio}"
            account_sid = "{ACCOUNT}"
            auth_token = "twilio-secret-token"
            from = "+15005550006"
            to = ["{PHONE}"]
            rate_limit = "none"
            timeout = "1s"
            [[destination]]
            name = "hook"
            kind = "http"
            url = "{hook}"
            allow_private = true
            timeout = "2s"
            [[route]]
            name = "scores"
            files = ["thermal.qo"]
            transform = '{transform}'
            destination = "ubidots"
            [[route]]
            name = "archive"
            destination = "hook"
            [[rule]]
            name = "anomaly"
            files = ["thermal.qo", "alert.qo"]
            value = "body.anomaly"
            fire_above = 0.7
            clear_below = 0.5
            notify = ["sms"]
            repeat = "none"
            max_age = "24h"
            "#
        )
    }

    /// Everything that was answered with 200 is there once, and all that follows from it happened once.
    pub async fn check(&self, url: &str, seen: &Seen) {
        let pool = PgPoolOptions::new().max_connections(2).connect(url);
        let pool = pool.await.expect("the database answers");
        settled(&pool).await;
        check_events(&pool, &seen.posted).await;
        check_attempts(&pool).await;
        self.check_arrived(&pool, &seen.posted).await;
        self.check_incidents(&pool, &seen.posted).await;
        self.check_complaints();
        let deliveries = count(&pool, "deliveries").await;
        let sent = self.ubidots.accepted() as usize
            + self.hook.seen().len()
            + self.twilio.messages().len();
        eprintln!(
            "{} events, {deliveries} deliveries sent {sent} times; {} requests turned away, {} without an answer",
            seen.posted.len(),
            seen.turned_away,
            seen.broken
        );
        pool.close().await;
    }

    /// At least once at every destination, always the same under the same id.
    async fn check_arrived(&self, pool: &PgPool, posted: &[Posted]) {
        let expected: BTreeSet<(String, i64)> = posted
            .iter()
            .filter(|event| event.file == "thermal.qo")
            .map(|event| {
                (
                    event.device.replace(':', "-"),
                    event.when.timestamp_millis(),
                )
            })
            .collect();
        let received = self.ubidots.received().into_iter();
        let received: BTreeSet<(String, i64)> = received
            .map(|one| {
                (
                    one.device_label,
                    one.body["anomaly"]["timestamp"].as_i64().expect("a time"),
                )
            })
            .collect();
        assert!(
            received == expected,
            "Ubidots: {:?}",
            differences(&received, &expected)
        );

        let expected: Vec<(String, String)> = sqlx::query_as(
            "SELECT id::text, body::text FROM delivery_contents WHERE route = 'archive'",
        )
        .fetch_all(pool)
        .await
        .expect("deliveries");
        let expected: BTreeSet<_> = expected.into_iter().collect();
        let received = self.hook.seen().into_iter();
        let received: BTreeSet<_> = received
            .map(|one| {
                (
                    one.header("webhook-id").expect("an id").to_owned(),
                    one.body,
                )
            })
            .collect();
        assert!(
            received == expected,
            "hook: {:?}",
            differences(&received, &expected)
        );
    }

    /// One incident and one text for every station that glows.
    async fn check_incidents(&self, pool: &PgPool, posted: &[Posted]) {
        let glowing = posted.iter().filter(|event| event.glows);
        let glowing: BTreeSet<String> = glowing.map(|event| event.device.clone()).collect();
        let incidents: Vec<(String, i32, Option<String>)> =
            sqlx::query_as("SELECT device, notices, (SELECT state FROM alerts AS a WHERE a.incident_id = i.id AND a.device = i.device) FROM incidents AS i ORDER BY device")
                .fetch_all(pool)
                .await
                .expect("incidents");
        let expected = glowing
            .iter()
            .map(|device| (device.clone(), 1, Some("firing".to_owned())));
        assert_eq!(incidents, expected.collect::<Vec<_>>());
        let texts: Vec<String> = self
            .twilio
            .messages()
            .into_iter()
            .map(|message| message.body)
            .collect();
        // A text with its places among all of them.
        let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (place, text) in texts.iter().enumerate() {
            places.entry(text).or_default().push(place);
        }
        places.retain(|_, places| places.len() > 1);
        assert!(places.is_empty(), "texted more than once: {places:?}");
        assert_eq!(texts.len(), glowing.len(), "{texts:#?}");
    }

    fn check_complaints(&self) {
        // Who dies while speaking does not end the sentence.
        let complaints = self
            .ubidots
            .complaints()
            .into_iter()
            .chain(self.twilio.complaints());
        let complaints: Vec<_> = complaints
            .filter(|one| !one.contains("could not be read"))
            .collect();
        assert_eq!(complaints, Vec::<String>::new());
    }
}

/// Waits until nothing is left to do.
pub async fn settled(pool: &PgPool) {
    let deadline = Instant::now() + SETTLED_WITHIN;
    loop {
        let pending = count(pool, "pending_events").await;
        let waiting = count(pool, "delivery_states WHERE state IN ('due', 'leased')").await;
        if pending == 0 && waiting == 0 {
            return;
        }
        if Instant::now() > deadline {
            let left: Vec<(String, String, i32, Option<String>)> =
                sqlx::query_as("SELECT destination, state, attempts, reason FROM delivery_states WHERE state IN ('due', 'leased') LIMIT 10")
                    .fetch_all(pool)
                    .await
                    .expect("deliveries");
            panic!("{pending} events and {waiting} deliveries are left, such as {left:#?}");
        }
        sleep(POLL).await;
    }
}

/// Waits for something that a process outside does, and that nobody reports.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            sleep(POLL).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
    assert!(waited.is_ok(), "not in time: {what}");
}

pub async fn count(pool: &PgPool, table: &str) -> i64 {
    let query = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    sqlx::query_scalar(query)
        .fetch_one(pool)
        .await
        .expect("a count")
}

/// What is stored of an event, in short.
type Stored = (String, bool, i64, Vec<String>);

/// Stored once, processed, with its measurements once, and one delivery for each of its routes.
async fn check_events(pool: &PgPool, posted: &[Posted]) {
    let stored: Vec<Stored> = sqlx::query_as(
        "SELECT uid, EXISTS (SELECT FROM processed_events AS p WHERE p.uid = e.uid),
                (SELECT count(*) FROM measurements AS m WHERE m.device = e.device AND m.at = e.captured_at AND m.event_uid = e.uid),
                (SELECT coalesce(array_agg(d.route || ' ' || d.state ORDER BY d.route), '{}') FROM deliveries AS d WHERE d.event_uid = e.uid AND d.route IS NOT NULL)
           FROM received_events AS e",
    )
    .fetch_all(pool)
    .await
    .expect("events");
    let stored: BTreeSet<Stored> = stored.into_iter().collect();
    let expected: BTreeSet<Stored> = posted
        .iter()
        .map(|event| {
            let deliveries: &[&str] = match event.file.as_str() {
                "thermal.qo" => &["archive delivered", "scores delivered"],
                _ => &["archive delivered"],
            };
            let series = if event.file == "health.qo" { 2 } else { 4 };
            (
                event.uid.clone(),
                true,
                series,
                deliveries.iter().map(|one| (*one).to_owned()).collect(),
            )
        })
        .collect();
    assert_eq!(
        expected.len(),
        posted.len(),
        "every uid was posted by one client"
    );
    assert!(
        stored == expected,
        "events: {:?}",
        differences(&stored, &expected)
    );
    let series: i64 = expected.iter().map(|event| event.2).sum();
    assert_eq!(count(pool, "measurements").await, series);
    assert_eq!(count(pool, "event_errors").await, 0);
    assert_eq!(count(pool, "rejected").await, 0);
}

/// The attempts of each delivery are numbered without a gap, and the last one, and only that, delivered it.
async fn check_attempts(pool: &PgPool) {
    let odd: Vec<(String, String, i32, Vec<String>)> = sqlx::query_as(
        "SELECT s.destination, s.state, s.attempts, t.tries
           FROM delivery_states AS s
          CROSS JOIN LATERAL (
                SELECT count(*) AS number, max(a.number) AS last, max(a.number) FILTER (WHERE a.outcome = 'delivered') AS delivered,
                       count(*) FILTER (WHERE a.outcome = 'delivered') AS times,
                       coalesce(array_agg(a.number || ' ' || a.outcome || ' ' || coalesce(a.reason, '') ORDER BY a.number), '{}') AS tries
                  FROM attempts AS a WHERE a.delivery_id = s.id) AS t
          WHERE (s.state = 'delivered' AND t.number = s.attempts AND t.last = s.attempts AND t.delivered = t.last AND t.times = 1) IS NOT TRUE
          LIMIT 10",
    )
    .fetch_all(pool)
    .await
    .expect("attempts");
    assert!(odd.is_empty(), "attempts that do not add up: {odd:#?}");
}

/// A few of each, for a message.
fn differences<T: Ord + Clone>(
    found: &BTreeSet<T>,
    expected: &BTreeSet<T>,
) -> [(&'static str, usize, Vec<T>); 2] {
    let of = |name, one: &BTreeSet<T>, other: &BTreeSet<T>| {
        let only: Vec<T> = one.difference(other).cloned().collect();
        (name, only.len(), only.into_iter().take(5).collect())
    };
    [
        of("missing", expected, found),
        of("unexpected", found, expected),
    ]
}
