//! What a text does, for whom, and how often.

use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;

use super::*;
use crate::support::chaos::Chaos;

#[tokio::test]
async fn an_alarm_is_taken_by_text() {
    let app = app().await;
    hot(&app, DEVICE).await;
    assert_eq!(app.texts().len(), 2);
    let first = &app.twilio.messages()[0];
    assert_eq!(
        (first.to.as_str(), first.body.as_str()),
        (
            ANN,
            "CRITICAL dev:864475: anomaly 0.88 above 0.7, Shorewood Hills WI, 1 Mar 05:59 CST #1 https://thermal.example.com/i/1"
        )
    );
    assert_eq!(
        text(&app, ANN, "Ack 1 checking the pump").await.as_deref(),
        Some("#1 dev:864475 anomaly: it is yours now, reminders stop. Your note is kept.")
    );
    assert_eq!(
        text(&app, BEN, "“ack #1.”").await.as_deref(),
        Some(
            "#1 dev:864475 anomaly: Ann has had it since 1 Mar 06:00 CST; that you have it too is noted."
        )
    );
    assert_eq!(
        text(&app, ANN, "ack 1").await.as_deref(),
        Some("#1 dev:864475 anomaly: it is yours already.")
    );
    assert_eq!(
        audit(&app).await,
        [
            entry("Ann", "noted", 1),
            entry("Ann", "acknowledged", 1),
            entry(BEN, "acknowledged", 1),
            entry("Ann", "acknowledged", 1)
        ]
    );
    let by: Option<String> = sqlx::query_scalar("SELECT acknowledged_by FROM incidents")
        .fetch_one(&app.pool)
        .await
        .expect("an incident");
    assert_eq!(by.as_deref(), Some("Ann"));
    app.pass(TimeDelta::hours(3)).await;
    assert_eq!(app.texts().len(), 2, "no reminders once it is taken");
    calm(&app, DEVICE).await;
    let said = text(&app, BEN, "ACK 1 it was the dryer")
        .await
        .expect("an answer");
    assert!(
        said.starts_with("#1 dev:864475 anomaly: over since 1 Mar 09:00 CST, there is nothing"),
        "{said}"
    );
    assert_eq!(audit(&app).await.last(), Some(&entry(BEN, "noted", 1)));
    app.finish().await;
}

#[tokio::test]
async fn without_a_number_it_is_the_only_one_that_waits() {
    let app = app().await;
    let nothing = "Nothing waits for an acknowledgement. STATUS tells what is open.";
    assert_eq!(text(&app, ANN, "ACK").await.as_deref(), Some(nothing));
    hot(&app, "dev:1").await;
    hot(&app, "dev:2").await;
    assert_eq!(
        text(&app, ANN, "Ack").await.as_deref(),
        Some("Which one? #2 dev:2 anomaly, #1 dev:1 anomaly. Reply ACK 2")
    );
    assert_eq!(audit(&app).await, []);
    text(&app, ANN, "Ack 2").await;
    // One is left, and what follows the word is a remark.
    assert_eq!(
        text(&app, BEN, "ack. On my way").await.as_deref(),
        Some("#1 dev:1 anomaly: it is yours now, reminders stop. Your note is kept.")
    );
    assert_eq!(text(&app, ANN, "ACK!").await.as_deref(), Some(nothing));
    assert_eq!(
        audit(&app).await,
        [
            entry("Ann", "acknowledged", 2),
            entry(BEN, "noted", 1),
            entry(BEN, "acknowledged", 1)
        ]
    );
    app.finish().await;
}

#[tokio::test]
async fn status_of_all_and_of_one() {
    let app = app().await;
    assert_eq!(
        text(&app, ANN, "status").await.as_deref(),
        Some("Nothing is open. No station was heard of yet.")
    );
    hot(&app, "dev:1").await;
    assert_eq!(
        text(&app, BEN, "Status?").await.as_deref(),
        Some("1 open: #1 dev:1 anomaly. The one station reports.")
    );
    assert_eq!(
        text(&app, BEN, "status 1").await.as_deref(),
        Some(
            "#1 dev:1 anomaly (critical): 0.88 now, peak 0.88, since 1 Mar 05:59 CST, nobody has it: ACK 1 https://thermal.example.com/i/1"
        )
    );
    app.pass(TimeDelta::hours(2)).await;
    calm(&app, "dev:2").await;
    text(&app, ANN, "ack").await;
    assert_eq!(
        text(&app, BEN, "STATUS").await.as_deref(),
        Some("1 open: #1 dev:1 anomaly (Ann has it). 1 of 2 stations silent: dev:1")
    );
    // Who is told of other rules is not told of this one.
    assert_eq!(
        text(&app, EVE, "STATUS").await.as_deref(),
        Some("Nothing is open. 1 of 2 stations silent: dev:1")
    );
}

