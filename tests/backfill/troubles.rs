//! What can go wrong with a request, and that it harms nothing: the position stays, the pauses are kept, secrets are not told.

use chrono::{DateTime, TimeDelta, Utc};
use cloud::receive::backfill::{Did, Problem};
use serde_json::{Value, json};

use super::{backfill_of, bench, history, pass, turn, uids, uids_of, wait};
use crate::support::app::{TestApp, start};
use crate::support::event::thermal;
use crate::support::notehub_api::{API_TOKEN, NotehubApi, Planned};
use crate::support::receiver::{Answer, Receiver};

/// The next request, which fails: what is told, and when the next may be.
async fn fails(app: &TestApp) -> (Problem, TimeDelta) {
    for _ in 0..50 {
        let turn = turn(app, backfill_of(app)).await;
        if let Did::Failed(problem) = turn.did {
            assert!(!problem.text.contains(API_TOKEN), "{problem:?}");
            let pause = turn.next - app.now();
            return (problem, pause);
        }
        assert!(!matches!(turn.did, Did::Ended(_)), "{turn:?}");
        wait(app, turn.next);
    }
    panic!("nothing failed");
}

async fn problem(app: &TestApp) -> Value {
    let (_, answer) = app.get("/api/v1/backfill").await;
    answer["backfill"]["problem"].clone()
}

#[tokio::test]
async fn too_many_requests_are_not_repeated_before_notehub_says() {
    let (app, api) = bench("").await;
    api.holds(history(&app, "dev:1", 10, TimeDelta::minutes(5)));
    let date = (start() + TimeDelta::minutes(20)).to_rfc2822();
    for (retry_after, seconds) in [
        ("120", 120),
        (date.as_str(), 20 * 60 - 120),
        // Nobody waits for ever, nor not at all, whatever is asked for.
        ("99999999999999999999", 3_600),
        ("0", 9),
        ("-5", 60),
        ("soon", 60),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 9),
    ] {
        api.then(Planned::error(429, "Too many").with("retry-after", retry_after));
        let (problem, pause) = fails(&app).await;
        assert!(
            problem.text.contains("429") && !problem.needs_somebody,
            "{problem:?}"
        );
        let allowed = seconds..=seconds + 1;
        assert!(
            allowed.contains(&pause.num_seconds()),
            "{retry_after}: {pause}"
        );
        // Also a service that has just been started keeps to it.
        let early = turn(&app, backfill_of(&app)).await;
        assert_eq!(early.did, Did::Waited("as Notehub allows"));
        app.clock.advance(pause);
    }
    assert_eq!(pass(&app).await.tally.new, 10);
    assert_eq!(problem(&app).await, Value::Null);
    assert_eq!(api.complaints(), Vec::<String>::new());
    app.settle().await;
    app.finish().await;
}

#[tokio::test]
async fn what_takes_notehub_too_long_is_asked_for_in_pieces() {
    let (app, api) = bench("").await;
    let all = history(&app, "dev:1", 2_000, TimeDelta::minutes(5));
    api.holds(all.clone());
    api.is_slow_above(6 * 3600, 5_000);
    let summary = pass(&app).await;
    assert_eq!(uids(&app).await, uids_of(&all));
    assert!(summary.requests < 60, "{summary:?}");
    // Too much even for a moment, but for small pages.
    api.is_slow_above(i64::MAX, 200);
    app.clock.advance(TimeDelta::minutes(5));
    pass(&app).await;
    // At last not at all: it says so and comes again, ever later.
    api.is_slow_above(0, 0);
    app.clock.advance(TimeDelta::minutes(5));
    let (problem, pause) = fails(&app).await;
    assert!(problem.text.contains("Took too long"), "{problem:?}");
    assert_eq!(pause, TimeDelta::seconds(30));
    api.is_slow_above(i64::MAX, usize::MAX);
    app.clock.advance(pause);
    pass(&app).await;
    assert_eq!(api.complaints(), Vec::<String>::new());
    app.process().await;
}

