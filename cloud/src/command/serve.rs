//! `cloud serve`.

use std::process::ExitCode;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::access;
use crate::config::Loaded;

#[derive(Debug, Default, clap::Args)]
pub struct ServeOptions {
    /// Print one line `ready http://ADDRESS` to standard output once the service answers.
    #[arg(long)]
    print_ready: bool,
}

#[expect(
    clippy::print_stdout,
    reason = "the ready line and the first start's welcome are for people and scripts"
)]
pub async fn serve(loaded: Loaded, options: ServeOptions) -> anyhow::Result<ExitCode> {
    let mut config = loaded.config;
    let listener = TcpListener::bind(config.server.listen)
        .await
        .with_context(|| format!("listening on {} (server.listen)", config.server.listen))?;
    if let Some(welcome) = access::complete(&mut config)? {
        println!("{welcome}");
    }
    let address = listener.local_addr()?;
    let service = crate::start(config).await?;
    tracing::info!(
        config = loaded.path.map(|path| path.display().to_string()),
        "serving on http://{address}"
    );
    if options.print_ready {
        println!("ready http://{address}");
    }
    service.run(listener, stop_signal()?).await?;
    Ok(ExitCode::SUCCESS)
}

/// Resolves on SIGTERM or Ctrl-C.
pub(crate) fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for Ctrl-C")?;
    Ok(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    })
}
