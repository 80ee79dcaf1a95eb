//! The demo as a whole, and its stand-ins over real HTTP: what they accept, what they refuse, the faults they play.
//!
//! Other tests lean on these stand-ins to judge what the service sends, so the judges are judged first.

use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloud::demo::day::{TUTORIAL_LABEL, TUTORIAL_POST};
use cloud::demo::ink::Ink;
use cloud::demo::stand_in::{Answer, Fault};
use cloud::demo::twilio::{TwilioOptions, TwilioStandIn};
use cloud::demo::ubidots::{UbidotsOptions, UbidotsStandIn};
use cloud::demo::{DemoOptions, Screen, local_client, play};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::support::database::database;

const SID: &str = "AC00000000000000000000000000000001";
const TOKEN: &str = "BBUS-demo";

/// What a person would see.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("whole paper").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn watch(options: &DemoOptions) -> (ExitCode, String) {
    let paper = Paper::default();
    let mut screen = Screen::new(Box::new(paper.clone()), Ink::Plain);
    let code = play(options, &mut screen).await.expect("a demo");
    let bytes = paper.0.lock().expect("whole paper").clone();
    (code, String::from_utf8(bytes).expect("text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_day_comes_to_what_it_must() {
    let database = database().await;
    let options = DemoOptions {
        listen: "127.0.0.1:0".parse().expect("an address"),
        database_url: Some(database.url.clone()),
        pace: Duration::ZERO,
        exit: true,
        print_ready: true,
    };
    let (code, shown) = watch(&options).await;
    assert_eq!(code, ExitCode::SUCCESS, "{shown}");
    assert!(shown.contains("\nready http://127.0.0.1:"), "{shown}");
    assert!(shown.contains(TUTORIAL_POST), "{shown}");
    assert!(!shown.contains('✗'), "{shown}");
    let to_phone = |line: &&str| line.contains("to +14155550123");
    let texts: Vec<_> = shown.lines().filter(to_phone).collect();
    assert_eq!(texts.len(), 2, "{shown}");
    assert!(
        texts.iter().all(|text| text.contains("1 segment,")),
        "{texts:?}"
    );
    // A second day in the same database is not what the demo was asked to show, and it says so.
    let (code, shown) = watch(&options).await;
    assert_eq!(code, ExitCode::FAILURE, "{shown}");
    let problem = "The day did not come to what it must:";
    assert!(shown.contains(problem), "{shown}");
}

/// One request to a stand-in for Ubidots, right in every respect until a test changes it.
struct Request<'a> {
    method: reqwest::Method,
    path: &'a str,
    token: Option<&'a str>,
    media_type: &'a str,
    body: &'a str,
}

impl Request<'_> {
    async fn send(self, stand_in: &UbidotsStandIn) -> reqwest::Result<(u16, Value)> {
        let url = stand_in.url().join(self.path).expect("a path");
        let mut request = local_client()
            .expect("a client")
            .request(self.method, url)
            .header(CONTENT_TYPE, self.media_type)
            .body(self.body.to_owned());
        if let Some(token) = self.token {
            request = request.header("X-Auth-Token", token);
        }
        read(request.send().await?).await
    }
}

async fn read(response: reqwest::Response) -> reqwest::Result<(u16, Value)> {
    let status = response.status().as_u16();
    let text = response.text().await?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
}

fn write(body: &str) -> Request<'_> {
    Request {
        method: reqwest::Method::POST,
        path: "/api/v1.6/devices/dev-864475/",
        token: Some(TOKEN),
        media_type: "application/json",
        body,
    }
}

