//! The summary of a configuration that `check-config` prints: one line a thing, no secrets.

use secrecy::ExposeSecret;
use url::Url;

use super::units::{show_duration, show_rate, show_size};
use super::{
    Config, Count, Database, Destination, DestinationKind, Notehub, Route, Rule, Sender, Threshold,
    Twilio, Watch,
};

impl Config {
    pub fn describe(&self) -> String {
        let server = &self.server;
        let mut lines = vec![format!(
            "server       listens on {}, takes bodies up to {}, answers within {}",
            server.listen,
            show_size(server.body_limit),
            show_duration(server.request_timeout),
        )];
        lines.extend(
            server
                .public_url
                .as_ref()
                .map(|url| format!("             reached from outside as {url}")),
        );
        lines.push(format!("database     {}", database(&self.database)));
        lines.push(format!("access       {}", access(self)));
        lines.push(format!("notehub      {}", notehub(&self.notehub)));
        lines.extend(
            self.destinations
                .iter()
                .map(|one| format!("destination  {}", destination(one))),
        );
        lines.extend(
            self.routes
                .iter()
                .map(|one| format!("route        {}", route(one))),
        );
        lines.extend(
            self.rules
                .iter()
                .map(|one| format!("rule         {}", rule(one))),
        );
        lines.push(format!(
            "transform    {}, at most {} and {} of output for one event",
            self.transform.engine.word(),
            show_duration(self.transform.timeout),
            show_size(self.transform.output_limit),
        ));
        lines.push(format!("watch        {}", watch(&self.watch)));
        lines.push(match &self.series.transform {
            None => "series       every number in body, by dotted path".to_owned(),
            Some(expression) => format!("series       {}", one_line(&expression.text)),
        });
        let retention = &self.retention;
        lines.push(format!(
            "retention    events {}, measurements {}, attempts {}, frames {}",
            show_duration(retention.events),
            show_duration(retention.measurements),
            show_duration(retention.attempts),
            show_duration(retention.frames),
        ));
        lines.join("\n")
    }
}

fn database(database: &Database) -> String {
    let place = match &database.url {
        None => format!("embedded Postgres in {}", database.data_dir.display()),
        // Only host and name: user, password and options stay out.
        Some(url) => match Url::parse(url.expose_secret()) {
            Ok(url) => {
                let port = url
                    .port()
                    .map(|port| format!(":{port}"))
                    .unwrap_or_default();
                format!(
                    "Postgres at {}{port}{}",
                    url.host_str().unwrap_or("the local socket"),
                    url.path()
                )
            }
            Err(_) => "Postgres at the given url".to_owned(),
        },
    };
    format!("{place}, up to {} connections", database.max_connections)
}

fn access(config: &Config) -> String {
    let data_dir = config.database.data_dir.display();
    let tokens = match config.access.notehub_tokens.len() {
        0 => format!("Notehub token made on first start in {data_dir}"),
        1 => "1 Notehub token".to_owned(),
        several => format!("{several} Notehub tokens"),
    };
    let people = match config.access.people_token {
        None => format!("people token made on first start in {data_dir}"),
        Some(_) => "people token set".to_owned(),
    };
    let users = config
        .users
        .iter()
        .map(|user| format!("; {} is {}", user.name, user.role.word()));
    let named: String = users.collect();
    format!("{tokens}; {people}{named}")
}

fn notehub(notehub: &Notehub) -> String {
    let Some(project) = &notehub.project else {
        return "no project, so events that were missed are not fetched".to_owned();
    };
    format!(
        "missed events of {project} are fetched from {} every {}, the first time {} back, {}",
        notehub.api_url,
        show_duration(notehub.every),
        show_duration(notehub.first),
        show_rate(notehub.rate_limit)
    )
}

