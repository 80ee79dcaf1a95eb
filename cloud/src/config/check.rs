//! What no single key can know: names that must be unique, and references that must lead somewhere
//! (pure).

use std::collections::BTreeSet;
use std::net::IpAddr;

use secrecy::ExposeSecret;
use url::{Host, Url};

use super::section::nearest;
use super::{Config, Destination, DestinationKind, PEOPLE, Route, SILENT, Twilio};
use crate::deliver::media;

/// Shorter tokens can be guessed by someone who may ask a few thousand times a second.
const SHORTEST_TOKEN: usize = 16;

/// Destinations that are `broken` have their own problems already; a reference to one is not a
/// second.
pub(super) fn check(
    config: &Config,
    broken: &BTreeSet<String>,
    problems: &mut Vec<String>,
    warnings: &mut Vec<String>,
) {
    unique(
        "destinations",
        config.destinations.iter().map(|one| one.name.as_str()),
        problems,
    );
    unique(
        "routes",
        config.routes.iter().map(|one| one.name.as_str()),
        problems,
    );
    unique(
        "rules",
        config.rules.iter().map(|one| one.name.as_str()),
        problems,
    );
    unique(
        "users",
        config.users.iter().map(|one| one.name.as_str()),
        problems,
    );
    if config.users.iter().any(|user| user.name == PEOPLE) {
        problems.push(format!(
            "user `{PEOPLE}`: that is what whoever signs in with the people token is called; choose another name"
        ));
    }
    let find = |name: &str, owner: &str| find(config, broken, name, owner);
    for route in &config.routes {
        match find(
            &route.destination,
            &format!("route `{}`: destination", route.name),
        ) {
            Ok(Some(destination)) => check_route(route, destination, problems, warnings),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    if config.rules.iter().any(|rule| rule.name == SILENT) {
        problems.push(format!(
            "rule `{SILENT}`: name is taken by the incidents of silent stations, [watch]; choose another"
        ));
    }
    let of_rules = config
        .rules
        .iter()
        .map(|rule| (format!("rule `{}`: notify", rule.name), &rule.notify));
    let of_watch = ("[watch] notify".to_owned(), &config.watch.notify);
    for (owner, notify) in of_rules.chain([of_watch]) {
        unique_in(&owner, notify, problems);
        for name in notify {
            match find(name, &owner) {
                Ok(Some(Destination {
                    kind: DestinationKind::Ubidots(_),
                    ..
                })) => problems.push(format!(
                    "{owner} names `{name}`, a ubidots destination; \
                     people are told through twilio or http"
                )),
                Ok(_) => {}
                Err(problem) => problems.push(problem),
            }
        }
    }
    let tokens = config
        .access
        .notehub_tokens
        .iter()
        .chain(&config.access.people_token);
    if tokens
        .into_iter()
        .any(|token| token.expose_secret().len() < SHORTEST_TOKEN)
    {
        warnings.push(format!(
            "a token in [access] is shorter than {SHORTEST_TOKEN} characters and can be guessed"
        ));
    }
    warnings.extend(config.destinations.iter().filter_map(open_to_readers));
    warnings.extend(config.destinations.iter().filter_map(nobody_to_escalate_to));
    warnings.extend(
        config
            .phones()
            .flat_map(|(name, twilio)| out_of_reach(name, twilio)),
    );
}

/// Warnings for what Twilio would have to fetch or report, and cannot.
fn out_of_reach(name: &str, twilio: &Twilio) -> Vec<String> {
    let mut warnings = Vec::new();
    match &twilio.public_url {
        None if twilio.pictures => warnings.push(format!(
            "destination `{name}` has pictures = true, which has no effect without server.public_url: Twilio fetches them from there"
        )),
        Some(url) if !media::reachable(url) => warnings.push(format!(
            "destination `{name}`: server.public_url is no address that Twilio takes (no underscore in the host name, and not of this machine or a private network), so statuses are not asked for and pictures not sent"
        )),
        _ => {}
    }
    warnings
}

fn check_route(
    route: &Route,
    destination: &Destination,
    problems: &mut Vec<String>,
    warnings: &mut Vec<String>,
) {
    let (route_name, name) = (&route.name, &destination.name);
    match destination.kind {
        // A route would text for every event; a rule texts once per incident.
        DestinationKind::Twilio(_) => problems.push(format!(
            "route `{route_name}`: destination `{name}` is a twilio destination; \
             to text a person, write a [[rule]] with notify = [\"{name}\"]"
        )),
        DestinationKind::Ubidots(_) if route.transform.is_none() => warnings.push(format!(
            "route `{route_name}` sends whole events to the ubidots destination `{name}`, \
             which takes variables only; give it a transform"
        )),
        DestinationKind::Ubidots(_) | DestinationKind::Http(_) => {}
    }
}

fn find<'c>(
    config: &'c Config,
    broken: &BTreeSet<String>,
    name: &str,
    owner: &str,
) -> Result<Option<&'c Destination>, String> {
    let found = config.destination(name);
    if found.is_some() || broken.contains(name) {
        return Ok(found);
    }
    let known: Vec<&str> = config
        .destinations
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    let hint = match nearest(name, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "there is no [[destination]]".to_owned(),
        None => format!("known: {}", known.join(", ")),
    };
    Err(format!(
        "{owner} names `{name}`, which is not a destination; {hint}"
    ))
}

fn unique<'c>(kind: &str, names: impl Iterator<Item = &'c str>, problems: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            problems.push(format!(
                "two {kind} are named `{name}`; each needs a name of its own"
            ));
        }
    }
}

fn unique_in(owner: &str, names: &[String], problems: &mut Vec<String>) {
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            problems.push(format!("{owner} names `{name}` twice"));
        }
    }
}

/// A warning for an escalation that has nowhere to go.
fn nobody_to_escalate_to(destination: &Destination) -> Option<String> {
    let DestinationKind::Twilio(twilio) = &destination.kind else {
        return None;
    };
    let alone = twilio.escalate_after.is_some() && twilio.to.len() == 1;
    alone.then(|| {
        format!(
            "destination `{}` has `escalate_after` and a single number in `to`, so nobody is told after that one",
            destination.name
        )
    })
}

/// A warning for a destination whose secrets would cross a network in the clear.
fn open_to_readers(destination: &Destination) -> Option<String> {
    let (url, allow_private) = match &destination.kind {
        DestinationKind::Ubidots(ubidots) => (&ubidots.base_url, ubidots.allow_private),
        DestinationKind::Twilio(twilio) => (&twilio.base_url, twilio.allow_private),
        DestinationKind::Http(http) => (&http.url, http.allow_private),
    };
    let open = url.scheme() == "http" && !allow_private && !is_this_machine(url);
    open.then(|| {
        format!(
            "destination `{}` uses http://, so that its token can be read on the way; use https://",
            destination.name
        )
    })
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