#[tokio::test]
async fn ubidots_takes_the_tutorials_post_and_answers_per_dot() {
    let ubidots = UbidotsStandIn::start(TOKEN).await.expect("a stand-in");
    let mut arrivals = ubidots.arrivals();
    let (status, answer) = write(TUTORIAL_POST)
        .send(&ubidots)
        .await
        .expect("an answer");
    let saved = json!([{ "status_code": 201 }]);
    let expected = json!({ "cold": saved, "warm": saved, "hot": saved, "anomaly": saved });
    assert_eq!((status, answer), (200, expected));
    assert_eq!(*arrivals.wait_for(|n| *n > 0).await.expect("running"), 1);
    let received = ubidots.received();
    assert_eq!(received[0].device_label, TUTORIAL_LABEL);
    assert_eq!(received[0].raw, TUTORIAL_POST);
    let list = r#"{"hot":[0.1,{"value":"0.2","timestamp":1644340339000,"context":{"at":"x"}}]}"#;
    let (status, answer) = write(list).send(&ubidots).await.expect("an answer");
    let two = json!({ "hot": [{ "status_code": 201 }, { "status_code": 201 }] });
    assert_eq!((status, answer), (200, two));
    assert_eq!((ubidots.accepted(), ubidots.dots()), (2, 6));
    assert_eq!(ubidots.complaints(), Vec::<String>::new());
    ubidots.stop().await;
}

