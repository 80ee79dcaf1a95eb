//! One text per incident: what people are told, and when.

mod escalation;
pub mod silences;

use chrono::{DateTime, TimeDelta, Utc};
use cloud::demo::stand_in::{Answer, Fault};
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::event::{thermal, twin};

const DEVICE: &str = "dev:864475";

fn ago(app: &TestApp, minutes: i64) -> DateTime<Utc> {
    app.now() - TimeDelta::minutes(minutes)
}

#[tokio::test]
async fn one_text_however_often_and_in_whatever_order_the_notes_come() {
    // The thermal note, its twin, and repeats of both, in every order, processed together or one by one.
    let orders: &[&[usize]] = &[
        &[0, 1],
        &[1, 0],
        &[0, 0, 1, 1],
        &[1, 1, 0, 0],
        &[0, 1, 0, 1],
        &[1, 0, 1, 0],
    ];
    for (number, order) in orders.iter().enumerate() {
        for at_once in [true, false] {
            let app = TestApp::new().await;
            let hot = thermal("hot", DEVICE, ago(&app, 1), 0.88);
            let notes = [hot.clone(), twin(&hot)];
            for &note in *order {
                app.take(&notes[note]).await;
                if !at_once {
                    app.settle().await;
                }
            }
            app.settle().await;
            assert_eq!(
                app.texts().len(),
                1,
                "order {number}, at once {at_once}: {:?}",
                app.texts()
            );
            assert_eq!(app.count("incidents").await, 1);
            app.finish().await;
        }
    }
}

#[tokio::test]
async fn the_text_says_it_all_in_one_segment() {
    let app = TestApp::new().await;
    let mut hot = thermal("hot", DEVICE, ago(&app, 1), 0.88);
    hot["sn"] = "boiler-room".into();
    app.take(&hot).await;
    app.settle().await;
    let message = &app.twilio.messages()[0];
    assert_eq!(
        message.body,
        "CRITICAL boiler-room: anomaly 0.88 above 0.7, Shorewood Hills WI, 1 Mar 05:59 CST #1"
    );
    assert_eq!(message.validity_seconds, Some(900));
    app.finish().await;
}

#[tokio::test]
async fn a_note_of_last_year_opens_no_alarm() {
    let app = TestApp::new().await;
    app.take(&thermal(
        "old",
        DEVICE,
        app.now() - TimeDelta::days(365),
        0.95,
    ))
    .await;
    app.settle().await;
    assert_eq!((app.texts().len(), app.count("incidents").await), (0, 0));
    assert_eq!(
        app.ubidots.received().len(),
        1,
        "it is forwarded all the same"
    );
    app.finish().await;
}

#[tokio::test]
async fn decided_on_four_places_and_strictly_above() {
    for (value, fires) in [
        (0.7, false),
        (0.699_999_99, false),
        (0.700_04, false),
        (0.7001, true),
        (0.88, true),
        (1.0, true),
    ] {
        let app = TestApp::new().await;
        app.take(&thermal("e", DEVICE, ago(&app, 1), value)).await;
        app.settle().await;
        assert_eq!(app.texts().len(), usize::from(fires), "{value}");
    }
}

#[tokio::test]
async fn a_zero_that_the_notecard_left_out_clears_the_alarm() {
    let app = TestApp::new().await;
    app.take(&thermal("hot", DEVICE, ago(&app, 10), 0.9)).await;
    app.settle().await;
    let mut silent = thermal("empty", DEVICE, ago(&app, 6), 0.0);
    silent["body"] = json!({});
    app.take(&silent).await;
    app.settle().await;
    assert_eq!(
        app.texts().len(),
        1,
        "a note that says nothing clears nothing"
    );
    let mut calm = thermal("calm", DEVICE, ago(&app, 5), 0.0);
    calm["body"] = json!({ "cold": 0.9985, "warm": 0.0015 });
    app.take(&calm).await;
    app.settle().await;
    assert_eq!(app.texts().len(), 2, "{:?}", app.texts());
    assert!(
        app.texts()[1].contains("#1") && app.texts()[1].contains("RESOLVED"),
        "{:?}",
        app.texts()
    );
    let end: (Option<String>, f64) = sqlx::query_as("SELECT resolution, peak_value FROM incidents")
        .fetch_one(&app.pool)
        .await
        .expect("an incident");
    assert_eq!(end, (Some("cleared".into()), 0.9));
    // The tutorial's expression makes points without a value of such notes, and Ubidots refuses them: kept as dead, to be seen.
    assert_eq!(
        app.count("deliveries WHERE route = 'ubidots' AND state = 'dead'")
            .await,
        2
    );
}

