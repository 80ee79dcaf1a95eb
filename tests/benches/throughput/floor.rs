//! The floor: the service's HTTP stack with nothing behind it. It parses the JSON and answers 204.

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use axum::serve::ListenerExt;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::child;

pub(crate) async fn serve() -> anyhow::Result<()> {
    listen(Router::new().route("/notehub", post(accept))).await
}

async fn accept(body: Bytes) -> StatusCode {
    match serde_json::from_slice::<Value>(&body) {
        // Black box: parsing must not be optimised away because nobody looks at the result.
        Ok(event) if std::hint::black_box(&event).is_object() => StatusCode::NO_CONTENT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// Serves on a free port of this machine and tells the parent where.
pub(crate) async fn listen(router: Router) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("cannot listen on a local port")?;
    child::announce(listener.local_addr()?)?;
    let listener = listener.tap_io(|stream| {
        // Without it the kernel may hold back small answers; a refusal would only show as latency.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await?;
    Ok(())
}