#[tokio::test]
async fn ubidots_refuses_and_complains_about_everything_else() {
    let ubidots = UbidotsStandIn::start(TOKEN).await.expect("a stand-in");
    let big = format!(
        r#"{{"hot":{{"value":1,"context":{{"x":"{}"}}}}}}"#,
        "a".repeat(10_000)
    );
    let fat = format!(
        r#"{{"hot":{{"value":1,"context":{{"x":"{}"}}}}}}"#,
        "a".repeat(1_100)
    );
    let good = || write(r#"{"hot":1}"#);
    let method = reqwest::Method::GET;
    let cases = [
        (
            404,
            Request {
                path: "/api/v1.6/devices/dev-864475",
                ..good()
            },
        ),
        (
            404,
            Request {
                path: "/api/v1.6/devices/dev:864475/",
                ..good()
            },
        ),
        (
            404,
            Request {
                path: "/api/v1.6/devices//",
                ..good()
            },
        ),
        (
            404,
            Request {
                path: "/api/v1.6/devices/dev-1/hot/",
                ..good()
            },
        ),
        (
            404,
            Request {
                path: "/",
                ..good()
            },
        ),
        (405, Request { method, ..good() }),
        (
            400,
            Request {
                path: "/api/v1.6/devices/dev-1/?token=x",
                ..good()
            },
        ),
        (
            401,
            Request {
                token: None,
                ..good()
            },
        ),
        (
            401,
            Request {
                token: Some("BBUS-other"),
                ..good()
            },
        ),
        (
            415,
            Request {
                media_type: "text/plain",
                ..good()
            },
        ),
        (413, write(&big)),
        (400, write(&fat)),
        (400, write("")),
        (400, write("[]")),
        (400, write("{}")),
        (400, write(r#"{"hot":null}"#)),
        (400, write(r#"{"hot":true}"#)),
        (400, write(r#"{"hot":"warm"}"#)),
        (400, write(r#"{"hot":[]}"#)),
        (400, write(r#"{"hot":{"timestamp":1644340339000}}"#)),
        (400, write(r#"{"hot":{"value":1,"timestamp":1644340339}}"#)),
        (
            400,
            write(r#"{"hot":{"value":1,"timestamp":1644340339000.5}}"#),
        ),
        (400, write(r#"{"hot":{"value":1,"time":1644340339000}}"#)),
        (400, write(r#"{"hot spot":1}"#)),
    ];
    let mut complaints = 0;
    for (expected, request) in cases {
        let shown = format!("{} {} {:.60}", request.method, request.path, request.body);
        let (status, answer) = request.send(&ubidots).await.expect("an answer");
        assert_eq!(status, expected, "{shown}");
        assert!(answer["detail"].is_string(), "{shown}");
        complaints += 1;
        assert_eq!(ubidots.complaints().len(), complaints, "{shown}");
    }
    assert_eq!(ubidots.accepted(), 0);
}

#[tokio::test]
async fn ubidots_plays_planned_faults_in_order() {
    let ubidots = UbidotsStandIn::start(TOKEN).await.expect("a stand-in");
    ubidots.plan(2, Fault::Refuse(Answer::status(500)));
    ubidots.plan(1, Fault::Refuse(Answer::status(429).with_retry_after("7")));
    ubidots.plan(1, Fault::AcceptBut(Answer::Close));
    ubidots.plan(1, Fault::Refuse(Answer::ubidots_not_saved("hot")));
    let send = || write(r#"{"hot":1}"#).send(&ubidots);
    for expected in [500, 500, 429] {
        assert_eq!(send().await.expect("an answer").0, expected);
    }
    assert_eq!(ubidots.accepted(), 0);
    assert!(send().await.is_err(), "closed without an answer");
    assert_eq!(ubidots.accepted(), 1);
    let (status, answer) = send().await.expect("an answer");
    assert_eq!(
        (status, answer),
        (200, json!({ "hot": [{ "status_code": 204 }] }))
    );
    assert_eq!(send().await.expect("an answer").0, 200);
    ubidots.plan(9, Fault::Refuse(Answer::status(503)));
    ubidots.forget_faults();
    assert_eq!(send().await.expect("an answer").0, 200);
    assert_eq!(ubidots.complaints(), Vec::<String>::new());
    assert_eq!((ubidots.accepted(), ubidots.requests()), (3, 7));
}

#[tokio::test]
async fn ubidots_can_limit_the_rate_and_its_memory() {
    let ubidots = UbidotsStandIn::start_with(UbidotsOptions {
        token: TOKEN.to_owned(),
        keep: 1,
        requests_per_second: Some(2),
    })
    .await
    .expect("a stand-in");
    let mut statuses = Vec::new();
    for body in [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#] {
        statuses.push(write(body).send(&ubidots).await.expect("an answer").0);
    }
    assert_eq!(statuses, [200, 200, 429]);
    let received = ubidots.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].body, json!({ "n": 2 }));
    assert_eq!(ubidots.accepted(), 2);
}

/// A send as the service makes it.
async fn text(twilio: &TwilioStandIn, fields: &[(&str, &str)]) -> reqwest::Result<(u16, Value)> {
    let path = format!("/2010-04-01/Accounts/{SID}/Messages.json");
    let request = local_client()
        .expect("a client")
        .post(twilio.url().join(&path).expect("a path"))
        .basic_auth(SID, Some("secret"))
        .form(fields);
    read(request.send().await?).await
}

const FINE: [(&str, &str); 4] = [
    ("To", "+14155550123"),
    ("From", "+15005550006"),
    ("Body", "Boiler room: anomaly 0.88 + rising"),
    ("ValidityPeriod", "900"),
];

#[tokio::test]
async fn twilio_takes_a_text_and_lists_it() {
    let twilio = TwilioStandIn::start(SID, "secret")
        .await
        .expect("a stand-in");
    let (status, answer) = text(&twilio, &FINE).await.expect("an answer");
    assert_eq!(status, 201);
    assert_eq!(answer["status"], "queued");
    assert_eq!(answer["num_segments"], "1");
    assert_eq!(answer["error_code"], Value::Null);
    let sid = answer["sid"].as_str().expect("a sid");
    assert!(sid.starts_with("SM") && sid.len() == 34, "{sid}");
    let created = answer["date_created"].as_str().expect("a date");
    assert!(
        created.ends_with(" +0000") && created.len() == 31,
        "{created}"
    );
    let messages = twilio.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].body, "Boiler room: anomaly 0.88 + rising");
    assert_eq!(messages[0].validity_seconds, Some(900));

    let list = |query: &str| {
        let path = format!("/2010-04-01/Accounts/{SID}/Messages.json?{query}");
        let url = twilio.url().join(&path).expect("a path");
        let client = local_client().expect("a client");
        async move {
            let request = client.get(url).basic_auth(SID, Some("secret"));
            let answer = read(request.send().await.expect("an answer")).await;
            let (status, answer) = answer.expect("a body");
            assert_eq!(status, 200);
            answer["messages"].as_array().expect("a list").clone()
        }
    };
    let found = list("To=%2B14155550123&From=%2B15005550006&DateSent%3E=2026-01-01").await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["sid"], sid);
    assert_eq!(list("To=%2B14155550199").await.len(), 0);
    assert_eq!(list("DateSent%3E=2199-01-01").await.len(), 0);
    assert_eq!(twilio.lookups(), 3);
    assert_eq!(twilio.complaints(), Vec::<String>::new());
    twilio.stop().await;
}

#[tokio::test]
async fn twilio_refuses_in_its_own_words() {
    let twilio = TwilioStandIn::start(SID, "secret")
        .await
        .expect("a stand-in");
    let with = |name: &'static str, value: &'static str| -> Vec<(&str, &str)> {
        let other = FINE.into_iter().filter(|(field, _)| *field != name);
        other.chain([(name, value)]).collect()
    };
    let cases = [
        (21211, 1, with("To", "4155550123")),
        (21610, 0, with("To", "+15005550004")),
        (21614, 0, with("To", "+15005550009")),
        (21602, 1, with("Body", "")),
        (90007, 1, with("ValidityPeriod", "0")),
    ];
    for (code, objections, fields) in cases {
        let before = twilio.complaints().len();
        let (status, answer) = text(&twilio, &fields).await.expect("an answer");
        assert_eq!((status, &answer["code"]), (400, &json!(code)));
        assert_eq!(answer["status"], 400);
        let more = format!("https://www.twilio.com/docs/errors/{code}");
        assert_eq!(answer["more_info"], more);
        assert_eq!(twilio.complaints().len() - before, objections, "{code}");
    }
    // Accepted as the real one would, but not in silence.
    let (status, _) = text(&twilio, &with("ValidtyPeriod", "900"))
        .await
        .expect("an answer");
    assert_eq!(status, 201);
    assert!(twilio.complaints().concat().contains("ValidtyPeriod"));
}

#[tokio::test]
async fn twilio_knows_who_may_send() {
    let twilio = TwilioStandIn::start_with(TwilioOptions {
        account_sid: SID.to_owned(),
        auth_token: "secret".to_owned(),
        api_key: Some(("SK1".to_owned(), "key-secret".to_owned())),
    })
    .await
    .expect("a stand-in");
    let cases = [
        (201, SID, Some(format!("{SID}:secret"))),
        (201, SID, Some("SK1:key-secret".to_owned())),
        (401, SID, Some(format!("{SID}:wrong"))),
        (401, SID, Some("SK1:secret".to_owned())),
        (401, "AC2", Some(format!("{SID}:secret"))),
        (401, SID, None),
    ];
    for (expected, account, credentials) in cases {
        let path = format!("/2010-04-01/Accounts/{account}/Messages.json");
        let mut request = local_client()
            .expect("a client")
            .post(twilio.url().join(&path).expect("a path"))
            .form(&FINE);
        if let Some(credentials) = &credentials {
            let basic = format!("Basic {}", STANDARD.encode(credentials));
            request = request.header(AUTHORIZATION, basic);
        }
        let answer = read(request.send().await.expect("an answer")).await;
        let (status, answer) = answer.expect("a body");
        assert_eq!(status, expected, "{account} {credentials:?}");
        assert!(status == 201 || answer["code"] == 20003);
    }
}

#[tokio::test]
async fn twilio_can_leave_its_sender_in_doubt() {
    let twilio = TwilioStandIn::start(SID, "secret")
        .await
        .expect("a stand-in");
    twilio.plan(1, Fault::AcceptBut(Answer::status(500)));
    twilio.plan(1, Fault::AcceptBut(Answer::Close));
    twilio.plan(
        1,
        Fault::Refuse(Answer::twilio(429, 20429, "Too Many Requests")),
    );
    assert_eq!(text(&twilio, &FINE).await.expect("an answer").0, 500);
    assert!(
        text(&twilio, &FINE).await.is_err(),
        "closed without an answer"
    );
    let (status, answer) = text(&twilio, &FINE).await.expect("an answer");
    assert_eq!((status, &answer["code"]), (429, &json!(20429)));
    assert_eq!(twilio.messages().len(), 2);
    assert_eq!(twilio.complaints(), Vec::<String>::new());
}
