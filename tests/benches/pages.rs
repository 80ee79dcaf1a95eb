//! How fast are the pages of a large fleet, and how far from what this machine allows?
//!
//! A thousand stations and a year of five-minute data for one of them, in a Postgres of its own; the real service, asked
//! over a kept connection, one request after another as a person does: `cargo bench -p tests --bench pages`.
//! Pages take turns with `/healthz`, which is the same way through the same server with nothing to do: absolute figures
//! drift with the machine, the ratio to it is what to compare. Bytes are those that travel, compressed.

#[path = "../support/big_fleet.rs"]
mod big_fleet;
#[path = "../support/pages.rs"]
#[expect(dead_code, reason = "a browser waits for what is shown, not we")]
mod pages;

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use cloud::clock::Clock;
use cloud::config::Config;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "people-token-of-the-benchmark";
/// What a page may take.
const GOAL: Duration = Duration::from_millis(100);
const FLOOR: &str = "/healthz";

#[derive(Debug, Parser)]
struct Arguments {
    /// How often each page is asked for.
    #[arg(long, default_value_t = 100)]
    rounds: usize,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// All answers to one path.
struct Samples {
    path: String,
    bytes: usize,
    times: Vec<Duration>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Runtime::new().context("starting");
    let text = runtime.and_then(|runtime| runtime.block_on(work(&arguments)));
    match text {
        Ok(text) => {
            let _ = write!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "pages: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn work(arguments: &Arguments) -> anyhow::Result<String> {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(parent)?;
    let folder = tempfile::Builder::new()
        .prefix("pages-")
        // Started by root, Postgres runs as another user and must reach its data.
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir_in(parent)?;
    // A route and rules are looked at on some pages; nothing is sent.
    let toml = format!(
        r#"
        [access]
        notehub_tokens = ["notehub-token-of-the-benchmark"]
        people_token = "{TOKEN}"
        [[destination]]
        name = "ubidots"
        kind = "ubidots"
        base_url = "http://127.0.0.1:9"
        allow_private = true
        token = "of-the-benchmark"
        "#
    );
    let mut config = Config::parse(&toml).context("the configuration")?;
    folder.path().clone_into(&mut config.database.data_dir);
    let started = cloud::start(config).await?;
    let pool = started.app().pool.clone();
    let since = Instant::now();
    big_fleet::fill(&pool, Clock::System.now()).await?;
    let filled = since.elapsed();
    let version: String = sqlx::query_scalar("SHOW server_version")
        .fetch_one(&pool)
        .await?;
    let cores = std::thread::available_parallelism()?;
    let machine = format!("{cores} cores, Postgres {version}");
    let incident = "SELECT id FROM incidents WHERE device = $1 ORDER BY id LIMIT 1";
    let incident: i64 = sqlx::query_scalar(incident)
        .bind(big_fleet::VETERAN)
        .fetch_one(&pool)
        .await?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let stop = CancellationToken::new();
    let service = tokio::spawn(started.run(listener, stop.clone().cancelled_owned()));
    let samples = measure(&url, &paths(incident), arguments.rounds).await;
    stop.cancel();
    service.await.context("the service broke down")??;
    Ok(format!(
        "{machine}\n{}",
        table(&samples?, arguments.rounds, filled)
    ))
}

fn paths(incident: i64) -> Vec<String> {
    let pages = pages::PAGES.iter();
    let pages = pages.map(|page| page.path_for(big_fleet::VETERAN, incident));
    let data = pages::DATA.iter();
    let year_ago = Clock::System.now() - chrono::TimeDelta::days(365);
    let year_ago = year_ago.format("%Y-%m-%d").to_string();
    let data = data.map(|path| {
        let path = path.replace("{device}", big_fleet::VETERAN);
        path.replace("{year_ago}", &year_ago)
    });
    std::iter::once(FLOOR.to_owned())
        .chain(pages)
        .chain(data)
        .collect()
}

/// Every path once a round, so that whatever slows the machine slows all of them.
async fn measure(url: &str, paths: &[String], rounds: usize) -> anyhow::Result<Vec<Samples>> {
    let client = cloud::demo::local_client()?;
    let mut samples: Vec<Samples> = Vec::new();
    for path in paths {
        // Once for nothing: caches fill, statements are planned.
        let (bytes, _) = ask(&client, url, path).await?;
        samples.push(Samples {
            path: path.clone(),
            bytes,
            times: Vec::with_capacity(rounds),
        });
    }
    for _ in 0..rounds {
        for sample in &mut samples {
            let (_, time) = ask(&client, url, &sample.path).await?;
            sample.times.push(time);
        }
    }
    Ok(samples)
}

async fn ask(client: &reqwest::Client, url: &str, path: &str) -> anyhow::Result<(usize, Duration)> {
    let since = Instant::now();
    let response = client
        .get(format!("{url}{path}"))
        .bearer_auth(TOKEN)
        .header("accept-encoding", "gzip")
        .send()
        .await?;
    let status = response.status();
    let body = response.bytes().await?;
    let time = since.elapsed();
    ensure!(
        status.is_success(),
        "{path} was answered {status}: {}",
        String::from_utf8_lossy(&body)
    );
    Ok((body.len(), time))
}

fn table(samples: &[Samples], rounds: usize, filled: Duration) -> String {
    let percentile = |sample: &Samples, hundredths: usize| {
        let mut times = sample.times.clone();
        times.sort();
        times[(times.len() - 1) * hundredths / 100]
    };
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let floor = percentile(&samples[0], 50);
    let mut text = format!(
        "{} stations, {} readings of one; filled in {:.1} s; {rounds} rounds\n\n{:<64}{:>9}{:>9}{:>9}{:>9}\n",
        big_fleet::STATIONS,
        big_fleet::YEAR,
        filled.as_secs_f64(),
        "",
        "p50 ms",
        "p99 ms",
        "ratio",
        "bytes"
    );
    for sample in samples {
        let (half, most) = (percentile(sample, 50), percentile(sample, 99));
        let ratio = half.as_secs_f64() / floor.as_secs_f64();
        let mark = if most > GOAL { "  slow" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<64}{:>9.2}{:>9.2}{:>9.1}{:>9}{mark}",
            sample.path,
            ms(half),
            ms(most),
            ratio,
            sample.bytes
        );
    }
    let _ = writeln!(
        text,
        "\nratio: of p50 to that of {FLOOR}; slow: p99 above {} ms",
        GOAL.as_millis()
    );
    text
}
