//! Browsers that are signed in.
//!
//! Owns the table `sessions`. The token is in the browser's cookie alone; the table has its digest, so that a copy of the
//! database opens nothing. `retention` deletes those that are over.

use axum::http::{HeaderMap, header};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};

use super::account::Account;
use crate::receive::auth::random_token;

const COOKIE: &str = "session";

/// A session as it is stored.
#[derive(Debug)]
pub struct Stored {
    pub person: String,
    pub credential_digest: Vec<u8>,
    pub expires_at: DateTime<Utc>,
}

/// Opens a session and returns its token.
pub async fn open(
    connection: &mut PgConnection,
    account: &Account,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> sqlx::Result<String> {
    let token = random_token();
    sqlx::query!(
        "INSERT INTO sessions (token_digest, person, credential_digest, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
        &digest(&token),
        account.name,
        &account.credential,
        now,
        until
    )
    .execute(connection)
    .await?;
    Ok(token)
}

pub async fn find(pool: &PgPool, token: &str, now: DateTime<Utc>) -> sqlx::Result<Option<Stored>> {
    sqlx::query_as!(
        Stored,
        "SELECT person, credential_digest, expires_at FROM sessions WHERE token_digest = $1 AND expires_at > $2",
        &digest(token),
        now
    )
    .fetch_optional(pool)
    .await
}

pub async fn close(connection: &mut PgConnection, token: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM sessions WHERE token_digest = $1",
        &digest(token)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The token in the request's cookie.
pub fn presented(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
        .filter(|token| !token.is_empty())
}

/// The header that hands the browser its session: scripts cannot read it, and other sites cannot post with it. A link in a
/// text message is followed with it, which `Strict` would not do.
pub fn cookie(token: &str, seconds: i64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
}

/// What forms of this session must bring along. It is derived from the token, which no other site can read.
pub fn csrf_token(token: &str) -> String {
    let digest = Sha256::digest(format!("csrf {token}").as_bytes());
    digest[..16]
        .iter()
        .fold(String::with_capacity(32), |mut text, byte| {
            use std::fmt::Write;
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
