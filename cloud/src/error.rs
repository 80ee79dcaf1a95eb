//! What an HTTP caller is told when a request fails. Causes are logged where they arise; none reaches the answer.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// How long a caller should wait before it comes again after a 503.
const RETRY_AFTER_SECONDS: &str = "5";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not allowed: {0}")]
    Unauthorized(&'static str),
    #[error("not allowed: {0}")]
    Forbidden(&'static str),
    #[error("too many tries; wait {0} seconds")]
    TooMany(u64),
    #[error("no such {0}")]
    NotFound(&'static str),
    #[error("{0}")]
    Unreadable(String),
    #[error("the body is larger than {0} bytes (server.body_limit)")]
    TooLarge(usize),
    #[error("{0}")]
    Unprocessable(String),
    #[error("{0}; try again")]
    Unavailable(String),
}

impl Error {
    /// A body that could not be read to its end: too large, or the sender broke off.
    pub fn of_body(error: &axum::Error, limit: usize) -> Self {
        let first: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
        let too_large = std::iter::successors(first, |cause| cause.source())
            .any(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>);
        if too_large {
            Self::TooLarge(limit)
        } else {
            Self::Unreadable("the body broke off before its end".into())
        }
    }

    /// A short, stable name for metrics and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unauthorized(_) => "unauthorized",
            Self::Forbidden(_) => "forbidden",
            Self::TooMany(_) => "too_many",
            Self::NotFound(_) => "not_found",
            Self::Unreadable(_) => "unreadable",
            Self::TooLarge(_) => "too_large",
            Self::Unprocessable(_) => "rejected",
            Self::Unavailable(_) => "unavailable",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Unreadable(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if crate::receive::store::refuses_data(&error) {
            return Self::Unprocessable(format!("the database cannot take that: {error}"));
        }
        tracing::error!(error = %error, "request failed");
        Self::Unavailable("the database cannot be reached".into())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.name(), "message": self.to_string() }));
        match self {
            Self::Unavailable(_) => (
                self.status(),
                [(header::RETRY_AFTER, RETRY_AFTER_SECONDS)],
                body,
            )
                .into_response(),
            Self::TooMany(seconds) => (
                self.status(),
                [(header::RETRY_AFTER, seconds.to_string())],
                body,
            )
                .into_response(),
            Self::Unauthorized(_) => {
                (self.status(), [(header::WWW_AUTHENTICATE, "Bearer")], body).into_response()
            }
            _ => (self.status(), body).into_response(),
        }
    }
}