#[tokio::test]
async fn a_silence_by_text() {
    let app = app().await;
    hot(&app, DEVICE).await;
    let texts = [
        (
            "SILENCE 1 2h painting the wall",
            "silent until 1 Mar 08:00 CST",
        ),
        ("silence 1", "silent until 1 Mar 07:00 CST"),
        ("Mute for 30 min", "silent until 1 Mar 06:30 CST"),
        ("silence 1 400d", "silent until 31 Mar 07:00 CDT"),
        (
            "silence 1 1h30m",
            "For how long? Reply SILENCE 1 2h, or 30m, or 1d.",
        ),
        (
            "silence 7 2h",
            "No incident #7 for this number. Open: #1 dev:864475 anomaly",
        ),
    ];
    for (order, expected) in texts {
        let said = text(&app, BEN, order).await.expect("an answer");
        assert!(said.contains(expected), "{order}: {said}");
    }
    let silences: Vec<(String, String, DateTime<Utc>, String, String)> =
        sqlx::query_as("SELECT device, rule, ends_at, author, reason FROM silences ORDER BY id")
            .fetch_all(&app.pool)
            .await
            .expect("rows");
    let silence = |minutes, reason: &str| {
        (
            DEVICE.to_owned(),
            "anomaly".to_owned(),
            app.now() + TimeDelta::minutes(minutes),
            BEN.to_owned(),
            reason.to_owned(),
        )
    };
    assert_eq!(
        silences,
        [
            silence(120, "painting the wall"),
            silence(60, "by text"),
            silence(30, "by text"),
            silence(30 * 24 * 60, "by text")
        ]
    );
    assert_eq!(audit(&app).await, vec![entry(BEN, "silenced", 1); 4]);
}

#[tokio::test]
async fn help_for_what_is_not_understood_but_not_for_ever() {
    let app = app().await;
    hot(&app, DEVICE).await;
    let help = "ACK 1 takes an alarm, SILENCE 1 2h mutes it, STATUS tells what is open, STATUS 1 more of one. STOP ends all texts.";
    assert_eq!(text(&app, ANN, "Help").await.as_deref(), Some(help));
    let sorry = format!("Sorry? {help}");
    let automatic = "I'm driving. I'll answer when I am there.";
    assert_eq!(
        text(&app, ANN, automatic).await.as_deref(),
        Some(sorry.as_str())
    );
    // A machine that answers the answer gets none.
    assert_eq!(text(&app, ANN, automatic).await, None);
    assert_eq!(text(&app, ANN, "👍").await, None);
    assert_eq!(text(&app, BEN, "").await.as_deref(), Some(sorry.as_str()));
    app.clock.advance(TimeDelta::minutes(11));
    assert_eq!(
        text(&app, ANN, automatic).await.as_deref(),
        Some(sorry.as_str())
    );
    assert_eq!(audit(&app).await, []);
    app.finish().await;
}

#[tokio::test]
async fn carrier_words_are_never_answered() {
    let app = app().await;
    hot(&app, DEVICE).await;
    for word in [
        "STOP",
        "stop",
        "Stop.",
        "STOPALL",
        "UNSUBSCRIBE",
        "CANCEL",
        "END",
        "QUIT",
        "START",
        "yes",
        "UNSTOP",
    ] {
        assert_eq!(text(&app, ANN, word).await, None, "{word}");
    }
    // The account's owner may have chosen words of his own, and Twilio says that it answered.
    let fields = [
        ("MessageSid", "SM77"),
        ("AccountSid", ACCOUNT),
        ("From", ANN),
        ("Body", "ACK 1"),
        ("OptOutType", "HELP"),
    ];
    let (status, twiml) = post(&app, &app.twilio.signed(INBOUND, &fields)).await;
    assert_eq!((status, twiml.as_str()), (StatusCode::OK, EMPTY));
    assert_eq!(audit(&app).await, []);
    assert_eq!(
        app.count("inbound_texts WHERE command = 'carrier'").await,
        12
    );
    app.finish().await;
}

