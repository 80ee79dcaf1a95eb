//! Who asks, and whether they may.
//!
//! One gate stands before everything that is for people: it finds out who asks, by the people token in a header or by the
//! session in a cookie, and lets through nothing that changes something unless it comes from an operator and, with a
//! cookie, from one of our own pages. No handler behind it can forget to ask.

use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;
use url::form_urlencoded;

use super::session;
use crate::App;
use crate::audit::{Actor, Via};
use crate::config::Role;
use crate::error::Error;
use crate::receive::auth;

/// What a form or a script sends along to show that it is ours.
pub const CSRF_FIELD: &str = "csrf";
const CSRF_HEADER: &str = "x-csrf-token";

#[derive(Debug, Clone)]
pub struct Person {
    pub name: String,
    pub role: Role,
    /// Of somebody who is signed in with a browser; none of a script.
    pub csrf: Option<String>,
}

impl Person {
    pub fn actor(&self) -> Actor {
        let via = if self.csrf.is_some() {
            Via::Page
        } else {
            Via::Api
        };
        Actor {
            name: self.name.clone(),
            via,
        }
    }

    pub fn may_change(&self) -> bool {
        self.role == Role::Operator
    }

    /// Who is behind these headers.
    pub async fn of(app: &App, headers: &HeaderMap) -> Result<Option<Self>, Error> {
        if let Some(token) = auth::presented(headers, "x-people-token") {
            let account = app.accounts.by_token(token);
            return Ok(account.map(|account| Self {
                name: account.name,
                role: account.role,
                csrf: None,
            }));
        }
        let Some(token) = session::presented(headers) else {
            return Ok(None);
        };
        let stored = session::find(&app.pool, token, app.clock.now()).await?;
        let account =
            stored.and_then(|it| app.accounts.of_session(&it.person, &it.credential_digest));
        Ok(account.map(|account| Self {
            name: account.name,
            role: account.role,
            csrf: Some(session::csrf_token(token)),
        }))
    }
}

/// Behind the gate there always is one.
impl<S: Sync> FromRequestParts<S> for Person {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parts.extensions.get().cloned().ok_or(UNKNOWN)
    }
}

const UNKNOWN: Error =
    Error::Unauthorized("sign in, or send the header `Authorization: Bearer <people token>`");

/// The gate.
pub async fn gate(State(app): State<App>, request: Request, next: Next) -> Response {
    match admit(&app, request).await {
        Ok(request) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

async fn admit(app: &App, mut request: Request) -> Result<Request, Error> {
    let person = Person::of(app, request.headers()).await?.ok_or(UNKNOWN)?;
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        if let Some(token) = &person.csrf {
            request = from_own_page(request, token, app.config.server.body_limit).await?;
        }
        if !person.may_change() && !for_viewers(request.uri().path()) {
            return Err(Error::Forbidden(
                "this takes the role `operator`; yours is `viewer`",
            ));
        }
    }
    request.extensions_mut().insert(person);
    Ok(request)
}

/// What posts without changing anything that others see.
fn for_viewers(path: &str) -> bool {
    ["/sign-out", "/rules/try", "/api/v1/try"].contains(&path)
}

/// Lets pass what carries the session's token, in a header or as a field of a form, with its body whole.
async fn from_own_page(request: Request, token: &str, limit: usize) -> Result<Request, Error> {
    const FOREIGN: Error =
        Error::Forbidden("this did not come from a page of this session; reload the page");
    let same = |sent: &[u8]| bool::from(sent.ct_eq(token.as_bytes()));
    if let Some(sent) = request.headers().get(CSRF_HEADER) {
        return if same(sent.as_bytes()) {
            Ok(request)
        } else {
            Err(FOREIGN)
        };
    }
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, limit)
        .await
        .map_err(|error| Error::of_body(&error, limit))?;
    let ours = is_form(&parts.headers)
        && form_urlencoded::parse(&body)
            .any(|(name, value)| name == CSRF_FIELD && same(value.as_bytes()));
    if ours {
        Ok(Request::from_parts(parts, Body::from(body)))
    } else {
        Err(FOREIGN)
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    })
}

/// Where a request comes from, for counting tries to sign in. A proxy of ours stands in a private network or on this
/// machine, and what it appends to `X-Forwarded-For` is believed; from elsewhere anybody could write that header.
#[derive(Debug)]
pub struct Place(pub Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for Place {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> Result<Self, std::convert::Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(place(peer.map(|peer| peer.0.ip()), &parts.headers)))
    }
}

fn place(peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
    // A socket that listens for both kinds of addresses sees IPv4 as `::ffff:10.0.0.1`.
    let peer = peer?.to_canonical();
    let private = match peer {
        IpAddr::V4(address) => address.is_private() || address.is_loopback(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    };
    let forwarded = headers
        .get_all("x-forwarded-for")
        .iter()
        .next_back()
        .filter(|_| private)
        .and_then(|list| list.to_str().ok()?.rsplit(',').next()?.trim().parse().ok())
        .map(|address: IpAddr| address.to_canonical());
    Some(forwarded.unwrap_or(peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxy_in_a_private_network_says_who_it_speaks_for() {
        let check = |peer: &str, expected: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(
                "x-forwarded-for",
                "192.0.2.1, 192.0.2.2".parse().expect("a header"),
            );
            let address = |text: &str| Some(text.parse::<IpAddr>().expect("an address"));
            assert_eq!(place(address(peer), &headers), address(expected), "{peer}");
        };
        check("10.0.0.1", "192.0.2.2");
        check("::ffff:10.0.0.1", "192.0.2.2");
        check("127.0.0.1", "192.0.2.2");
        check("::ffff:127.0.0.1", "192.0.2.2");
        check("::1", "192.0.2.2");
        check("fd00::1", "192.0.2.2");
        check("198.51.100.1", "198.51.100.1");
        check("::ffff:198.51.100.1", "198.51.100.1");
        check("2001:db8::1", "2001:db8::1");
        assert_eq!(place(None, &HeaderMap::new()), None);
    }
}
