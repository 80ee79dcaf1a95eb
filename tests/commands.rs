//! The commands, as a person or a script runs them.

use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::app::TestApp;
use crate::support::database::{database, unmigrated_database};
use crate::support::event::{thermal, tutorial};
use crate::support::program::Home;
use crate::support::receiver::{Answer, Receiver};

const UBIDOTS: &str =
    "[[destination]]\nname = \"ubi\"\nkind = \"ubidots\"\ntoken = \"SECRET-ubidots-token\"\n";

fn text(output: &Output) -> (bool, String, String) {
    let read = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.success(),
        read(&output.stdout),
        read(&output.stderr),
    )
}

#[tokio::test]
async fn check_config_says_what_the_configuration_amounts_to() {
    let home = Home::new(UBIDOTS);
    let (good, out, err) = text(&home.run(&["check-config"]).await);
    assert!(good, "{err}");
    assert!(
        out.contains("route        ubidots: thermal.qo, transformed, to ubi")
            && out.contains("rule         anomaly"),
        "{out}"
    );
    assert!(
        out.contains(
            "after 5s, 30s, 2m, 10m, 30m, 2h, 5h, 10h, 24h, 24h; in all 2days 17h 42m 35s"
        ),
        "{out}"
    );
    assert!(
        !out.contains("SECRET") && !err.contains("SECRET"),
        "{out}{err}"
    );

    let bad = Home::new(&format!(
        "{UBIDOTS}[serverr]\n[[route]]\nname = \"r\"\ndestination = \"ubj\"\ntranform = \"x\"\n"
    ));
    let (good, _, err) = text(&bad.run(&["check-config"]).await);
    assert!(!good);
    for part in ["did you mean `server`", "did you mean `transform`", "ubj"] {
        assert!(err.contains(part), "{part}: {err}");
    }

    let bad = Home::new(&format!(
        "{UBIDOTS}[[route]]\nname = \"r\"\ndestination = \"ubi\"\ntransform = '{{\"a\": body.}}'\n"
    ));
    let (good, _, err) = text(&bad.run(&["check-config"]).await);
    assert!(
        !good && err.contains("route `r`") && err.contains(" at "),
        "{err}"
    );
}

