//! Stations with two days behind them, made through the front door: for tests in a browser, and for screenshots.
//!
//! Events are posted half an hour at a time while the clock of a `TestApp` is moved on, so that alerts, incidents,
//! texts, deliveries and their failures come about as they do in life. At the end it is now by the machine's clock, and
//! the program itself can be started on the database.
//!
//! `boiler-room` fires, with pictures, and had an incident yesterday; `pump-house` recovers from one that `ana` has taken;
//! `switchboard` and the one with the long name are calm; `kiln` has been silent for five hours; `dryer-2` is new. What
//! goes to the destination `archive` is refused for good, what goes to `mirror` waits.

use chrono::{DateTime, TimeDelta, Utc};
use cloud::audit::{Actor, Via};
use cloud::clock::Clock;
use cloud::demo::scene::Scene;
use cloud::process::incident;
use cloud::process::silence::{self, Matcher};
use serde_json::{Value, json};

use super::app::TestApp;
use super::database::database;
use super::program::{Home, Program};
use super::receiver::{Answer, Receiver};
use super::station::Station;

/// Between two looks at everything while the past is made.
const STEP: TimeDelta = TimeDelta::minutes(30);

pub const BOILER: &str = "dev:864475044210001";
pub const LONG_NAME: &str =
    "♨ Kesselhaus Nord, Wärmetauscher zwei hinter der Trennwand (provisorisch, bis März)";

pub struct Fleet {
    pub app: TestApp,
    /// Refuses for good what it gets, until it is told otherwise.
    pub archive: Receiver,
    /// Is out of order.
    _mirror: Receiver,
    config: String,
}

/// How much of a past is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// All of it.
    TwoDays,
    /// The last hours, which is quicker and as good for a walk through the pages.
    Hours,
}

impl Past {
    fn length(self) -> TimeDelta {
        match self {
            Self::TwoDays => TimeDelta::days(2),
            Self::Hours => TimeDelta::hours(8),
        }
    }
}

impl Fleet {
    pub async fn made(past: Past) -> Self {
        let archive = Receiver::start(Answer::json(
            400,
            &json!({ "error": "unknown field `clk`" }),
        ))
        .await;
        let mirror = Receiver::start(Answer::text(503, "down for maintenance")).await;
        let more = more(&archive, &mirror);
        let now = Clock::System.now();
        let start = now - past.length();
        let app = TestApp::on(database().await, &more, Clock::manual(start)).await;
        let config = app.configuration(&more);
        let fleet = Self {
            app,
            archive,
            _mirror: mirror,
            config,
        };
        fleet.live_through(start, now).await;
        fleet
    }

    async fn live_through(&self, start: DateTime<Utc>, now: DateTime<Utc>) {
        let stations = stations(start, now);
        let mut at = start;
        while at < now {
            let until = (at + STEP).min(now);
            let events = stations
                .iter()
                .flat_map(|station| station.events(at, until));
            let events: Vec<Value> = events.collect();
            // What is said of the future is not believed, so time passes first. The watch is awake, of late: for a time in
            // which it was not, no station is silent.
            if until > now - TimeDelta::hours(10) {
                self.stay_awake(until).await;
            }
            self.app.clock.advance(until - self.app.now());
            // As many at once as real senders would, so that they share commits.
            for some in events.chunks(64) {
                let taken = some.iter().map(|event| self.app.take(event));
                futures_util::future::join_all(taken).await;
            }
            self.app.settle().await;
            at = until;
        }
        self.act(now).await;
    }

    async fn stay_awake(&self, until: DateTime<Utc>) {
        while self.app.now() < until {
            let rest = until - self.app.now();
            self.app.clock.advance(rest.min(TimeDelta::seconds(100)));
            let watch = &self.app.service.watch;
            watch.tick(self.app.now()).await.expect("the watch looks");
        }
    }