#[tokio::test]
async fn strangers_get_no_answer_and_others_no_such_incident() {
    let app = app().await;
    hot(&app, DEVICE).await;
    for order in ["ACK 1", "STATUS", "HELP", "SILENCE 1 2h", "what is this?"] {
        assert_eq!(text(&app, STRANGER, order).await, None);
        // Of the other account: not one of this one's numbers.
        assert_eq!(text(&app, KIM, order).await, None);
        assert_eq!(text(&app, "whatsapp:+14155550101", order).await, None);
    }
    assert_eq!(app.count("inbound_texts").await, 0);
    for order in ["ACK 1", "SILENCE 1 2h", "STATUS 1"] {
        assert_eq!(
            text(&app, EVE, order).await.as_deref(),
            Some("No incident #1 for this number. Nothing is open.")
        );
    }
    assert_eq!(
        text(&app, ANN, "ack 99999999999999999999").await.as_deref(),
        Some("No incident #9223372036854775807 for this number. Open: #1 dev:864475 anomaly")
    );
    assert_eq!(
        (audit(&app).await, app.count("silences").await),
        (vec![], 0)
    );
    let open = app.count("incidents WHERE acknowledged_at IS NULL").await;
    assert_eq!(open, 1);
    app.finish().await;
}

#[tokio::test]
async fn who_brings_a_text_again_gets_the_same_answer_and_nothing_else() {
    let app = app().await;
    hot(&app, DEVICE).await;
    let ack = app
        .twilio
        .inbound_as(INBOUND, "SM1", ANN, "ACK 1 on my way");
    let first = post(&app, &ack).await;
    assert_eq!(first.0, StatusCode::OK);
    for _ in 0..3 {
        app.clock.advance(TimeDelta::hours(1));
        assert_eq!(post(&app, &ack).await, first);
    }
    // Under the same id it is the same text, whatever it says now.
    let other = app.twilio.inbound_as(INBOUND, "SM1", BEN, "SILENCE 1 2h");
    assert_eq!(post(&app, &other).await, first);
    assert_eq!(
        audit(&app).await,
        [entry("Ann", "noted", 1), entry("Ann", "acknowledged", 1)]
    );
    assert_eq!(app.count("silences").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn a_text_that_comes_many_times_at_once_is_done_once() {
    let app = app().await;
    hot(&app, DEVICE).await;
    let silence = app.twilio.inbound(INBOUND, BEN, "SILENCE 1 2h");
    let ack = app.twilio.inbound(INBOUND, ANN, "ACK 1");
    let posts = (0..20).map(|number| post(&app, if number % 2 == 0 { &silence } else { &ack }));
    let answers = join_all(posts).await;
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer, &answers[number % 2]);
        assert_eq!(answer.0, StatusCode::OK, "{}", answer.1);
    }
    assert!(answers[0].1.contains("silent until") && answers[1].1.contains("yours"));
    assert_eq!(
        (app.count("silences").await, app.count("audit").await),
        (1, 2)
    );
    app.finish().await;
}

#[tokio::test]
async fn while_the_database_is_away_nothing_is_done_and_afterwards_once() {
    let mut database = database().await;
    let chaos = Chaos::before(&database.options).await;
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(4)
        .acquire_timeout(std::time::Duration::from_secs(60));
    database.pool = pool.connect_lazy(&chaos.url()).expect("a URL");
    let limit = format!("{}\nrequest_timeout = \"300ms\"", server(PUBLIC));
    let app = app_on(database, &limit, "").await;
    hot(&app, DEVICE).await;
    let ack = app.twilio.inbound(INBOUND, ANN, "ACK 1");
    let message = app.twilio.messages().remove(0);
    let delivered = app
        .twilio
        .status(&message, "delivered", None)
        .expect("an address");
    chaos.stall();
    assert_eq!(post(&app, &ack).await.0, StatusCode::SERVICE_UNAVAILABLE);
    chaos.cut();
    for webhook in [&ack, &delivered, &ack] {
        assert_eq!(post(&app, webhook).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
    chaos.restore();
    let mut answers = Vec::new();
    while answers.len() < 2 {
        let (status, answer) = post(&app, &ack).await;
        match status {
            StatusCode::OK => answers.push(answer),
            _ => assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE),
        }
    }
    assert!(
        answers[0] == answers[1] && answers[0].contains("yours"),
        "{answers:?}"
    );
    assert_eq!(audit(&app).await, [entry("Ann", "acknowledged", 1)]);
    app.finish().await;
}
