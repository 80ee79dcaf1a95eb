//! `deploy/cloud.toml` against the defaults.

use super::*;

const SHIPPED: &str = include_str!("../../../../deploy/cloud.toml");

/// The shipped file with its examples, and with its defaults too if asked, as its head explains.
fn uncommented(defaults: bool) -> String {
    let lines = SHIPPED.lines().map(|line| match line.strip_prefix("#+ ") {
        Some(example) => example,
        None => match line.strip_prefix('#') {
            Some(setting)
                if defaults && setting.starts_with(|first: char| first.is_ascii_lowercase()) =>
            {
                setting
            }
            _ => line,
        },
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_file_is_at_the_defaults() {
    assert_eq!(
        format!("{:?}", accept(SHIPPED)),
        format!("{:?}", accept(""))
    );
    // With the examples in place every section has what it requires, and its defaults written out
    // change nothing.
    let (examples, whole) = (uncommented(false), uncommented(true));
    assert!(
        whole
            .lines()
            .any(|line| line == "listen = \"127.0.0.1:8080\""),
        "{whole}"
    );
    assert_eq!(
        format!("{:?}", accept(&whole)),
        format!("{:?}", accept(&examples))
    );
}

#[test]
fn the_shipped_file_names_every_key() {
    // An unknown key in each table makes the reader list the keys that it knows there.
    let unknown = "\nqqqqqqqqqqqqqqqqqqqqqqqq = 1\n";
    let toml: Vec<String> = uncommented(true)
        .lines()
        .map(|line| {
            if line.starts_with('[') {
                format!("{line}{unknown}")
            } else {
                line.to_owned()
            }
        })
        .collect();
    let errors = Config::parse(&toml.join("\n")).expect_err("unknown keys");
    assert_eq!(errors.problems.len(), 14, "{errors}");
    for problem in &errors.problems {
        let (_, known) = problem
            .split_once("known here: ")
            .expect("a list of the known keys");
        for key in known.split(", ") {
            assert!(
                SHIPPED.contains(&format!("{key} = ")),
                "deploy/cloud.toml has no `{key}`"
            );
        }
    }
}
