//! `cloud healthcheck`: asks a running service whether it can store events, for containers that have no other program.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use crate::config::Config;

/// Shorter than any supervisor waits for its check.
const PATIENCE: Duration = Duration::from_secs(4);

#[derive(Debug, clap::Args)]
pub struct HealthcheckOptions {
    /// The address to ask; without it `/readyz` of the service that this configuration starts on this machine.
    #[arg(long, value_name = "URL")]
    url: Option<url::Url>,
}

impl HealthcheckOptions {
    /// Whether a configuration has to be read to know whom to ask.
    pub fn needs_config(&self) -> bool {
        self.url.is_none()
    }
}

#[expect(clippy::print_stdout, reason = "this is the command line")]
pub async fn healthcheck(
    options: HealthcheckOptions,
    config: Option<&Config>,
) -> anyhow::Result<ExitCode> {
    let url = match (options.url, config) {
        (Some(url), _) => url,
        (None, Some(config)) => own(config.server.listen)?,
        (None, None) => anyhow::bail!("no address to ask; give one with --url"),
    };
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
        .context("the HTTP client")?;
    let answer = client
        .get(url.clone())
        .send()
        .await
        .with_context(|| format!("{url} does not answer"))?;
    let status = answer.status();
    if !status.is_success() {
        anyhow::bail!("{url} answers {status}");
    }
    println!("{url} answers {status}");
    Ok(ExitCode::SUCCESS)
}

/// Who listens on every address is asked on the machine's own.
fn own(listen: SocketAddr) -> anyhow::Result<url::Url> {
    let address = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let host = SocketAddr::new(address, listen.port());
    Ok(format!("http://{host}/readyz").parse()?)
}

#[cfg(test)]
mod tests {
    use super::own;

    #[test]
    fn the_service_is_asked_where_it_listens() {
        for (listen, asked) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080/readyz"),
            ("0.0.0.0:8081", "http://127.0.0.1:8081/readyz"),
            ("10.1.2.3:80", "http://10.1.2.3/readyz"),
            ("[::]:8080", "http://[::1]:8080/readyz"),
        ] {
            let url = own(listen.parse().expect("an address")).expect("a URL");
            assert_eq!(url.as_str(), asked);
        }
    }
}
