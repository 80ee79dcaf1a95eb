//! What people do on the pages of incidents and deliveries, by a browser's cookie and forms, and by the API.

mod api;
mod deliveries;
mod incidents;
mod silences;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use cloud::audit::{Actor, Via};
use cloud::web::account;
use tower::ServiceExt as _;

use crate::support::app::{PEOPLE, TestApp};

/// What came back to a request.
struct Page {
    status: StatusCode,
    /// Where a form leads to.
    location: String,
    text: String,
}

impl Page {
    fn has(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.text.contains(part), "no {part} in:\n{}", self.text);
        }
    }

    fn lacks(&self, parts: &[&str]) {
        for part in parts {
            assert!(!self.text.contains(part), "{part} in:\n{}", self.text);
        }
    }
}

/// Somebody with a browser.
struct Visitor<'a> {
    app: &'a TestApp,
    cookie: String,
    csrf: String,
}

impl<'a> Visitor<'a> {
    /// Whoever holds the people token.
    async fn people(app: &'a TestApp) -> Self {
        Self::signed_in(app, &[("secret", PEOPLE)]).await
    }

    /// A user of `users`.
    async fn named(app: &'a TestApp, name: &str) -> Self {
        Self::signed_in(app, &[("name", name), ("secret", PASSWORD)]).await
    }

    async fn signed_in(app: &'a TestApp, credentials: &[(&str, &str)]) -> Self {
        let request = Request::post("/sign-in")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form(credentials)))
            .expect("a request");
        let response = app
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("an answer");
        let set = response.headers()["set-cookie"].to_str().expect("text");
        let cookie = set.split(';').next().expect("a cookie").to_owned();
        let mut visitor = Self {
            app,
            cookie,
            csrf: String::new(),
        };
        let page = visitor.get("/incidents").await;
        let (_, rest) = page
            .text
            .split_once(r#"<meta name="csrf" content=""#)
            .expect("a page for somebody who is signed in");
        visitor.csrf = rest.split('"').next().expect("a token").to_owned();
        visitor
    }

    async fn ask(&self, request: Request<Body>) -> Page {
        let answer = self.app.router.clone().oneshot(request).await;
        let response = answer.expect("an answer");
        let status = response.status();
        let location = response.headers().get("location");
        let location = location
            .map_or("", |it| it.to_str().expect("text"))
            .to_owned();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
        let text = String::from_utf8(body.expect("a body").to_vec()).expect("UTF-8");
        Page {
            status,
            location,
            text,
        }
    }

    async fn get(&self, path: &str) -> Page {
        let request = Request::get(path).header("cookie", &self.cookie);
        self.ask(request.body(Body::empty()).expect("a request"))
            .await
    }

    /// A page that is there.
    async fn see(&self, path: &str) -> Page {
        let page = self.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        page
    }

    /// Sends a form as one of our pages does.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let fields = [fields, &[("csrf", self.csrf.as_str())]].concat();
        let request = Request::post(path)
            .header("cookie", &self.cookie)
            .header("content-type", "application/x-www-form-urlencoded");
        self.ask(request.body(Body::from(form(&fields))).expect("a request"))
            .await
    }

    /// Sends a form that is accepted, and follows to where it leads.
    async fn does(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let answer = self.post(path, fields).await;
        assert_eq!(
            answer.status,
            StatusCode::SEE_OTHER,
            "{path}: {}",
            answer.text
        );
        self.see(&answer.location).await
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    let encoded = |text: &str| -> String {
        let bytes = text.bytes();
        bytes.map(|byte| format!("%{byte:02x}")).collect()
    };
    let pairs: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
        .collect();
    pairs.join("&")
}

const PASSWORD: &str = "correct horse battery";

/// `ann`, who may change things, and `vera`, who may look.
fn users() -> String {
    let hash = account::hash(PASSWORD).expect("a hash");
    format!(
        "[[user]]\nname = \"ann\"\nrole = \"operator\"\npassword_hash = \"{hash}\"\n[[user]]\nname = \"vera\"\npassword_hash = \"{hash}\"\n"
    )
}

fn somebody() -> Actor {
    Actor {
        name: "somebody".into(),
        via: Via::Command,
    }
}