fn destination(destination: &Destination) -> String {
    let (rate, timeout, what) = match &destination.kind {
        DestinationKind::Ubidots(ubidots) => (
            ubidots.rate_limit,
            ubidots.timeout,
            format!("at {}", ubidots.base_url),
        ),
        DestinationKind::Twilio(twilio) => {
            let from = match &twilio.sender {
                Sender::From(number) => number,
                Sender::MessagingService(sid) => sid,
            };
            let validity = show_duration(twilio.validity);
            let apart = twilio.escalate_after.map_or_else(String::new, |after| {
                format!(" one after the other each {}", show_duration(after))
            });
            let to: Vec<_> = twilio
                .to
                .iter()
                .map(|number| recipient(twilio, number))
                .collect();
            let pictures = if twilio.pictures {
                ", pictures follow"
            } else {
                ""
            };
            let what = format!(
                "from {from} to {}{apart}, texts valid for {validity}{pictures}, {}",
                to.join(", "),
                answers(twilio)
            );
            (twilio.rate_limit, twilio.timeout, what)
        }
        DestinationKind::Http(http) => {
            let signed = match http.signing_secrets.len() {
                0 => "unsigned",
                _ => "signed",
            };
            let what = format!("at {}, {signed}", http.url.origin().ascii_serialization());
            (http.rate_limit, http.timeout, what)
        }
    };
    let (name, kind) = (&destination.name, destination.kind.word());
    format!(
        "{name}: {kind} {what}, {}, timeout {}",
        show_rate(rate),
        show_duration(timeout)
    )
}

fn watch(watch: &Watch) -> String {
    if !watch.enabled {
        return "off: nobody is told of a silent station".to_owned();
    }
    let told = match watch.notify.as_slice() {
        [] => "nobody is told".to_owned(),
        names => format!("tells {}", names.join(", ")),
    };
    format!(
        "a station is silent after {}, or by its own rhythm and {} of grace; {}, {told}",
        show_duration(watch.silent_after),
        show_duration(watch.grace),
        watch.severity.word()
    )
}

fn recipient(twilio: &Twilio, number: &str) -> String {
    match twilio.names.get(number) {
        Some(name) => format!("{name} ({number})"),
        None => number.to_owned(),
    }
}

/// What to enter at Twilio so that people can answer.
fn answers(twilio: &Twilio) -> String {
    match crate::deliver::media::public(twilio.public_url.as_ref(), "/twilio/inbound") {
        Some(url) => format!("answers come to {url}"),
        None => "nobody can answer, nor is it known what arrives (server.public_url is not set)"
            .to_owned(),
    }
}

fn route(route: &Route) -> String {
    let about = about([&route.files, &route.devices, &route.fleets, &route.products]);
    let transform = match &route.transform {
        None => "the event as it came",
        Some(_) => "transformed",
    };
    let off = if route.enabled {
        ""
    } else {
        " (off: enabled = false)"
    };
    format!(
        "{}: {about}, {transform}, to {}{off}",
        route.name, route.destination
    )
}

fn rule(rule: &Rule) -> String {
    let about = about([&rule.files, &rule.devices, &rule.fleets, &rule.products]);
    let value = one_line(&rule.value.text);
    let clear = rule.clear;
    let condition = match rule.fire {
        Threshold::Above(fire) => format!("{value} fires above {fire}, clears below {clear}"),
        Threshold::Below(fire) => format!("{value} fires below {fire}, clears above {clear}"),
    };
    let mut parts = vec![about, condition];
    if rule.count != (Count { times: 1, of: 1 }) {
        parts.push(format!("{} of {} values", rule.count.times, rule.count.of));
    }
    if !rule.hold.is_zero() {
        parts.push(format!("for {}", show_duration(rule.hold)));
    }
    if !rule.clear_hold.is_zero() {
        parts.push(format!("clear for {}", show_duration(rule.clear_hold)));
    }
    parts.extend(rule.missing.map(|number| format!("{number} if missing")));
    parts.push(match rule.notify.as_slice() {
        [] => format!("{}, shown only", rule.severity.word()),
        names => format!("{}, tells {}", rule.severity.word(), names.join(", ")),
    });
    parts.push(format!("cooldown {}", show_duration(rule.cooldown)));
    parts.push(match rule.repeat {
        None => "no reminders".to_owned(),
        Some(repeat) => format!("reminds every {}", show_duration(repeat)),
    });
    parts.push(format!("notes up to {} old", show_duration(rule.max_age)));
    format!("{}: {}", rule.name, parts.join(", "))
}

fn about([files, devices, fleets, products]: [&[String]; 4]) -> String {
    let files = match files {
        [] => "every file".to_owned(),
        files => files.join(" "),
    };
    let others = [
        ("devices", devices),
        ("fleets", fleets),
        ("products", products),
    ];
    let given = others.iter().filter(|(_, patterns)| !patterns.is_empty());
    let narrowed = given.map(|(word, patterns)| format!(" of {word} {}", patterns.join(" ")));
    files + &narrowed.collect::<String>()
}

/// An expression short enough for a line of the summary.
fn one_line(expression: &str) -> String {
    let words: Vec<&str> = expression.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(60) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}
