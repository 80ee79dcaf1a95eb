//! How far a text got: reports late, twice, in any order, and of failures.

use axum::http::StatusCode;
use cloud::deliver::text_status::{self, TextStatus};
use cloud::demo::stand_in::{Answer, Fault};
use uuid::Uuid;

use super::*;

async fn statuses(app: &TestApp, incident: i64) -> Vec<TextStatus> {
    let all = text_status::of_incident(&app.pool, incident)
        .await
        .expect("statuses");
    all.into_values().collect()
}

#[tokio::test]
async fn reports_in_any_order_and_twice() {
    let app = app().await;
    // What is counted begins with the first look.
    app.get("/metrics").await;
    hot(&app, DEVICE).await;
    let messages = app.twilio.messages();
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "SELECT id FROM deliveries WHERE incident_id = 1 ORDER BY body ->> 'to'",
    )
    .fetch_all(&app.pool)
    .await
    .expect("ids");
    assert_eq!(
        messages[0].status_callback,
        Some(format!("{PUBLIC}/twilio/status?delivery={}", ids[0]))
    );
    assert_eq!(statuses(&app, 1).await, []);
    let report = async |message, status, error| {
        let webhook = app
            .twilio
            .status(message, status, error)
            .expect("an address");
        let (answer, body) = post(&app, &webhook).await;
        assert_eq!((answer, body.as_str()), (StatusCode::NO_CONTENT, ""));
    };
    for (status, expected) in [
        ("queued", "queued"),
        ("delivered", "delivered"),
        ("sent", "delivered"),
        ("sending", "delivered"),
        ("delivered", "delivered"),
        ("brand_new", "delivered"),
        ("undelivered", "delivered"),
    ] {
        report(&messages[0], status, None).await;
        let now = statuses(&app, 1).await;
        assert_eq!(
            (now.len(), now[0].status.as_str()),
            (1, expected),
            "after {status}"
        );
        assert!(now[0].delivery_id == ids[0] && now[0].message_sid == messages[0].sid);
    }
    assert_eq!(app.count("text_statuses").await, 6);

    report(&messages[1], "undelivered", Some(30005)).await;
    report(&messages[1], "sent", None).await;
    let both = text_status::of_deliveries(&app.pool, &ids)
        .await
        .expect("statuses");
    let failed = &both[&ids[1]];
    assert!(failed.failed() && !failed.arrived() && both[&ids[0]].arrived());
    assert_eq!(
        (failed.error_code, failed.explanation()),
        (
            Some(30005),
            Some("the number is unknown or not in service any more")
        )
    );
    let (_, metrics) = app.get("/metrics").await;
    assert!(
        metrics
            .as_str()
            .is_some_and(|text| text.contains(r#"cloud_texts_undelivered_total{code="30005"}"#)),
        "{metrics}"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_report_may_come_first_and_needs_nothing_but_its_address() {
    let app = app().await;
    let id = Uuid::from_u128(7);
    let fields = [
        ("MessageSid", "SM1"),
        ("AccountSid", ACCOUNT),
        ("MessageStatus", "Delivered"),
    ];
    let url = format!("{PUBLIC}/twilio/status?delivery={id}");
    assert_eq!(
        post(&app, &app.twilio.signed(&url, &fields)).await.0,
        StatusCode::NO_CONTENT
    );
    let known = text_status::of_deliveries(&app.pool, &[id])
        .await
        .expect("statuses");
    assert_eq!(known[&id].status, "delivered");

    // The account's other texts say nothing to us.
    for address in ["", "?delivery=17", "?other=1"] {
        let url = format!("{PUBLIC}/twilio/status{address}");
        assert_eq!(
            post(&app, &app.twilio.signed(&url, &fields)).await.0,
            StatusCode::NO_CONTENT
        );
    }
    for (name, value) in [
        ("MessageStatus", "<script>"),
        ("MessageStatus", &"x".repeat(33)),
        ("Body", "x"),
    ] {
        let fields = [
            ("MessageSid", "SM1"),
            ("AccountSid", ACCOUNT),
            (name, value),
        ];
        assert_eq!(
            post(&app, &app.twilio.signed(&url, &fields)).await.0,
            StatusCode::UNPROCESSABLE_ENTITY
        );
    }
    assert_eq!(app.count("text_statuses").await, 1);
}

#[tokio::test]
async fn a_text_goes_without_reports_where_twilio_does_not_like_their_address() {
    let app = app().await;
    let refusal = Answer::twilio(400, 21609, "Invalid StatusCallback URL");
    app.twilio.plan(2, Fault::Refuse(refusal));
    hot(&app, DEVICE).await;
    assert_eq!(app.texts().len(), 0);
    app.pass(TimeDelta::minutes(1)).await;
    let messages = app.twilio.messages();
    assert_eq!(messages.len(), 2);
    assert!(
        messages
            .iter()
            .all(|message| message.status_callback.is_none())
    );
    app.finish().await;
}

#[tokio::test]
async fn addresses_that_nobody_can_reach_are_not_given_to_twilio() {
    for public in [
        "http://127.0.0.1:8080",
        "http://localhost",
        "https://thermal_watch.example.com",
        "http://192.168.1.7",
    ] {
        let app = app_with(&server(public), "pictures = true").await;
        hot(&app, DEVICE).await;
        let messages = app.twilio.messages();
        assert_eq!(
            (messages.len(), messages[0].status_callback.as_ref()),
            (2, None),
            "{public}"
        );
        app.finish().await;
    }
}
