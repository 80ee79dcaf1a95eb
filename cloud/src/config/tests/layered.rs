//! The environment over the file, and files beside it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use secrecy::ExposeSecret;

use super::*;

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("thermal-config-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder for the test");
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a file for the test");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_environment_lies_over_the_file() {
    let folder = Folder::new("environment");
    let file = folder.write(
        "cloud.toml",
        "[server]\nlisten='127.0.0.1:1'\nbody_limit='1MiB'\n[database]\nurl='postgres://file/db'\n[access]\npeople_token='from-the-file-of-text'\n",
    );
    folder.write("people", "0042-people-token-0042\r\n");
    let variables = environment(&[
        ("CLOUD__SERVER__LISTEN", "127.0.0.1:2"),
        ("CLOUD__SERVER__REQUEST_TIMEOUT", "3s"),
        ("CLOUD__SERVER__BODY_LIMIT", ""),
        ("CLOUD__DATABASE__MAX_CONNECTIONS", "7"),
        (
            "CLOUD__ACCESS__NOTEHUB_TOKENS",
            "0012345678901234, 1e5,true",
        ),
        ("CLOUD__ACCESS__PEOPLE_TOKEN__FILE", "people"),
        ("DATABASE_URL", "postgres://variable/db"),
        ("PATH", "/bin"),
    ]);
    let loaded = Config::load(Some(&file), &variables).expect("a good configuration");
    let config = loaded.config;
    assert_eq!(config.server.listen.port(), 2);
    assert_eq!(
        (
            config.server.body_limit,
            config.server.request_timeout.as_secs()
        ),
        (1024 * 1024, 3)
    );
    assert_eq!(config.database.max_connections, 7);
    let tokens: Vec<_> = config
        .access
        .notehub_tokens
        .iter()
        .map(ExposeSecret::expose_secret)
        .collect();
    assert_eq!(tokens, ["0012345678901234", "1e5", "true"]);
    let people = config.access.people_token.expect("the token in the file");
    assert_eq!(people.expose_secret(), "0042-people-token-0042");
    assert_eq!(
        config.database.url.expect("a url").expose_secret(),
        "postgres://variable/db"
    );
    assert_eq!(loaded.path, Some(file));
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    let single = environment(&[("CLOUD__ACCESS__PEOPLE_TOKEN", "000123")]);
    let config = Config::load(None, &single)
        .expect("a good configuration")
        .config;
    assert_eq!(
        config.access.people_token.expect("a token").expose_secret(),
        "000123"
    );
}

#[test]
fn variables_that_cannot_be() {
    let cases = [
        (
            ("CLOUD__SERVER__LISTN", "x"),
            "CLOUD__SERVER__LISTN is not a known setting; did you mean `CLOUD__SERVER__LISTEN`?",
        ),
        (
            ("CLOUD__SERVR__LISTEN", "x"),
            "CLOUD__SERVR__LISTEN is not a known setting; did you mean `CLOUD__SERVER__LISTEN`?",
        ),
        (
            ("CLOUD__SERVER", "x"),
            "CLOUD__SERVER must name a section and a key",
        ),
        (
            ("CLOUD__SERVER____LISTEN", "x"),
            "must name a section and a key",
        ),
        (
            ("CLOUD__DESTINATION__0__TOKEN", "x"),
            "a destination can only be set in the file",
        ),
        (
            ("CLOUD__DATABASE__MAX_CONNECTIONS", "many"),
            "CLOUD__DATABASE__MAX_CONNECTIONS must be a whole number",
        ),
        (
            ("CLOUD__SERVER__REQUEST_TIMEOUT", "10"),
            "CLOUD__SERVER__REQUEST_TIMEOUT is \"10\": it needs a unit",
        ),
        (
            ("CLOUD__SERVER__LISTEN__FILE", "x"),
            "`server.listen` must be an address and port",
        ),
        (
            ("DATABASE_URL", "hunter2"),
            "`database.url` must start with postgres://",
        ),
        (
            ("CLOUD_CONFIG", "/nonexistent/cloud.toml"),
            "cannot read the file /nonexistent/cloud.toml",
        ),
    ];
    for (variable, expected) in cases {
        let errors = Config::load(None, &environment(&[variable])).expect_err(expected);
        assert_eq!(errors.problems.len(), 1, "{errors}");
        assert!(
            errors.to_string().contains(expected),
            "{errors}\nhas no {expected:?}"
        );
        assert!(
            !errors.to_string().contains("hunter2"),
            "a secret shows: {errors}"
        );
    }
    let both = environment(&[
        ("CLOUD__ACCESS__PEOPLE_TOKEN", "a"),
        ("CLOUD__ACCESS__PEOPLE_TOKEN__FILE", "b"),
    ]);
    let errors = Config::load(None, &both).expect_err("both");
    assert!(
        errors.to_string().contains("are both set; keep one"),
        "{errors}"
    );
    let missing = Config::load(Some(Path::new("/nonexistent/x.toml")), &BTreeMap::new());
    assert!(
        missing
            .expect_err("no file")
            .to_string()
            .contains("/nonexistent/x.toml has an error")
    );
}

#[test]
fn files_beside_the_configuration() {
    let folder = Folder::new("beside");
    folder.write("route.jsonata", "{ 'a': body.a }\n");
    let open = folder.write("open.token", "t-from-a-file\n");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).expect("its mode");
    let destination = "[[destination]]\nname='u'\nkind='ubidots'\ntoken={ file = 'open.token' }\n";
    let route = "[[route]]\nname='r'\ndestination='u'\ntransform_file='route.jsonata'\n";
    let file = folder.write(
        "cloud.toml",
        &format!("{destination}{route}[retention]\nevents='1y'\n"),
    );
    let loaded = Config::load(Some(&file), &BTreeMap::new()).expect("a good configuration");
    let transform = loaded.config.routes[0]
        .transform
        .clone()
        .expect("a transform");
    assert_eq!(transform.text, "{ 'a': body.a }\n");
    assert!(
        transform.source.ends_with("route.jsonata"),
        "{}",
        transform.source
    );
    let DestinationKind::Ubidots(ubidots) = &loaded.config.destinations[0].kind else {
        panic!("{:?}", loaded.config);
    };
    assert_eq!(ubidots.token.expose_secret(), "t-from-a-file");
    let warnings = loaded.warnings.join("\n");
    assert!(
        warnings.contains("open.token is readable by everyone"),
        "{warnings}"
    );
    assert_eq!(loaded.warnings.len(), 1, "{warnings}");

    folder.write("open.token", "\n");
    folder.write("route.jsonata", &"x".repeat(64 * 1024 + 1));
    let errors = Config::load(Some(&file), &BTreeMap::new())
        .expect_err("an empty secret")
        .to_string();
    assert!(
        errors.contains("open.token is empty") && errors.contains("at most 64 KiB"),
        "{errors}"
    );
}