#[tokio::test]
async fn what_somebody_has_to_mend_is_told_and_asked_rarely() {
    for (planned, says) in [
        (Planned::error(403, "forbidden"), "does not let us read"),
        (
            Planned::error(401, &format!("bad token {API_TOKEN}")),
            "check notehub.token",
        ),
        (Planned::error(404, "project not found"), "notehub.project"),
        (
            Planned::error(400, "bad date"),
            "status 400): {\"err\":\"bad date\"",
        ),
        (
            Planned::body(302, "").with("location", "https://example.com/"),
            "notehub.api_url",
        ),
    ] {
        let (app, api) = bench("").await;
        api.then(planned);
        let (told, pause) = fails(&app).await;
        assert!(told.needs_somebody && told.text.contains(says), "{told:?}");
        assert_eq!(pause, TimeDelta::minutes(15));
        assert_eq!(problem(&app).await, told.text);
        assert_eq!(api.asked().len(), 1);
        let position = position(&app).await;
        // Mended, and started anew: it is asked at once.
        let mut app = app;
        app.restarted(&api.section());
        app.clock.advance(TimeDelta::seconds(10));
        pass(&app).await;
        assert!(self::position(&app).await > position);
        assert_eq!(problem(&app).await, Value::Null);
    }
}

async fn position(app: &TestApp) -> DateTime<Utc> {
    sqlx::query_scalar("SELECT complete_until FROM backfill_progress")
        .fetch_one(&app.pool)
        .await
        .expect("a position")
}

#[tokio::test]
async fn what_may_pass_is_tried_again_ever_later_and_loses_nothing() {
    let receiver = Receiver::start(Answer::json(
        200,
        &json!({ "events": [], "has_more": false }),
    ))
    .await;
    let clock = cloud::clock::Clock::manual(start());
    let config = format!(
        "[notehub]\napi_url = \"{}\"\nproject = \"app:1\"\ntoken = \"{API_TOKEN}\"\ntimeout = \"300ms\"\n",
        receiver.url("/behind/a/proxy/")
    );
    let app = TestApp::on(crate::support::database::database().await, &config, clock).await;
    let huge = vec![b' '; 1024 * 1024];
    let mut pauses = Vec::new();
    for (answer, says) in [
        (Answer::status(500), "status 500"),
        (
            Answer::text(200, "<html><title>Sign in</title></html>"),
            "not a list of events",
        ),
        (
            Answer::text(200, "{\"events\":[{\"event\":"),
            "not a list of events",
        ),
        (Answer::Vanish, "connection broke"),
        (
            Answer::Cut {
                status: 200,
                body: b"{".to_vec(),
            },
            "broke off",
        ),
        (
            Answer::text(
                200,
                format!("{{\"err\":\"no\",\"code\":500,\"x\":\"{API_TOKEN}\"}}"),
            ),
            "***",
        ),
        (
            Answer::status(503).with("retry-after", "1800"),
            "status 503",
        ),
    ] {
        receiver.then(answer);
        let (problem, pause) = fails(&app).await;
        assert!(
            problem.text.contains(says) && !problem.needs_somebody,
            "{says}: {problem:?}"
        );
        pauses.push(pause.num_seconds());
        app.clock.advance(pause);
    }
    assert_eq!(pauses, [30, 60, 120, 240, 480, 900, 1_800]);
    // Slow in one way or another: a smaller piece is asked for.
    let before = receiver.seen().len();
    receiver.then(Answer::Hang);
    receiver.then(Answer::Drip { status: 200 });
    receiver.then(Answer::Endless {
        status: 200,
        chunk: huge,
    });
    receiver.then(Answer::status(504));
    let summary = pass(&app).await;
    let width = |target: &str| {
        let query = target.split('?').nth(1).expect("a query");
        let number = |key: &str| -> i64 {
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(key));
            pair.expect("a parameter").parse().expect("a number")
        };
        number("endDate=") - number("startDate=")
    };
    let seen = receiver.seen();
    let widths: Vec<_> = seen[before..]
        .iter()
        .take(5)
        .map(|one| width(&one.target))
        .collect();
    assert_eq!(widths, [86_400, 43_200, 21_600, 10_800, 5_400]);
    assert!(
        seen[0]
            .target
            .starts_with("/behind/a/proxy/v1/projects/app:1/events?"),
        "{}",
        seen[0].target
    );
    assert!(
        seen.iter()
            .all(|one| one.header("authorization") == Some(&format!("Bearer {API_TOKEN}")))
    );
    assert_eq!(summary.tally.new, 0);
}