    /// What people did meanwhile.
    async fn act(&self, now: DateTime<Utc>) {
        let pool = &self.app.pool;
        let by = |name: &str| Actor {
            name: name.to_owned(),
            via: Via::Page,
        };
        let pump = "SELECT id FROM incidents WHERE device = $1 AND resolved_at IS NULL";
        let pump: i64 = sqlx::query_scalar(pump)
            .bind(PUMP)
            .fetch_one(pool)
            .await
            .expect("the pump has an open incident");
        let earlier = now - TimeDelta::minutes(50);
        incident::acknowledge(pool, pump, &by("ana"), earlier)
            .await
            .expect("an incident can be taken");
        let text = "Bearing is dry. Greased; it cools down.";
        incident::remark(
            pool,
            pump,
            text,
            &by("ana"),
            earlier + TimeDelta::minutes(12),
        )
        .await
        .expect("an incident can be remarked upon");
        let kiln = Matcher {
            device: Some(KILN.to_owned()),
            rule: None,
        };
        let why = "New lining until Friday";
        let length = TimeDelta::hours(36);
        silence::start(pool, &kiln, length, why, &by("marko"), earlier)
            .await
            .expect("a station can be silenced");
    }

    /// The program itself on what was made, with its own loops and the machine's clock.
    pub async fn serve(&self) -> (Home, Program) {
        let url = &self.app.database.url;
        let more = format!("[server]\nlisten = \"127.0.0.1:0\"\n[database]\nurl = \"{url}\"\n");
        let home = Home::new(&format!("{more}{}", self.config));
        let program = home.serve().await;
        (home, program)
    }
}

pub const SWITCHBOARD: &str = "dev:864475044210002";
const PUMP: &str = "dev:864475044210003";
const KILN: &str = "dev:864475044210004";
const DRYER: &str = "dev:864475044210005";
const NORTH: &str = "dev:864475044210006";

fn stations(start: DateTime<Utc>, now: DateTime<Utc>) -> Vec<Station> {
    let minutes = TimeDelta::minutes;
    let one = |device, name, scene| Station::new(device, name, scene, start, now);
    vec![
        Station {
            episodes: vec![
                (now - TimeDelta::hours(27), minutes(70), 0.81),
                // Still on.
                (now - minutes(38), minutes(90), 0.93),
            ],
            ..one(BOILER, "boiler-room", Scene::Boiler)
        },
        one(SWITCHBOARD, "switchboard", Scene::Switchboard),
        Station {
            episodes: vec![(now - minutes(80), minutes(58), 0.84)],
            ..one(PUMP, "pump-house", Scene::Pump)
        },
        Station {
            until: now - TimeDelta::hours(5),
            episodes: vec![(now - TimeDelta::hours(31), minutes(45), 0.77)],
            ..one(KILN, "kiln", Scene::Boiler)
        },
        Station {
            from: now - minutes(3),
            ..one(DRYER, "dryer-2", Scene::Pump)
        },
        Station {
            every: minutes(30),
            place: None,
            ..one(NORTH, LONG_NAME, Scene::Boiler)
        },
    ]
}

/// Routes and rules: those of the tutorial, a quiet period, and destinations that fail.
fn more(archive: &Receiver, mirror: &Receiver) -> String {
    format!(
        r#"
        [watch]
        notify = ["sms"]
        [[destination]]
        name = "archive"
        kind = "http"
        url = "{}"
        allow_private = true
        [[destination]]
        name = "mirror"
        kind = "http"
        url = "{}"
        allow_private = true
        [[route]]
        name = "ubidots"
        files = ["thermal.qo"]
        transform = '''
{{
  "anomaly": {{ "value": body.anomaly, "timestamp": when * 1000 }},
  "warm": {{ "value": body.warm, "timestamp": when * 1000 }}
}}'''
        destination = "ubidots"
        [[route]]
        name = "health"
        files = ["health.qo"]
        destination = "archive"
        [[route]]
        name = "alarms"
        files = ["alert.qo"]
        transform = '{{ "station": sn, "score": body.anomaly, "rise": body.dt, "why": body.why }}'
        destination = "mirror"
        [[rule]]
        name = "anomaly"
        files = ["thermal.qo", "alert.qo"]
        value = "body.anomaly"
        missing = 0.0
        fire_above = 0.7
        clear_below = 0.5
        clear_hold = "30m"
        notify = ["sms"]
        [[rule]]
        name = "fault"
        files = ["health.qo"]
        value = "body.fault"
        fire_above = 0.0
        severity = "warning"
        "#,
        archive.url("/plant/health"),
        mirror.url("/alarms"),
    )
}
