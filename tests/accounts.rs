//! Signing in: by the people token, by name and password; roles, sessions, forged forms, too many tries.

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use chrono::TimeDelta;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::app::{PEOPLE, TestApp};
use crate::support::event::thermal;
use crate::support::program::Home;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }

    /// The session's cookie as the browser sends it back.
    fn cookie(&self) -> String {
        let set = self.header("set-cookie");
        set.split(';').next().expect("a cookie").to_owned()
    }
}

async fn ask(app: &TestApp, request: Request<Body>) -> Answer {
    let response = app
        .router
        .clone()
        .oneshot(request)
        .await
        .expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    let body = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .expect("a body");
    Answer {
        status,
        headers,
        text: String::from_utf8_lossy(&body).into_owned(),
    }
}

async fn get(app: &TestApp, path: &str, cookie: &str) -> Answer {
    let request = Request::get(path).header("cookie", cookie);
    ask(app, request.body(Body::empty()).expect("a request")).await
}

async fn post(app: &TestApp, path: &str, cookie: &str, form: &str) -> Answer {
    let request = Request::post(path)
        .header("cookie", cookie)
        .header("content-type", "application/x-www-form-urlencoded");
    ask(
        app,
        request.body(form.to_owned().into()).expect("a request"),
    )
    .await
}

/// The token that the forms of a page carry.
fn csrf(page: &Answer) -> String {
    let (_, rest) = page
        .text
        .split_once(r#"<meta name="csrf" content=""#)
        .expect("a page for somebody who is signed in");
    rest.split('"').next().expect("a token").to_owned()
}

pub fn users() -> String {
    // Made here, with a cost that a test can wait for.
    use argon2::password_hash::SaltString;
    use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
    let cheap = Argon2::new(
        Algorithm::Argon2id,
        Version::V0x13,
        Params::new(8, 1, 1, None).expect("parameters"),
    );
    let salt = SaltString::encode_b64(b"some salt of ours").expect("salt");
    let hash = |password: &str| {
        cheap
            .hash_password(password.as_bytes(), &salt)
            .expect("a hash")
            .to_string()
    };
    format!(
        "[[user]]\nname = \"ann\"\nrole = \"operator\"\npassword_hash = \"{}\"\n[[user]]\nname = \"vera\"\npassword_hash = \"{}\"\n",
        hash("correct horse battery"),
        hash("staple of the viewer")
    )
}

#[tokio::test]
async fn the_people_token_opens_a_session_and_strangers_see_nothing() {
    let app = TestApp::new().await;
    let hot = app.now() - TimeDelta::minutes(1);
    let mut event = thermal("hot", "dev:1", hot, 0.9);
    event["sn"] = "<b>boiler</b>".into();
    app.take(&event).await;
    app.settle().await;

    for stranger in [
        "",
        "session=",
        "session=wrong",
        &format!("session={PEOPLE}"),
    ] {
        let page = get(&app, "/?x=1", stranger).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{stranger}");
        assert_eq!(page.header("location"), "/sign-in?next=%2F%3Fx%3D1");
        let api = get(&app, "/api/v1/incidents", stranger).await;
        assert_eq!(api.status, StatusCode::UNAUTHORIZED, "{stranger}");
        assert_eq!(api.header("cache-control"), "no-store");
        assert_eq!(api.header("x-content-type-options"), "nosniff");
        assert_eq!(
            get(&app, "/live", stranger).await.status,
            StatusCode::UNAUTHORIZED
        );
    }
    let form = get(&app, "/sign-in?next=%2F%3Fx%3D1", "").await;
    assert!(form.text.contains("People token") && !form.text.contains("boiler"));
    let wrong = post(&app, "/sign-in", "", "secret=wrong&next=/").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(
        wrong.text.contains("That is not the people token."),
        "{}",
        wrong.text
    );

    let signed = post(
        &app,
        "/sign-in",
        "",
        &format!("secret={PEOPLE}&next=%2F%3Fx%3D1"),
    )
    .await;
    assert_eq!(
        (signed.status, signed.header("location")),
        (StatusCode::SEE_OTHER, "/?x=1")
    );
    let set = signed.header("set-cookie");
    for part in ["HttpOnly", "SameSite=Lax", "Max-Age=2592000"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains(PEOPLE) && !set.contains("Secure"));
    let cookie = format!("a=b; {}", signed.cookie());
    let page = get(&app, "/", &cookie).await;
    assert_eq!(page.status, StatusCode::OK);
    for part in ["firing", "0.9", "&#60;b&#62;boiler"] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    assert!(!page.text.contains(PEOPLE));
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("script-src 'self'") && !policy.contains("unsafe"),
        "{policy}"
    );
    // Scripts of the pages use the API by the cookie.
    assert_eq!(
        get(&app, "/api/v1/incidents", &cookie).await.status,
        StatusCode::OK
    );

    // Only a digest is stored, and signing out ends it.
    let digests: Vec<Vec<u8>> = sqlx::query_scalar("SELECT token_digest FROM sessions")
        .fetch_all(&app.pool)
        .await
        .expect("sessions");
    assert_eq!(digests.iter().map(Vec::len).collect::<Vec<_>>(), [32]);
    let out = post(&app, "/sign-out", &cookie, &format!("csrf={}", csrf(&page))).await;
    assert_eq!(
        (out.status, out.header("location")),
        (StatusCode::SEE_OTHER, "/sign-in")
    );
    assert_eq!(get(&app, "/", &cookie).await.status, StatusCode::SEE_OTHER);
    let deeds: Vec<(String, String, String)> =
        sqlx::query_as("SELECT person, via, action FROM audit ORDER BY id")
            .fetch_all(&app.pool)
            .await
            .expect("the audit trail");
    let deed = |action: &str| ("people".to_owned(), "page".to_owned(), action.to_owned());
    assert_eq!(deeds, [deed("signed in"), deed("signed out")]);
    app.finish().await;
}

