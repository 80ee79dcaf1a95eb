//! The tokens of a service that was started without any: made once, kept in the data directory, shown with what to do.

use secrecy::ExposeSecret;

use crate::config::Config;
use crate::receive::auth::kept_or_made;

/// Fills in the tokens that the configuration leaves out. Returns what a person should be told, if one was made just now.
pub fn complete(config: &mut Config) -> anyhow::Result<Option<String>> {
    let mut made = false;
    if config.access.notehub_tokens.is_empty() {
        let (token, fresh) = kept_or_made(&config.database.data_dir, "notehub-token")?;
        config.access.notehub_tokens.push(token);
        made |= fresh;
    }
    if config.access.people_token.is_none() {
        let (token, fresh) = kept_or_made(&config.database.data_dir, "people-token")?;
        config.access.people_token = Some(token);
        made |= fresh;
    }
    Ok(made.then(|| welcome(config)))
}

/// How to point Notehub here.
fn welcome(config: &Config) -> String {
    let base = config.server.public_url.as_ref().map_or_else(
        || format!("https://<this host, port {}>", config.server.listen.port()),
        |url| url.as_str().trim_end_matches('/').to_owned(),
    );
    let notehub = config
        .access
        .notehub_tokens
        .first()
        .map_or("", |token| token.expose_secret());
    let people = config
        .access
        .people_token
        .as_ref()
        .map_or("", |token| token.expose_secret());
    format!(
        "This is the first start, so tokens were made. They are kept, readable by you alone, in {data}.

  In Notehub: Routes > Create route > General HTTP/HTTPS Request/Response
    URL            {base}/notehub
    HTTP header    Authorization: Bearer {notehub}
    Notefiles      all, or thermal.qo and alert.qo
    Transform      none: the events themselves are wanted
    Retry          on

  For people: sign in at {base}/ with
    {people}
  For scripts, at {base}/api/v1
    HTTP header    Authorization: Bearer {people}
",
        data = config.database.data_dir.display(),
    )
}
