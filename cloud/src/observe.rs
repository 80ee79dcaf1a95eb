//! Logs and metrics.
//!
//! Logs go to standard error: text for a person at a terminal, else one JSON object a line. Identifiers and values are
//! fields with dotted names and units (`delivery.id`, `duration_ms`). Metrics of this process are counted where things
//! happen; those that speak of the whole service are computed from the database when they are asked for (`service`).

pub mod service;

use std::io::IsTerminal;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::App;

const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
const EVENTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text at a terminal, JSON elsewhere.
    Auto,
    Text,
    Json,
}

/// Sets up logging for the whole process; `RUST_LOG` chooses what is logged.
pub fn init(format: LogFormat, default_filter: &str) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_filter));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let terminal = std::io::stderr().is_terminal();
    // A second call, as tests make, keeps what the first one set.
    if format == LogFormat::Json || (format == LogFormat::Auto && !terminal) {
        builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init()
            .ok();
    } else {
        builder.with_ansi(terminal).try_init().ok();
    }
    recorder();
}

/// This process's metrics, in Prometheus' text form, with those of the service before them.
pub async fn scrape(app: &App) -> String {
    let mut text = service::render(app).await;
    let recorder = recorder();
    recorder.run_upkeep();
    text.push_str(&recorder.render());
    text
}

fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
            .and_then(|builder| {
                builder.set_buckets_for_metric(Matcher::Suffix("_events".into()), EVENTS)
            });
        let recorder = builder.map_or_else(
            |_| PrometheusBuilder::new().build_recorder(),
            PrometheusBuilder::build_recorder,
        );
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed; /metrics will be empty");
        }
        describe();
        handle
    })
}

fn describe() {
    use metrics::{describe_counter, describe_histogram};
    describe_counter!(
        "cloud_receive_requests_total",
        "Requests to /notehub, by outcome."
    );
    describe_histogram!("cloud_receive_batch_events", "Events stored by one commit.");
    describe_histogram!(
        "cloud_receive_commit_seconds",
        "Time of one commit of events."
    );
    describe_counter!("cloud_process_events_total", "Events processed.");
    describe_counter!(
        "cloud_process_errors_total",
        "Errors left with events, by the part that failed."
    );
    describe_counter!(
        "cloud_process_repeats_total",
        "Events that brought a note of the agent once more."
    );
    describe_counter!(
        "cloud_process_frame_parts_forgotten_total",
        "Parts of incomplete pictures that made room for newer ones."
    );
    describe_histogram!(
        "cloud_process_batch_seconds",
        "Time of one batch from taking events to the commit."
    );
    describe_counter!(
        "cloud_deliver_attempts_total",
        "Attempts at deliveries, by destination and outcome."
    );
    describe_counter!(
        "cloud_backfill_requests_total",
        "Requests to Notehub for missed events, by outcome."
    );
    describe_counter!(
        "cloud_backfill_events_total",
        "Events that were fetched, by status: new is what had not arrived."
    );
    describe_counter!(
        "cloud_retention_deleted_total",
        "Old rows deleted, by table."
    );
    describe_counter!(
        "cloud_retention_failures_total",
        "Batches of deletions that failed, by table; after three in a row it waits for the next sweep."
    );
    describe_histogram!(
        "cloud_retention_batch_seconds",
        "Time of one batch of deletions."
    );
    describe_counter!("cloud_incidents_opened_total", "Incidents opened, by rule.");
    describe_counter!(
        "cloud_stations_returned_total",
        "Silent stations that were heard again."
    );
    describe_counter!(
        "cloud_texts_received_total",
        "Texts from phones, by what they asked for; `stranger` is an unknown number."
    );
    describe_counter!(
        "cloud_texts_refused_total",
        "Requests in Twilio's name that were refused, by path and reason."
    );
    describe_counter!(
        "cloud_text_statuses_total",
        "Statuses of texts that Twilio reported, by status."
    );
    describe_counter!(
        "cloud_texts_undelivered_total",
        "Texts that did not arrive, by Twilio's error code."
    );
}