#[tokio::test]
async fn reminders_until_somebody_acknowledges() {
    let app = TestApp::new().await;
    app.take(&thermal("hot", DEVICE, ago(&app, 1), 0.9)).await;
    app.settle().await;
    app.pass(TimeDelta::minutes(59)).await;
    assert_eq!(app.texts().len(), 1);
    app.pass(TimeDelta::minutes(62)).await;
    assert_eq!(app.texts().len(), 3, "one an hour: {:?}", app.texts());

    let (status, answer) = app
        .post_as_person("/api/v1/incidents/1/acknowledge", &json!({ "by": "Ada" }))
        .await;
    assert_eq!(
        (status.as_u16(), answer["status"].as_str()),
        (200, Some("acknowledged"))
    );
    app.pass(TimeDelta::hours(5)).await;
    assert_eq!(app.texts().len(), 3, "no reminders once it is taken");
    assert_eq!(
        app.post_as_person("/api/v1/incidents/2/acknowledge", &json!({ "by": "Ada" }))
            .await
            .0
            .as_u16(),
        404
    );
    assert_eq!(
        app.post_as_person("/api/v1/incidents/1/acknowledge", &json!({ "by": " " }))
            .await
            .0
            .as_u16(),
        422
    );

    app.take(&thermal("calm", DEVICE, app.now(), 0.1)).await;
    app.settle().await;
    assert_eq!(app.texts().len(), 4, "the all-clear comes all the same");
    let (_, listed) = app.get("/api/v1/incidents?open=false").await;
    assert_eq!(listed["incidents"][0]["acknowledged_by"], "Ada");
    app.finish().await;
}

#[tokio::test]
async fn flapping_within_the_cooldown_is_one_text_and_a_late_one_if_it_lasts() {
    let app = TestApp::new().await;
    app.take(&thermal("1", DEVICE, ago(&app, 3), 0.9)).await;
    app.settle().await;
    app.take(&thermal("2", DEVICE, ago(&app, 2), 0.1)).await;
    app.settle().await;
    assert_eq!(app.texts().len(), 2);
    // Opened and closed again while the cooldown runs: nobody hears of it.
    app.pass(TimeDelta::minutes(5)).await;
    app.take(&thermal("3", DEVICE, app.now(), 0.9)).await;
    app.settle().await;
    app.pass(TimeDelta::minutes(5)).await;
    app.take(&thermal("4", DEVICE, app.now(), 0.1)).await;
    app.settle().await;
    app.pass(TimeDelta::hours(1)).await;
    assert_eq!(
        (app.texts().len(), app.count("incidents").await),
        (2, 2),
        "{:?}",
        app.texts()
    );
    // A third one, told; a fourth that lasts is told when the cooldown is over.
    app.take(&thermal("5", DEVICE, app.now(), 0.9)).await;
    app.settle().await;
    app.take(&thermal(
        "6",
        DEVICE,
        app.now() + TimeDelta::seconds(1),
        0.1,
    ))
    .await;
    app.settle().await;
    assert_eq!(app.texts().len(), 4);
    app.pass(TimeDelta::minutes(10)).await;
    app.take(&thermal("7", DEVICE, app.now(), 0.9)).await;
    app.settle().await;
    assert_eq!(app.texts().len(), 4);
    app.pass(TimeDelta::minutes(21)).await;
    assert_eq!(app.texts().len(), 5, "{:?}", app.texts());
    assert!(
        app.texts()[4].starts_with("CRITICAL") && app.texts()[4].ends_with("#4"),
        "{:?}",
        app.texts()
    );
}