#[tokio::test]
async fn names_have_roles_and_forms_are_ours() {
    let app = TestApp::with(&users()).await;
    app.take(&thermal(
        "hot",
        "dev:1",
        app.now() - TimeDelta::minutes(1),
        0.9,
    ))
    .await;
    app.settle().await;
    let sign_in = async |form: &str| post(&app, "/sign-in", "", form).await;
    for wrong in [
        "name=ann&secret=wrong",
        "name=nobody&secret=correct+horse+battery",
        "name=vera&secret=correct+horse+battery",
        &format!("name=ann&secret={PEOPLE}"),
    ] {
        assert_eq!(
            sign_in(wrong).await.status,
            StatusCode::UNAUTHORIZED,
            "{wrong}"
        );
    }
    let ann = sign_in("name=ann&secret=correct+horse+battery")
        .await
        .cookie();
    let vera = sign_in("name=vera&secret=staple+of+the+viewer")
        .await
        .cookie();
    let acknowledge = "/api/v1/incidents/1/acknowledge";
    let posted = async |cookie: &str, token: &str| {
        let request = Request::post(acknowledge)
            .header("cookie", cookie)
            .header("x-csrf-token", token)
            .header("content-type", "application/json");
        ask(
            &app,
            request
                .body("{\"by\":\"somebody else\"}".into())
                .expect("a request"),
        )
        .await
    };
    let (of_ann, of_vera) = (
        csrf(&get(&app, "/", &ann).await),
        csrf(&get(&app, "/", &vera).await),
    );
    // A viewer may look, and not more; a form of another session, or of none, changes nothing.
    assert_eq!(posted(&vera, &of_vera).await.status, StatusCode::FORBIDDEN);
    for foreign in ["", "0", of_vera.as_str()] {
        assert_eq!(
            posted(&ann, foreign).await.status,
            StatusCode::FORBIDDEN,
            "{foreign}"
        );
    }
    assert_eq!(
        post(&app, "/sign-out", &ann, "").await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        post(&app, "/sign-out", &ann, &format!("csrf={of_vera}"))
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        app.count("incidents WHERE acknowledged_by IS NOT NULL")
            .await,
        0
    );
    assert_eq!(posted(&ann, &of_ann).await.status, StatusCode::OK);
    // Whoever has a name of their own signs with it.
    assert_eq!(
        app.count("incidents WHERE acknowledged_by = 'ann'").await,
        1
    );
    assert_eq!(
        app.count("audit WHERE person = 'ann' AND action = 'acknowledged' AND incident_id = 1")
            .await,
        1
    );
    assert_eq!(
        post(&app, "/sign-out", &vera, &format!("csrf={of_vera}"))
            .await
            .status,
        StatusCode::SEE_OTHER
    );
    app.finish().await;
}

#[tokio::test]
async fn a_session_ends_with_its_time_its_user_and_its_password() {
    let mut app = TestApp::with(&users()).await;
    let sign_in = async |app: &TestApp, form: &str| post(app, "/sign-in", "", form).await.cookie();
    let ann = sign_in(&app, "name=ann&secret=correct+horse+battery").await;
    let people = sign_in(&app, &format!("secret={PEOPLE}")).await;
    let works =
        async |app: &TestApp, cookie: &str| get(app, "/", cookie).await.status == StatusCode::OK;
    assert!(works(&app, &ann).await && works(&app, &people).await);
    // As after a restart: sessions are in the database. Ann is no longer configured.
    app.restarted("");
    assert!(!works(&app, &ann).await && works(&app, &people).await);
    // She is again, with another password.
    app.restarted(&users().replace("c29tZSBzYWx0IG9mIG91cnM", "c29tZSBzYWx0IG9mIG91cnT"));
    assert!(!works(&app, &ann).await);
    app.restarted(&users());
    assert!(works(&app, &ann).await);
    app.clock
        .advance(TimeDelta::days(30) - TimeDelta::seconds(1));
    assert!(works(&app, &ann).await);
    app.clock.advance(TimeDelta::seconds(1));
    assert!(!works(&app, &ann).await && !works(&app, &people).await);
    app.finish().await;
}

