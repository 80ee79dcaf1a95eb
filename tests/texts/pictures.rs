//! Pictures that follow the text of an incident, by links that are good for one picture and an hour.

use axum::body::to_bytes;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;
use crate::support::event::thermal;

/// The three notes of a picture captured at that moment, in the order given.
async fn picture(app: &TestApp, at: DateTime<Utc>, parts: &[usize]) {
    for &part in parts {
        let mut event = thermal(&format!("p{part}-{at}"), DEVICE, at, 0.0);
        event["file"] = "frame.qo".into();
        event["body"] = json!({
            "v": 1, "t": at.timestamp(), "seq": 7, "boot": at.timestamp(), "part": part, "of": 3, "min": 18.5, "max": 71.25,
        });
        // Noise, which makes the largest file.
        let pixels: Vec<u8> = (0..256_usize)
            .map(|place| (((part * 256 + place) * 2_654_435_761) >> 13) as u8)
            .collect();
        event["payload"] = STANDARD.encode(pixels).into();
        app.take(&event).await;
    }
    app.settle().await;
}

fn with_media(app: &TestApp) -> Vec<(String, String, String)> {
    let messages = app.twilio.messages().into_iter();
    let shown = messages.filter(|message| !message.media.is_empty());
    let mut shown: Vec<_> = shown
        .map(|message| (message.to, message.body, message.media[0].clone()))
        .collect();
    shown.sort();
    shown
}

fn path(link: &str) -> &str {
    link.strip_prefix(PUBLIC).expect("a link to us")
}

#[tokio::test]
async fn the_picture_follows_its_text_once_it_is_complete() {
    let app = app_with(&server(PUBLIC), "pictures = true").await;
    hot(&app, DEVICE).await;
    let at = ago(&app, 1);
    assert_eq!(app.texts().len(), 2, "the text waits for nothing");
    picture(&app, at, &[1, 3]).await;
    app.pass(TimeDelta::minutes(2)).await;
    assert_eq!(with_media(&app), []);
    picture(&app, at, &[2]).await;
    let shown = with_media(&app);
    let texts: Vec<_> = shown
        .iter()
        .map(|(to, text, _)| (to.as_str(), text.as_str()))
        .collect();
    let text = "Picture of #1 dev:864475, 1 Mar 05:59 CST";
    assert_eq!(texts, [(ANN, text), (BEN, text)]);
    assert!(app.twilio.messages()[2].sid.starts_with("MM"));
    let statuses = app.twilio.messages()[2]
        .status_callback
        .clone()
        .expect("an address");
    assert!(statuses.contains("/twilio/status?delivery="));
    // Once, whatever else comes.
    picture(&app, at + TimeDelta::minutes(2), &[1, 2, 3]).await;
    app.pass(TimeDelta::minutes(20)).await;
    calm(&app, DEVICE).await;
    assert_eq!((with_media(&app).len(), app.texts().len()), (2, 6));
    app.finish().await;
}

#[tokio::test]
async fn no_picture_where_none_is_wanted_or_nobody_waits_for_it() {
    // Complete only when the incident is over, or when ten minutes are.
    let app = app_with(&server(PUBLIC), "pictures = true").await;
    hot(&app, DEVICE).await;
    let at = ago(&app, 1);
    calm(&app, DEVICE).await;
    picture(&app, at, &[1, 2, 3]).await;
    app.pass(TimeDelta::minutes(40)).await;
    hot(&app, DEVICE).await;
    app.pass(TimeDelta::minutes(11)).await;
    picture(&app, ago(&app, 11), &[1, 2, 3]).await;
    app.pass(TimeDelta::minutes(2)).await;
    assert_eq!(
        (with_media(&app).len(), app.count("incidents").await),
        (0, 2)
    );
    app.finish().await;

    for (sections, crew) in [
        (server(PUBLIC), "pictures = false"),
        (String::new(), "pictures = true"),
    ] {
        let app = app_with(&sections, crew).await;
        hot(&app, DEVICE).await;
        picture(&app, ago(&app, 1), &[1, 2, 3]).await;
        assert_eq!((with_media(&app).len(), app.texts().len()), (0, 2));
        app.finish().await;
    }
}