#[tokio::test]
async fn late_notes_do_not_reopen_a_closed_past() {
    let app = TestApp::new().await;
    app.take(&thermal("now", DEVICE, ago(&app, 1), 0.1)).await;
    app.settle().await;
    // A burst of what the station could not send earlier.
    for minutes in 2..40 {
        app.take(&thermal(
            &format!("late{minutes}"),
            DEVICE,
            ago(&app, minutes),
            0.9,
        ))
        .await;
    }
    app.settle().await;
    assert_eq!((app.texts().len(), app.count("incidents").await), (0, 0));
    assert_eq!(app.count("measurements").await, 39 * 4, "measured they are");
    app.finish().await;
}

#[tokio::test]
async fn a_station_whose_clock_runs_ahead_is_still_watched() {
    let app = TestApp::new().await;
    let mut wild = thermal("wild", DEVICE, ago(&app, 10), 0.1);
    wild["when"] = (app.now() + TimeDelta::days(400)).timestamp().into();
    app.take(&wild).await;
    app.settle().await;
    app.take(&thermal("hot", DEVICE, ago(&app, 1), 0.9)).await;
    app.settle().await;
    assert_eq!(app.texts().len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn an_alarm_that_was_not_sent_yet_is_withdrawn_by_its_all_clear() {
    let app = TestApp::new().await;
    app.twilio.plan(100, Fault::Refuse(Answer::status(503)));
    app.take(&thermal("hot", DEVICE, ago(&app, 3), 0.9)).await;
    app.settle().await;
    app.take(&thermal("calm", DEVICE, ago(&app, 2), 0.1)).await;
    app.settle().await;
    app.twilio.forget_faults();
    app.pass(TimeDelta::minutes(30)).await;
    assert_eq!(app.texts().len(), 1, "{:?}", app.texts());
    assert!(app.texts()[0].contains("RESOLVED"));
    assert_eq!(
        app.count("deliveries WHERE state = 'dead' AND reason LIKE 'withdrawn%'")
            .await,
        1
    );
    // What is over alarms nobody afterwards, whatever else is replayed.
    let window = json!({ "dead": { "destination": null, "from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z" } });
    let (_, answer) = app.post_as_person("/api/v1/replay", &window).await;
    assert_eq!(answer, json!({ "replayed": 0 }));
}

#[tokio::test]
async fn nobody_is_told_an_alarm_half_an_hour_late() {
    let app = TestApp::new().await;
    app.twilio.plan(10_000, Fault::Refuse(Answer::status(429)));
    app.take(&thermal("hot", DEVICE, ago(&app, 1), 0.9)).await;
    app.settle().await;
    app.pass(TimeDelta::minutes(31)).await;
    let dead: (String, i32) =
        sqlx::query_as("SELECT state, attempts FROM deliveries WHERE notice = 'opened'")
            .fetch_one(&app.pool)
            .await
            .expect("a delivery");
    assert_eq!(dead.0, "dead");
    assert!(dead.1 >= 3, "{} attempts", dead.1);
    app.twilio.forget_faults();
    app.pass(TimeDelta::minutes(35)).await;
    assert_eq!(
        app.texts().len(),
        1,
        "the reminder of the hour comes: {:?}",
        app.texts()
    );
}

#[tokio::test]
async fn only_those_who_were_told_hear_the_end() {
    let sms = r#"[[destination]]
        name = "others"
        kind = "twilio"
        base_url = "TWILIO"
        account_sid = "AC00000000000000000000000000000001"
        auth_token = "twilio-secret-token"
        from = "+15005550006"
        to = ["+15005550004", "+15005550011"]
        rate_limit = "none"
        [[rule]]
        name = "anomaly"
        files = ["thermal.qo"]
        value = "body.anomaly"
        fire_above = 0.7
        clear_below = 0.5
        notify = ["others"]"#;
    let mut app = TestApp::new().await;
    let base = app.twilio.url().to_string();
    app.restarted(&sms.replace("TWILIO", &base));
    app.take(&thermal("hot", DEVICE, ago(&app, 3), 0.9)).await;
    app.settle().await;
    app.take(&thermal("calm", DEVICE, ago(&app, 2), 0.1)).await;
    app.settle().await;
    let told: Vec<_> = app
        .twilio
        .messages()
        .into_iter()
        .map(|message| message.to)
        .collect();
    assert_eq!(
        told,
        ["+15005550011", "+15005550011"],
        "the other number has opted out of the first"
    );
    let reason: String = sqlx::query_scalar("SELECT reason FROM deliveries WHERE state = 'dead'")
        .fetch_one(&app.pool)
        .await
        .expect("a dead one");
    assert!(reason.contains("21610"), "{reason}");
}

#[tokio::test]
async fn a_message_of_ones_own_and_what_happens_when_it_fails() {
    let rule = |message: &str| {
        format!(
            r#"[[rule]]
            name = "anomaly"
            files = ["thermal.qo"]
            value = "body.anomaly"
            fire_above = 0.7
            notify = ["sms"]
            message = '''{message}'''"#
        )
    };
    let app = TestApp::with(&rule("\"Look at \" & alert.name & \": \" & alert.value")).await;
    app.take(&thermal("hot", DEVICE, ago(&app, 1), 0.9)).await;
    app.settle().await;
    assert_eq!(app.texts(), ["Look at dev:864475: 0.9 #1"]);
    app.finish().await;

    let app = TestApp::with(&rule("$error(\"no\")")).await;
    app.take(&thermal("hot", DEVICE, ago(&app, 1), 0.9)).await;
    app.settle().await;
    assert!(
        app.texts()[0].starts_with("CRITICAL"),
        "the default text: {:?}",
        app.texts()
    );
    assert_eq!(
        app.count("event_errors WHERE part = 'rule anomaly message'")
            .await,
        1
    );
    app.finish().await;
}

#[tokio::test]
async fn a_rule_that_is_removed_takes_its_incidents_with_it() {
    let mut app = TestApp::new().await;
    app.take(&thermal("hot", DEVICE, ago(&app, 1), 0.9)).await;
    app.settle().await;
    app.restarted(
        "[[rule]]\nname = \"other\"\nvalue = \"body.hot\"\nfire_above = 2\nnotify = [\"sms\"]",
    );
    let plan = app.service.app.processor.plan.clone();
    cloud::process::incident::forget_removed_rules(&app.pool, &plan, app.now())
        .await
        .expect("they are ended");
    let end: Option<String> = sqlx::query_scalar("SELECT resolution FROM incidents")
        .fetch_one(&app.pool)
        .await
        .expect("an incident");
    assert_eq!(end.as_deref(), Some("rule removed"));
    app.pass(TimeDelta::hours(3)).await;
    assert_eq!(app.texts().len(), 1);
}

#[tokio::test]
async fn an_incident_in_the_api_has_its_story() {
    let app = TestApp::new().await;
    app.take(&thermal("hot", DEVICE, ago(&app, 1), 0.9)).await;
    app.settle().await;
    let (_, event) = app.get("/api/v1/events/hot").await;
    assert_eq!(event["incidents"][0]["id"], 1);
    let notice = event["deliveries"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["notice"] == "opened"))
        .expect("a notice");
    assert_eq!(
        (&notice["state"], &notice["tries"][0]["status"]),
        (&Value::from("delivered"), &Value::from(201))
    );
    let (_, devices) = app.get("/api/v1/devices").await;
    assert_eq!(devices["devices"][0]["alerts"]["anomaly"], "firing");
    app.finish().await;
}