#[tokio::test]
async fn try_route_shows_exactly_what_would_be_sent() {
    let config = format!(
        "{UBIDOTS}[[route]]\nname = \"tutorial\"\nfiles = [\"thermal.qo\"]\ndestination = \"ubi\"\ntransform = '{{\"cold\":{{\"value\":body.cold,\"timestamp\":when*1000}}}}'\n\
         [[route]]\nname = \"nothing\"\ndestination = \"ubi\"\ntransform = 'body.none'\n\
         [[route]]\nname = \"skip\"\ndestination = \"ubi\"\ntransform = '$doNotRoute()'\n\
         [[route]]\nname = \"fails\"\ndestination = \"ubi\"\ntransform = '$error(\"no\")'\n"
    );
    let home = Home::new(&config);
    std::fs::write(home.path().join("event.json"), tutorial()).expect("written");
    let json_of = async |route: &str| {
        let (good, out, err) = text(
            &home
                .run(&[
                    "try-route",
                    "--route",
                    route,
                    "--event",
                    "event.json",
                    "--json",
                ])
                .await,
        );
        (
            good,
            serde_json::from_str::<Value>(&out).unwrap_or_else(|_| panic!("{out}{err}")),
        )
    };
    let body =
        json!({ "cold": { "value": 0.998_500_000_000_000_2, "timestamp": 1_644_340_339_000_u64 } });
    assert_eq!(
        json_of("tutorial").await,
        (
            true,
            json!({ "outcome": "json", "body": body, "error": null })
        )
    );
    assert_eq!(
        json_of("nothing").await,
        (
            true,
            json!({ "outcome": "nothing", "body": null, "error": null })
        )
    );
    assert_eq!(
        json_of("skip").await,
        (
            true,
            json!({ "outcome": "do_not_route", "body": null, "error": null })
        )
    );
    let (good, failed) = json_of("fails").await;
    assert!(!good);
    assert_eq!(
        (&failed["outcome"], &failed["error"]["code"]),
        (&json!("error"), &json!("D3137"))
    );

    let (good, out, _) = text(
        &home
            .run(&["try-route", "--route", "tutorial", "--event", "event.json"])
            .await,
    );
    assert!(good);
    assert!(
        out.contains("POST https://industrial.api.ubidots.com/api/v1.6/devices/dev-864475/")
            && out.contains("x-auth-token: ***"),
        "{out}"
    );
    assert!(
        out.ends_with("{\"cold\":{\"value\":0.9985000000000002,\"timestamp\":1644340339000}}\n")
            && !out.contains("SECRET"),
        "{out}"
    );

    let (good, _, err) = text(
        &home
            .run(&["try-route", "--route", "tutorail", "--event", "event.json"])
            .await,
    );
    assert!(
        !good && err.contains("tutorial, nothing, skip, fails"),
        "{err}"
    );

    let mut child = home
        .command(&["try-route", "--route", "tutorial", "--event", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    child
        .stdin
        .take()
        .expect("its input")
        .write_all(tutorial().as_bytes())
        .await
        .expect("written");
    let (good, out, _) = text(&child.wait_with_output().await.expect("it ends"));
    assert!(good && out.starts_with("{\"outcome\":\"json\""), "{out}");
}

#[tokio::test]
async fn the_other_engine_gives_the_same_answer() {
    let home = Home::new(&format!("[transform]\nengine = \"jsonata-rs\"\n{UBIDOTS}"));
    std::fs::write(home.path().join("event.json"), tutorial()).expect("written");
    let (good, out, err) = text(
        &home
            .run(&[
                "try-route",
                "--route",
                "ubidots",
                "--event",
                "event.json",
                "--json",
            ])
            .await,
    );
    assert!(good, "{err}");
    let answer: Value = serde_json::from_str(&out).expect("JSON");
    let expected: Value = serde_json::from_str(cloud::demo::day::TUTORIAL_POST).expect("JSON");
    assert_eq!(answer["body"], expected);
}

#[tokio::test]
async fn the_first_start_makes_tokens_and_says_what_to_do_with_them() {
    let database = unmigrated_database().await;
    let home = Home::new("[server]\nlisten = \"127.0.0.1:0\"");
    let environment = [("DATABASE_URL", database.url.as_str())];
    let service = home.serve_with(&environment).await;
    let token = std::fs::read_to_string(home.path().join("data/notehub-token")).expect("a token");
    assert!(
        service
            .welcome
            .contains(&format!("Authorization: Bearer {token}"))
            && service.welcome.contains("/notehub"),
        "{}",
        service.welcome
    );
    for name in ["notehub-token", "people-token"] {
        let mode = std::fs::metadata(home.path().join("data").join(name))
            .expect("the file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let client = cloud::demo::local_client().expect("a client");
    let answer = client
        .post(format!("{}/notehub", service.url))
        .bearer_auth(&token)
        .body(tutorial())
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    service.terminate();
    assert!(service.ended().await);
    // The second start uses the same ones and says nothing.
    let service = home.serve_with(&environment).await;
    assert_eq!(service.welcome, "");
    let answer = client
        .post(format!("{}/notehub", service.url))
        .bearer_auth(&token)
        .body(tutorial())
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.json_text().await["status"], "duplicate");
    service.terminate();
    assert!(service.ended().await);
}

/// Reads an answer as JSON.
trait JsonText {
    async fn json_text(self) -> Value;
}

impl JsonText for reqwest::Response {
    async fn json_text(self) -> Value {
        serde_json::from_str(&self.text().await.expect("a body")).expect("JSON")
    }
}

#[tokio::test]
async fn replay_works_on_a_configured_database() {
    let app = TestApp::new().await;
    app.ubidots.plan(
        1,
        cloud::demo::stand_in::Fault::Refuse(cloud::demo::stand_in::Answer::status(400)),
    );
    app.take(&thermal("e", "dev:1", app.now(), 0.1)).await;
    app.settle().await;
    let home = Home::new(&format!("[database]\nurl = \"{}\"\n", app.database.url));
    for (arguments, said, good) in [
        (
            &["replay", "--dead", "--destination", "elsewhere"][..],
            "0 are due again",
            false,
        ),
        (
            &["replay", "--dead", "--from", "2020-01-01T00:00:00Z"],
            "1 is due again",
            true,
        ),
        (&["replay", "--event", "e"], "1 is due again", true),
        (&["replay", "--event", "none"], "0 are due again", false),
        (
            &["replay", "--events", "--from", "2026-03-01T00:00:00Z"],
            "1 is due again",
            true,
        ),
    ] {
        let (success, out, err) = text(&home.run(arguments).await);
        assert_eq!((success, out.trim()), (good, said), "{arguments:?}: {err}");
    }
    for wrong in [
        &["replay"][..],
        &["replay", "--events"],
        &["replay", "--event", "e", "--dead"],
        &["replay", "--dead", "--from", "yesterday"],
    ] {
        let (success, _, err) = text(&home.run(wrong).await);
        assert!(!success && !err.is_empty(), "{wrong:?}");
    }
    app.clock.advance(chrono::TimeDelta::days(3_650));
    app.settle().await;
    assert_eq!(app.ubidots.received().len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn replay_where_no_service_ever_ran_says_so_and_makes_nothing() {
    let home = Home::new("");
    let (good, _, err) = text(&home.run(&["replay", "--dead"]).await);
    assert!(!good && err.contains("nothing to replay"), "{err}");
    assert!(!home.path().join("data").exists());
    let away = Home::new("[database]\nurl = \"postgres://nobody@127.0.0.1:1/none\"");
    let (good, _, err) = text(&away.run(&["replay", "--dead"]).await);
    assert!(
        !good && err.contains("127.0.0.1:1") && err.contains("refused"),
        "{err}"
    );
}

#[tokio::test]
async fn several_that_migrate_at_once_do_it_once() {
    let database = unmigrated_database().await;
    let homes: Vec<_> = (0..4)
        .map(|_| Home::new(&format!("[database]\nurl = \"{}\"\n", database.url)))
        .collect();
    let outputs =
        futures_util::future::join_all(homes.iter().map(|home| home.run(&["migrate"]))).await;
    for output in &outputs {
        let (good, out, err) = text(output);
        assert!(good && out.contains("up to date"), "{out}{err}");
    }
    let applied: i64 = sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations")
        .fetch_one(&database.pool)
        .await
        .expect("a count");
    assert_eq!(
        usize::try_from(applied).expect("small"),
        cloud::database::MIGRATOR.iter().count()
    );
}

#[tokio::test]
async fn the_probes_and_the_numbers() {
    let app = TestApp::new().await;
    app.ubidots.plan(
        1,
        cloud::demo::stand_in::Fault::Refuse(cloud::demo::stand_in::Answer::status(400)),
    );
    app.take(&thermal(
        "hot",
        "dev:1",
        app.now() - chrono::TimeDelta::minutes(1),
        0.9,
    ))
    .await;
    let open = async |path: &str| {
        app.send(axum::http::Request::get(path).body(axum::body::Body::empty()))
            .await
    };
    assert_eq!(open("/healthz").await.0.as_u16(), 200);
    assert_eq!(open("/readyz").await.0.as_u16(), 200);
    app.clock.advance(chrono::TimeDelta::seconds(90));
    let (_, Value::String(before)) = open("/metrics").await else {
        panic!("text")
    };
    assert!(
        before.contains("cloud_events_pending 1\n")
            && before.contains("cloud_events_oldest_pending_seconds 90\n"),
        "{before}"
    );
    app.settle().await;
    let (_, Value::String(after)) = open("/metrics").await else {
        panic!("text")
    };
    for line in [
        "cloud_events_pending 0",
        "cloud_deliveries_dead{destination=\"ubidots\"} 1",
        "cloud_incidents_firing{rule=\"anomaly\"} 1",
        "cloud_database_up 1",
    ] {
        assert!(after.lines().any(|one| one == line), "{line}: {after}");
    }
    // Closed from this moment on; to wait until all is returned would be to wait for the writers.
    drop(app.pool.close());
    assert_eq!(open("/readyz").await.0.as_u16(), 503);
    assert_eq!(open("/healthz").await.0.as_u16(), 200);
    let (_, Value::String(down)) = open("/metrics").await else {
        panic!("text")
    };
    assert!(down.contains("cloud_database_up 0\n"), "{down}");
}

/// Sentinels in every secret of a configuration; none may come out anywhere.
#[tokio::test]
async fn no_secret_comes_out() {
    let database = database().await;
    let ubidots = Receiver::start(Answer::text(500, "you sent SENTINEL-ubidots")).await;
    let hook = Receiver::start(Answer::text(500, "you sent SENTINEL-header")).await;
    let config = format!(
        r#"
        [server]
        listen = "127.0.0.1:0"
        [database]
        url = "{}"
        [access]
        notehub_tokens = ["SENTINEL-notehub-token"]
        people_token = "SENTINEL-people-token"
        [[destination]]
        name = "ubi"
        kind = "ubidots"
        base_url = "{ubidots}"
        token = "SENTINEL-ubidots"
        [[destination]]
        name = "hook"
        kind = "http"
        url = "{hook}"
        allow_private = true
        headers = {{ "x-key" = "SENTINEL-header" }}
        signing_secrets = ["whsec_U0VOVElORUwtU0VOVElORUwtU0VOVElORUw="]
        [[route]]
        name = "ubi"
        destination = "ubi"
        [[route]]
        name = "hook"
        destination = "hook"
        "#,
        database.url,
        ubidots = ubidots.url(""),
        hook = hook.url("")
    );
    let home = Home::new(&config);
    let service = home.serve_with(&[("RUST_LOG", "trace")]).await;
    let client = cloud::demo::local_client().expect("a client");
    let mut seen = service.welcome.clone();
    for token in ["SENTINEL-notehub-token", "SENTINEL-wrong"] {
        let answer = client
            .post(format!("{}/notehub", service.url))
            .bearer_auth(token)
            .body(tutorial())
            .send()
            .await
            .expect("an answer");
        seen += &answer.text().await.expect("a body");
    }
    let attempted = || async {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM attempts")
            .fetch_one(&database.pool)
            .await
            .expect("a count")
    };
    while attempted().await < 2 {
        tokio::task::yield_now().await;
    }
    for path in [
        "/metrics",
        "/api/v1/events/5ffa7e24-c559-40a0-8228-46ff8426b387",
        "/api/v1/deliveries",
        "/api/v1/devices",
        "/nowhere",
    ] {
        let answer = client
            .get(format!("{}{path}", service.url))
            .bearer_auth("SENTINEL-people-token")
            .send()
            .await
            .expect("an answer");
        seen += &answer.text().await.expect("a body");
    }
    service.terminate();
    assert!(service.ended().await);
    let log = std::fs::read_to_string(home.logs()).expect("the log");
    assert!(log.contains("\"attempt\""), "the log is on: {log}");
    let stored: Vec<String> = sqlx::query_scalar("SELECT answer FROM attempts")
        .fetch_all(&database.pool)
        .await
        .expect("answers");
    for text in [&seen, &stored.concat()] {
        assert!(!text.contains("SENTINEL"), "{text}");
    }
    let leaks: Vec<_> = log
        .lines()
        .filter(|line| line.contains("SENTINEL") && !line.contains("SENTINEL-wrong"))
        .collect();
    assert!(leaks.is_empty(), "{leaks:?}");
}