#[tokio::test]
async fn a_link_is_good_for_one_picture_and_an_hour() {
    let app = app_with(&server(PUBLIC), "pictures = true").await;
    hot(&app, DEVICE).await;
    let at = ago(&app, 1);
    picture(&app, at, &[1, 2, 3]).await;
    let link = with_media(&app)[0].2.clone();
    let answer = get(&app, path(&link)).await;
    assert_eq!(answer.status(), StatusCode::OK, "{link}");
    assert_eq!(answer.headers()["content-type"], "image/png");
    assert_eq!(answer.headers()["cache-control"], "private, max-age=3600");
    let png = to_bytes(answer.into_body(), usize::MAX)
        .await
        .expect("a body");
    assert!(
        png.starts_with(b"\x89PNG") && png.len() < 600_000,
        "{} bytes",
        png.len()
    );

    let (address, query) = path(&link).split_once('?').expect("a query");
    let (expires, signature) = query.split_once("&signature=").expect("a signature");
    let later: i64 = expires
        .strip_prefix("expires=")
        .expect("an end")
        .parse()
        .expect("a time");
    assert_eq!(later, (app.now() + TimeDelta::hours(1)).timestamp());
    let other_digit = if signature.ends_with('0') { "1" } else { "0" };
    for forged in [
        address.to_owned(),
        format!("{address}?expires={later}"),
        format!("{address}?signature={signature}"),
        format!("{address}?expires={}&signature={signature}", later + 1),
        format!(
            "{address}?expires={later}&signature={}{other_digit}",
            &signature[..signature.len() - 1]
        ),
        format!(
            "{address}?expires={later}&signature={}",
            signature.to_uppercase()
        ),
        format!("{address}x?expires={later}&signature={signature}"),
        format!("/media/dev%3A1/p1?expires={later}&signature={signature}"),
        format!("{address}?expires=x&signature={signature}"),
    ] {
        let status = get(&app, &forged).await.status();
        assert!(
            status == StatusCode::FORBIDDEN || status == StatusCode::BAD_REQUEST,
            "{forged}: {status}"
        );
    }
    // Another token signs other links; the one before stays good while it is named.
    for (token, status) in [
        ("", StatusCode::OK),
        ("the-new-token", StatusCode::FORBIDDEN),
    ] {
        let mut config = config(app.twilio.url().as_str(), &server(PUBLIC), "");
        for destination in &mut config.destinations {
            if let cloud::config::DestinationKind::Twilio(twilio) = &mut destination.kind {
                if token.is_empty() {
                    twilio.previous_auth_token = Some(twilio.auth_token.clone());
                }
                twilio.auth_token = "the-new-token".into();
            }
        }
        let service = Service::new(config, app.pool.clone(), app.clock.clone(), program())
            .expect("the service is made");
        let request = axum::http::Request::get(path(&link))
            .body(Body::empty())
            .expect("a request");
        let answer = web::router(service.app.clone())
            .oneshot(request)
            .await
            .expect("an answer");
        assert_eq!(answer.status(), status);
    }
    app.clock.advance(TimeDelta::minutes(59));
    assert_eq!(get(&app, path(&link)).await.status(), StatusCode::OK);
    app.clock.advance(TimeDelta::minutes(1));
    assert_eq!(get(&app, path(&link)).await.status(), StatusCode::FORBIDDEN);

    // A good link to what retention has taken.
    let gone = cloud::deliver::media::Picture {
        device: DEVICE.to_owned(),
        event: "gone".to_owned(),
    };
    let base = PUBLIC.parse().expect("a URL");
    let link = cloud::deliver::media::link(
        &base,
        &"twilio-secret-token".into(),
        &gone,
        app.now() + TimeDelta::hours(1),
    );
    assert_eq!(get(&app, path(&link)).await.status(), StatusCode::NOT_FOUND);
    app.finish().await;
}