#[tokio::test]
async fn single_events_that_cannot_be_read_are_kept_once_and_hold_up_nothing() {
    let (app, api) = bench("[server]\nbody_limit = \"4KiB\"\n").await;
    let at = app.now() - TimeDelta::minutes(5);
    let good = thermal("good", "dev:1", at, 0.1);
    let mut nul = thermal("nul", "dev:1", at, 0.1);
    nul["body"]["text"] = "a\0b".into();
    let mut large = thermal("large", "dev:1", at, 0.1);
    large["body"]["text"] = "x".repeat(5_000).into();
    let mut session = thermal("session", "dev:1", at, 0.1);
    session["file"] = "_session.qo".into();
    let mut deviceless = thermal("deviceless", "dev:1", at, 0.1);
    deviceless["device"] = Value::Null;
    api.holds(vec![
        json!(17),
        json!("text"),
        json!([]),
        deviceless,
        good,
        nul,
        large,
        session,
    ]);
    let first = pass(&app).await.tally;
    assert_eq!(
        (first.new, first.rejected, first.skipped),
        (2, 5, 1),
        "{first}"
    );
    for _ in 0..3 {
        app.clock.advance(TimeDelta::minutes(5));
        let again = pass(&app).await.tally;
        assert_eq!((again.new, again.rejected), (0, 0), "{again}");
    }
    assert_eq!(app.count("rejected").await, 5);
    assert_eq!(
        app.count("rejected WHERE reason LIKE 'fetched from Notehub: %'")
            .await,
        5
    );
    assert_eq!(uids(&app).await, ["good", "nul"].map(str::to_owned).into());
    // Whoever wants Notehub's own events says so.
    let mut app = app;
    app.restarted(&format!("{}system_files = true\n", api.section()));
    app.clock.advance(TimeDelta::minutes(1));
    backfill_of(&app)
        .go_back_to(at - TimeDelta::minutes(1))
        .await;
    pass(&app).await;
    assert!(uids(&app).await.contains("session"));
    app.settle().await;
    app.finish().await;
}

#[tokio::test]
async fn while_the_database_is_away_the_position_stays() {
    let database = crate::support::database::database().await;
    let chaos = crate::support::chaos::Chaos::before(&database.options).await;
    let clock = cloud::clock::Clock::manual(start());
    let api = NotehubApi::start(&clock).await;
    let app = TestApp::on(database, &api.section(), clock).await;
    let all = history(&app, "dev:1", 50, TimeDelta::minutes(5));
    api.holds(all.clone());
    let behind = sqlx::postgres::PgPoolOptions::new()
        .acquire_timeout(std::time::Duration::from_millis(500))
        .test_before_acquire(false)
        .connect(&chaos.url())
        .await
        .expect("it connects");
    let service = cloud::Service::new(
        app.service.app.config.clone(),
        behind,
        app.clock.clone(),
        crate::support::app::program(),
    )
    .expect("a service");
    let backfill = service.backfill.as_ref().expect("a project");
    chaos.cut();
    for _ in 0..3 {
        assert!(backfill.turn(app.now()).await.is_err());
        app.clock.advance(TimeDelta::seconds(10));
    }
    assert_eq!(
        api.asked().len(),
        0,
        "nobody asks for what cannot be stored"
    );
    chaos.restore();
    // Connections that were cut are found out one by one.
    let mut ended = false;
    for _ in 0..100 {
        match backfill.turn(app.now()).await {
            Ok(turn) if matches!(turn.did, Did::Ended(_)) => {
                ended = true;
                break;
            }
            Ok(turn) => wait(&app, turn.next),
            Err(_) => {
                app.clock.advance(TimeDelta::seconds(10));
            }
        }
    }
    assert!(ended);
    assert_eq!(uids(&app).await, uids_of(&all));
    app.settle().await;
    app.finish().await;
}
