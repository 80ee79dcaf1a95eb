//! A query as Grafana sends it: variables and `$__interval` filled in by the browser, then macros by the data source.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};

/// What a dashboard is set to.
pub(super) struct Expansion {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// What `$__interval` stands for: `5m`.
    pub interval: &'static str,
    pub variables: BTreeMap<String, Vec<String>>,
}

/// The query for the database, or what Grafana would complain of.
pub(super) fn expand(sql: &str, set: &Expansion) -> Result<String, String> {
    let sql = variables(sql, set)?.replace("$__interval", set.interval);
    macros(&sql, set)
}

/// `${name:sqlstring}`: each value in quotes, quotes in it doubled, with commas between.
fn variables(sql: &str, set: &Expansion) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, after) = after.split_once('}').ok_or("an open ${")?;
        // Without the format a quote in a value would end the text.
        let (name, format) = inside
            .split_once(':')
            .ok_or(format!("${{{inside}}} has no format"))?;
        let values = set
            .variables
            .get(name)
            .ok_or(format!("no variable {name}"))?;
        if format != "sqlstring" {
            return Err(format!("${{{inside}}}: the format is not sqlstring"));
        }
        let quoted = values
            .iter()
            .map(|value| format!("'{}'", value.replace('\'', "''")));
        out.push_str(before);
        out.push_str(&quoted.collect::<Vec<_>>().join(","));
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// `$name(arguments)`, where no argument holds a closing bracket.
fn macros(sql: &str, set: &Expansion) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once('$') {
        let end = after
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .ok_or("a $ at the end")?;
        let (name, after) = after.split_at(end);
        let after = after
            .strip_prefix('(')
            .ok_or(format!("${name} is neither variable nor macro"))?;
        let (arguments, after) = after.split_once(')').ok_or(format!("${name}( is open"))?;
        let arguments: Vec<_> = arguments.split(',').map(str::trim).collect();
        // Before a comma the group is also given its name.
        let name = if name == "__timeGroup" && after.starts_with(',') {
            "__timeGroupAlias"
        } else {
            name
        };
        out.push_str(before);
        out.push_str(&one(name, &arguments, set)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn one(name: &str, arguments: &[&str], set: &Expansion) -> Result<String, String> {
    let quoted =
        |time: DateTime<Utc>| format!("'{}'", time.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    let first = arguments
        .first()
        .copied()
        .filter(|argument| !argument.is_empty());
    let column = || first.ok_or(format!("${name} wants a column"));
    Ok(match name {
        "__time" => format!("{} AS \"time\"", column()?),
        "__timeFilter" => format!(
            "{} BETWEEN {} AND {}",
            column()?,
            quoted(set.from),
            quoted(set.to)
        ),
        "__timeFrom" => quoted(set.from),
        "__timeTo" => quoted(set.to),
        "__timeGroup" => {
            let [column, interval] = arguments else {
                return Err(format!("${name} wants a column and an interval"));
            };
            let seconds = humantime(interval.trim_matches('\''))?;
            format!("floor(extract(epoch from {column})/{seconds})*{seconds}")
        }
        "__timeGroupAlias" => format!("{} AS \"time\"", one("__timeGroup", arguments, set)?),
        _ => return Err(format!("${name} is no macro that Grafana knows")),
    })
}

/// Seconds of `90s`, `5m`, `1h`, `1d`.
fn humantime(text: &str) -> Result<u64, String> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(format!("{text} is no interval")),
    };
    let number: Result<u64, _> = text[..text.len() - 1].parse();
    number
        .map(|number| number * unit)
        .map_err(|_| format!("{text} is no interval"))
}

#[test]
fn queries_are_expanded_as_grafana_does() {
    let set = Expansion {
        from: "2026-03-01T00:00:00Z".parse().expect("a time"),
        to: "2026-03-01T12:00:00.5Z".parse().expect("a time"),
        interval: "5m",
        variables: BTreeMap::from([
            ("device".to_owned(), vec!["dev:o'neil".to_owned()]),
            ("series".to_owned(), vec!["a".to_owned(), "b".to_owned()]),
        ]),
    };
    for (sql, expected) in [
        ("a = ${device:sqlstring}", "a = 'dev:o''neil'"),
        ("a IN (${series:sqlstring})", "a IN ('a','b')"),
        (
            "$__timeFilter(at)",
            "at BETWEEN '2026-03-01T00:00:00Z' AND '2026-03-01T12:00:00.500Z'",
        ),
        ("at >= $__timeFrom()", "at >= '2026-03-01T00:00:00Z'"),
        (
            "$__timeGroupAlias(at, $__interval)",
            "floor(extract(epoch from at)/300)*300 AS \"time\"",
        ),
        (
            "$__timeGroup(at,'1h'), x",
            "floor(extract(epoch from at)/3600)*3600 AS \"time\", x",
        ),
        (
            "GROUP BY $__timeGroup(at,1h)",
            "GROUP BY floor(extract(epoch from at)/3600)*3600",
        ),
    ] {
        assert_eq!(expand(sql, &set).as_deref(), Ok(expected), "{sql}");
    }
    for sql in [
        "${device}",
        "${other:sqlstring}",
        "$__timeFilter()",
        "$__nonsense(at)",
        "$device",
        "$__timeGroup(at)",
    ] {
        assert!(expand(sql, &set).is_err(), "{sql}");
    }
}