#[tokio::test]
async fn other_sites_sign_nobody_in_and_lead_nowhere() {
    let app = TestApp::new().await;
    // Another site's form signs nobody in, and a mean address to go on to opens no session that ends in an error.
    let foreign = Request::post("/sign-in")
        .header("sec-fetch-site", "cross-site")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("secret={PEOPLE}").into());
    let foreign = ask(&app, foreign.expect("a request")).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    assert_eq!(foreign.header("set-cookie"), "");
    for next in ["/%00", "/%7f", "/%C2%85"] {
        let signed = post(
            &app,
            "/sign-in",
            "",
            &format!("secret={PEOPLE}&next={next}"),
        )
        .await;
        assert_eq!(signed.status, StatusCode::SEE_OTHER, "{next}");
        assert_eq!(signed.header("location"), "/", "{next}");
    }
    app.finish().await;
}

#[tokio::test]
async fn guessing_is_slowed_down_for_whoever_guesses() {
    let app = TestApp::new().await;
    let from = async |peer: &str, forwarded: &str, secret: &str| {
        let peer: std::net::SocketAddr = peer.parse().expect("an address");
        let request = Request::post("/sign-in")
            .header("x-forwarded-for", forwarded)
            .header("content-type", "application/x-www-form-urlencoded")
            .extension(axum::extract::ConnectInfo(peer));
        ask(
            &app,
            request
                .body(format!("secret={secret}").into())
                .expect("a request"),
        )
        .await
    };
    // Behind our proxy each client counts for itself, whatever it claims about who sent it.
    for guess in 0..10 {
        let claimed = format!("10.9.9.{guess}, 203.0.113.7");
        assert_eq!(
            from("127.0.0.1:1", &claimed, "guess").await.status,
            StatusCode::UNAUTHORIZED
        );
    }
    let refused = from("127.0.0.1:1", "203.0.113.7", PEOPLE).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=31).contains(&seconds), "{seconds}");
    assert!(refused.text.contains("Too many tries"));
    assert_eq!(
        from("127.0.0.1:1", "203.0.113.8", PEOPLE).await.status,
        StatusCode::SEE_OTHER
    );
    // A stranger's own header is not believed, and a network of version 6 is one place.
    for guess in 0..10 {
        let (peer, claimed) = (
            format!("[2001:db8::{guess}]:1"),
            format!("198.51.100.{guess}"),
        );
        assert_eq!(
            from(&peer, &claimed, "guess").await.status,
            StatusCode::UNAUTHORIZED
        );
    }
    assert_eq!(
        from("[2001:db8::ff]:1", "198.51.100.99", PEOPLE)
            .await
            .status,
        StatusCode::TOO_MANY_REQUESTS
    );
    app.finish().await;
}

#[tokio::test]
async fn a_password_is_hashed_by_the_program() {
    let home = Home::new("");
    let run = async |password: &str| {
        let mut command = home.command(&["hash-password"]);
        command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut input = child.stdin.take().expect("its input");
        tokio::io::AsyncWriteExt::write_all(&mut input, password.as_bytes())
            .await
            .expect("the password is written");
        drop(input);
        child.wait_with_output().await.expect("the program runs")
    };
    let short = run("too short\n").await;
    assert!(!short.status.success());
    assert!(String::from_utf8_lossy(&short.stderr).contains("12 to 1000 characters"));
    let output = run("correct horse battery\n").await;
    assert!(output.status.success());
    let hash = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let config = format!("[[user]]\nname = \"ann\"\npassword_hash = '{hash}'");
    std::fs::write(home.path().join("cloud.toml"), config).expect("the configuration is written");
    let checked = home.run(&["check-config"]).await;
    let told = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        checked.status.success() && told.contains("ann is viewer"),
        "{told}"
    );
    assert!(!told.contains("argon2"));
    let bad = home
        .command(&["check-config"])
        .env("CLOUD_CONFIG", "bad.toml")
        .output();
    std::fs::write(
        home.path().join("bad.toml"),
        "[[user]]\nname = \"people\"\npassword_hash = \"hunter2\"",
    )
    .expect("written");
    let bad = bad.await.expect("the program runs");
    let told = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert!(
        !bad.status.success() && told.contains("hash-password") && !told.contains("hunter2"),
        "{told}"
    );
}

#[tokio::test]
async fn a_replay_says_who_asked_for_it() {
    let app = TestApp::new().await;
    app.take(&thermal("one", "dev:1", app.now(), 0.1)).await;
    app.settle().await;
    let (status, _) = app
        .post_as_person("/api/v1/replay", &json!({ "event": "one" }))
        .await;
    assert_eq!(status, StatusCode::OK);
    app.settle().await;
    let deed: (String, String, String, Value) =
        sqlx::query_as("SELECT person, via, subject, detail FROM audit WHERE action = 'replayed'")
            .fetch_one(&app.pool)
            .await
            .expect("the deed");
    assert_eq!(
        deed,
        ("people".into(), "api".into(), "event one".into(), json!({}))
    );
    app.finish().await;
}
