//! From the combined layers to the typed value: the single sections, and the order in which
//! everything is read.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::destination::{TIMEOUT_BOUNDS, base_url, optional_base_url, rate_limit};
use super::layer::Layers;
use super::section::Section;
use super::{
    Access, Config, Database, DestinationKind, Engine, Notehub, Retention, Series, Server,
    Transform, check, destination, expression, flow, secret, tutorial, units, user, watch,
};

const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
const NOTEHUB_URL: &str = "https://api.notefile.net";
/// What Notehub grants a billing account of the smallest plan.
const NOTEHUB_RATE: &str = "7/m";
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const DAY: Duration = Duration::from_hours(24);
const SECOND: Duration = Duration::from_secs(1);

/// The whole value with its warnings, or everything that is wrong.
pub(super) fn config(mut layers: Layers) -> Result<(Config, Vec<String>), Vec<String>> {
    let mut root = Section::root(&mut layers);
    let server = server(root.section("server"));
    let database = database(root.section("database"));
    let access = access(root.section("access"));
    let users = (0..)
        .zip(root.tables("user").unwrap_or_default())
        .filter_map(|(index, table)| user::read(root.entry("user", index, table)))
        .collect();
    let notehub = notehub(root.section("notehub"));
    let mut destinations = Vec::new();
    let mut broken = BTreeSet::new();
    for (index, table) in root
        .tables("destination")
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        match destination::read(root.entry("destination", index, table)) {
            (_, Some(destination)) => destinations.push(destination),
            (name, None) => broken.extend(name),
        }
    }
    let route_tables = root.tables("route");
    let rule_tables = root.tables("rule");
    let by_default = route_tables.is_none() && rule_tables.is_none();
    let mut routes: Vec<_> = (0..)
        .zip(route_tables.unwrap_or_default())
        .filter_map(|(index, table)| flow::route(root.entry("route", index, table)))
        .collect();
    let mut rules: Vec<_> = (0..)
        .zip(rule_tables.unwrap_or_default())
        .filter_map(|(index, table)| flow::rule(root.entry("rule", index, table)))
        .collect();
    if by_default {
        routes.extend(tutorial::route(&destinations));
        rules.extend(tutorial::rules(&destinations));
    }
    let mut config = Config {
        server,
        database,
        access,
        users,
        notehub,
        destinations,
        routes,
        rules,
        transform: transform(root.section("transform")),
        watch: watch::read(root.section("watch")),
        series: series(root.section("series")),
        retention: retention(root.section("retention")),
    };
    root.close();
    for destination in &mut config.destinations {
        if let DestinationKind::Twilio(twilio) = &mut destination.kind {
            twilio.public_url.clone_from(&config.server.public_url);
        }
    }
    check::check(&config, &broken, &mut layers.problems, &mut layers.warnings);
    if layers.problems.is_empty() {
        Ok((config, layers.warnings))
    } else {
        Err(layers.problems)
    }
}

fn server(mut section: Section<'_>) -> Server {
    let listen = section.parsed(
        "listen",
        "an address and port such as \"127.0.0.1:8080\"",
        |text| {
            text.parse().map_err(|_| {
                "it must be an IP address and a port, such as \"127.0.0.1:8080\" or \
             \"0.0.0.0:8080\""
                    .to_owned()
            })
        },
    );
    let server = Server {
        listen: listen.unwrap_or(LISTEN),
        public_url: optional_base_url(&mut section, "public_url"),
        body_limit: section.size("body_limit", 256 * KIB, KIB, 64 * MIB),
        request_timeout: section.duration_between(
            "request_timeout",
            10 * SECOND,
            Duration::from_millis(1),
            600 * SECOND,
        ),
    };
    section.close();
    server
}

fn database(mut section: Section<'_>) -> Database {
    let database = Database {
        url: section.secret("url", |url| {
            let known = url.starts_with("postgres://") || url.starts_with("postgresql://");
            known.then_some(()).ok_or_else(|| {
                "must start with postgres:// or postgresql:// \
                 (DATABASE_URL, if set, is used in its place)"
                    .to_owned()
            })
        }),
        data_dir: section
            .words("data_dir")
            .map_or_else(|| PathBuf::from("data"), PathBuf::from),
        // One connection listens for wake-ups, so that one alone could do nothing else.
        max_connections: section.integer("max_connections", 16, 2, 1000),
    };
    section.close();
    database
}

fn access(mut section: Section<'_>) -> Access {
    let access = Access {
        notehub_tokens: section.secrets("notehub_tokens", secret::check_token),
        people_token: section.secret("people_token", secret::check_token),
        session: section.duration("session", 30 * DAY, 60 * SECOND),
    };
    section.close();
    access
}

fn notehub(mut section: Section<'_>) -> Notehub {
    let given = ["project", "token", "client_id", "client_secret"].map(|key| section.has(key));
    match given {
        [true, false, false, false] => section.problem(
            "token",
            "is missing; it goes with `project` (or give `client_id` and `client_secret`)",
        ),
        [_, true, id, secret] if id || secret => section.problem(
            "token",
            "is given beside an OAuth client; use one of the two",
        ),
        [_, _, true, false] => {
            section.problem("client_secret", "is missing; it goes with `client_id`");
        }
        [_, _, false, true] => {
            section.problem("client_id", "is missing; it goes with `client_secret`");
        }
        _ => {}
    }
    let (client_id, client_secret) = (
        section.words("client_id"),
        section.secret("client_secret", secret::check_token),
    );
    let (shortest, longest) = TIMEOUT_BOUNDS;
    let notehub = Notehub {
        api_url: base_url(&mut section, "api_url", NOTEHUB_URL),
        project: section
            .text("project")
            .filter(|project| !project.is_empty()),
        token: section.secret("token", secret::check_token),
        client: client_id.zip(client_secret),
        every: section.duration_between("every", 300 * SECOND, SECOND, 7 * DAY),
        first: section.duration("first", 7 * DAY, SECOND),
        rate_limit: rate_limit(&mut section, NOTEHUB_RATE),
        timeout: section.duration_between("timeout", 60 * SECOND, shortest, longest),
        system_files: section.boolean("system_files", false),
    };
    section.close();
    notehub
}

fn transform(mut section: Section<'_>) -> Transform {
    let engines = [Engine::JsonataCore, Engine::JsonataRs].map(|engine| (engine.word(), engine));
    let transform = Transform {
        engine: section
            .choice("engine", &engines)
            .unwrap_or(Engine::JsonataCore),
        timeout: section.duration_between(
            "timeout",
            Duration::from_millis(500),
            Duration::from_millis(10),
            10 * SECOND,
        ),
        output_limit: section.size("output_limit", MIB, 64, 64 * MIB),
    };
    section.close();
    transform
}

fn series(mut section: Section<'_>) -> Series {
    let series = Series {
        transform: expression::inline(&mut section, "transform", "series"),
    };
    section.close();
    series
}

fn retention(mut section: Section<'_>) -> Retention {
    let five_years = Duration::from_secs(5 * units::YEAR);
    let retention = Retention {
        events: section.duration("events", 400 * DAY, DAY),
        measurements: section.duration("measurements", five_years, DAY),
        attempts: section.duration("attempts", 90 * DAY, DAY),
        frames: section.duration("frames", 400 * DAY, DAY),
    };
    section.close();
    retention
}
