//! A route or a rule as it would stand in the file: what people copy there once they have tried it.

use std::fmt::Write;
use std::time::Duration;

use toml::Value;

use super::units::show_duration;
use super::{Expression, Route, Rule, Threshold, flow};

impl Route {
    pub fn to_toml(&self) -> String {
        let mut text = format!("[[route]]\nname = {}\n", quoted(&self.name));
        scope(
            &mut text,
            [&self.files, &self.devices, &self.fleets, &self.products],
        );
        if let Some(transform) = &self.transform {
            expression(&mut text, "transform", transform);
        }
        line(&mut text, "destination", &quoted(&self.destination));
        if !self.enabled {
            line(&mut text, "enabled", "false");
        }
        text
    }
}

impl Rule {
    /// Keys at their defaults are left out.
    pub fn to_toml(&self) -> String {
        let mut text = format!("[[rule]]\nname = {}\n", quoted(&self.name));
        scope(
            &mut text,
            [&self.files, &self.devices, &self.fleets, &self.products],
        );
        expression(&mut text, "value", &self.value);
        let (fire, clear, limit) = match self.fire {
            Threshold::Above(limit) => ("fire_above", "clear_below", limit),
            Threshold::Below(limit) => ("fire_below", "clear_above", limit),
        };
        line(&mut text, fire, &number(limit));
        line(&mut text, clear, &number(self.clear));
        let durations = [
            ("hold", self.hold, Duration::ZERO),
            ("clear_hold", self.clear_hold, Duration::ZERO),
            ("cooldown", self.cooldown, flow::COOLDOWN),
            ("max_age", self.max_age, flow::MAX_AGE),
        ];
        for (key, duration, _) in durations.iter().filter(|(_, is, default)| is != default) {
            line(&mut text, key, &quoted(&show_duration(*duration)));
        }
        if self.count != flow::ONCE {
            let count = format!("{} of {}", self.count.times, self.count.of);
            line(&mut text, "count", &quoted(&count));
        }
        if let Some(missing) = self.missing {
            line(&mut text, "missing", &number(missing));
        }
        line(&mut text, "severity", &quoted(self.severity.word()));
        line(&mut text, "notify", &list(&self.notify));
        if let Some(message) = &self.message {
            expression(&mut text, "message", message);
        }
        match self.repeat {
            Some(flow::REPEAT) => {}
            Some(repeat) => line(&mut text, "repeat", &quoted(&show_duration(repeat))),
            None => line(&mut text, "repeat", &quoted("none")),
        }
        text
    }
}

impl Expression {
    /// The section `[series]` with this transform, or with none.
    pub fn series(transform: Option<&Self>) -> String {
        let mut text = "[series]\n".to_owned();
        if let Some(transform) = transform {
            expression(&mut text, "transform", transform);
        }
        text
    }

    /// One key with an expression.
    pub fn line(key: &str, text: &str) -> String {
        let mut line = String::new();
        let source = String::new();
        expression(
            &mut line,
            key,
            &Self {
                text: text.to_owned(),
                source,
            },
        );
        line
    }
}

fn scope(text: &mut String, patterns: [&[String]; 4]) {
    for (key, patterns) in ["files", "devices", "fleets", "products"]
        .iter()
        .zip(patterns)
    {
        if !patterns.is_empty() {
            line(text, key, &list(patterns));
        }
    }
}

/// In the quotes that need the fewest changes to it, which for most are those that need none.
fn expression(text: &mut String, key: &str, expression: &Expression) {
    let it = expression.text.trim();
    let plain = !it.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t'));
    let value = if plain && !it.contains(['\n', '\'']) {
        format!("'{it}'")
    } else if plain && !it.contains("'''") && !it.ends_with('\'') {
        format!("'''\n{it}'''")
    } else {
        quoted(it)
    };
    line(text, key, &value);
}

/// The writer of a `toml::Value` also knows what must be escaped.
fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn list(items: &[String]) -> String {
    let items: Vec<_> = items.iter().map(|item| quoted(item)).collect();
    format!("[{}]", items.join(", "))
}

fn number(number: f64) -> String {
    Value::Float(number).to_string()
}

fn line(text: &mut String, key: &str, value: &str) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{key} = {value}");
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Expression, Route, Rule};

    const WHOLE: &str = r#"
        [[destination]]
        name = "hook"
        kind = "http"
        url = "https://example.com/x"
        [[route]]
        name = "a"
        destination = "hook"
        [[route]]
        name = "b"
        files = ["x?.qo", "\"y\""]
        devices = ["dev:1"]
        fleets = ["f"]
        products = ["p"]
        transform = "{\n  'a': \"it's\"\n}"
        destination = "hook"
        enabled = false
        [[rule]]
        name = "c"
        value = "'''"
        fire_above = 0.7
        [[rule]]
        name = "d"
        value = "body.x & '\u0007\\'"
        fire_below = -3
        clear_above = 1.5e3
        hold = "90s"
        clear_hold = "1h"
        count = "2 of 3"
        missing = 0
        severity = "info"
        notify = ["hook"]
        message = "'it is ' & 'hot'"
        cooldown = "1m"
        repeat = "none"
        max_age = "2d"
        [series]
        transform = "'x'"
        "#;

    #[test]
    fn what_is_written_reads_as_what_it_was() {
        let config = Config::parse(WHOLE).unwrap_or_else(|errors| panic!("{errors}"));
        let mut text = WHOLE.split("[[route]]").next().expect("a start").to_owned();
        text += &config.routes.iter().map(Route::to_toml).collect::<String>();
        text += &config.rules.iter().map(Rule::to_toml).collect::<String>();
        text += &Expression::series(config.series.transform.as_ref());
        let again = Config::parse(&text).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
        let shown =
            |config: &Config| format!("{:?} {:?} {:?}", config.routes, config.rules, config.series);
        assert_eq!(shown(&config), shown(&again));
    }
}
