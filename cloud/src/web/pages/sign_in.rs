//! Signing in and out.

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::page;
use crate::App;
use crate::audit::{self, Action, Actor, Via};
use crate::error::Error;
use crate::web::person::{Person, Place};
use crate::web::session;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    /// Whether there are users with names.
    named: bool,
    name: String,
    next: String,
    problem: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Whereto {
    next: Option<String>,
}

pub async fn form(
    State(app): State<App>,
    Query(to): Query<Whereto>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let next = local(to.next);
    if Person::of(&app, &headers).await?.is_some() {
        return Ok(Redirect::to(&next).into_response());
    }
    let form = SignIn {
        named: app.accounts.has_users(),
        name: String::new(),
        next,
        problem: None,
    };
    page(StatusCode::OK, &form)
}

#[derive(Debug, Deserialize)]
pub struct Credentials {
    #[serde(default)]
    name: String,
    secret: SecretString,
    next: Option<String>,
}

pub async fn sign_in(
    State(app): State<App>,
    Place(place): Place,
    headers: HeaderMap,
    Form(credentials): Form<Credentials>,
) -> Result<Response, Error> {
    if from_another_site(&headers) {
        return Err(Error::Forbidden(
            "this form was sent by another site; open the page here and sign in there",
        ));
    }
    let next = local(credentials.next);
    let name = credentials.name.trim();
    let refused = |status, problem: String| {
        let form = SignIn {
            named: app.accounts.has_users(),
            name: name.to_owned(),
            next: next.clone(),
            problem: Some(problem),
        };
        page(status, &form)
    };
    if let Err(wait) = app.accounts.try_from(place) {
        let seconds = wait.as_secs() + 1;
        metrics::counter!("cloud_sign_ins_total", "outcome" => "too_many").increment(1);
        let problem = format!("Too many tries from here. Wait {seconds} seconds.");
        let mut response = refused(StatusCode::TOO_MANY_REQUESTS, problem)?;
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
        return Ok(response);
    }
    let secret = credentials.secret.expose_secret();
    let account = if name.is_empty() {
        app.accounts.by_token(secret.trim())
    } else {
        app.accounts.by_password(name, secret).await
    };
    let Some(account) = account else {
        metrics::counter!("cloud_sign_ins_total", "outcome" => "refused").increment(1);
        tracing::warn!(
            place = place.map(|place| place.to_string()),
            "sign-in refused"
        );
        let what = if name.is_empty() {
            "That is not the people token."
        } else {
            "Name and password do not fit."
        };
        return refused(StatusCode::UNAUTHORIZED, what.to_owned());
    };
    metrics::counter!("cloud_sign_ins_total", "outcome" => "accepted").increment(1);
    let now = app.clock.now();
    let lifetime = TimeDelta::from_std(app.config.access.session).unwrap_or(TimeDelta::days(30));
    let mut transaction = app.pool.begin().await?;
    let token = session::open(&mut transaction, &account, now, now + lifetime).await?;
    let actor = Actor {
        name: account.name,
        via: Via::Page,
    };
    let entry = audit::Entry {
        actor: &actor,
        action: Action::SignedIn,
        subject: "session".into(),
        incident: None,
        detail: json!({}),
    };
    audit::record(&mut transaction, entry, now).await?;
    transaction.commit().await?;
    let cookie = session::cookie(&token, lifetime.num_seconds(), is_https(&app));
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&next)).into_response())
}

pub async fn sign_out(
    State(app): State<App>,
    person: Person,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let now = app.clock.now();
    let mut transaction = app.pool.begin().await?;
    if let Some(token) = session::presented(&headers) {
        session::close(&mut transaction, token).await?;
    }
    let entry = audit::Entry {
        actor: &person.actor(),
        action: Action::SignedOut,
        subject: "session".into(),
        incident: None,
        detail: json!({}),
    };
    audit::record(&mut transaction, entry, now).await?;
    transaction.commit().await?;
    let cookie = session::cookie("", 0, is_https(&app));
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/sign-in")).into_response())
}

fn is_https(app: &App) -> bool {
    let url = app.config.server.public_url.as_ref();
    url.is_some_and(|url| url.scheme() == "https")
}

/// Whether the browser says that another site made it post this. There is no session yet whose token the form could
/// carry, and nobody is to be signed in as somebody else without noticing.
fn from_another_site(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site")
}

/// A path of ours, whatever a link says: nobody is sent elsewhere after signing in.
fn local(next: Option<String>) -> String {
    let ours = |path: &String| {
        path.starts_with('/')
            && !path.starts_with("//")
            && !path.contains(|letter: char| letter == '\\' || letter.is_control())
    };
    next.filter(ours).unwrap_or_else(|| "/".to_owned())
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn only_paths_of_ours_are_followed() {
        let check = |next: &str, expected: &str| assert_eq!(local(Some(next.to_owned())), expected);
        check("/incidents/17?x=1", "/incidents/17?x=1");
        check("//evil.example", "/");
        check("/\\evil.example", "/");
        check("https://evil.example/", "/");
        check("", "/");
        check("/a\r\nSet-Cookie: x", "/");
        check("/a\0", "/");
        check("/a\u{7f}", "/");
        check("/a\u{85}", "/");
        assert_eq!(local(None), "/");
    }
}
