//! Who may sign in, and with what: the people token, or a user's name and password.
//!
//! A credential is known here by its digest, which a session remembers: when a token or a password is replaced, the
//! sessions that were opened with the old one are over. Passwords are compared by Argon2, which is slow by design, so few at
//! a time and on threads of their own. A name that nobody has takes as long as a wrong password.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use argon2::password_hash::SaltString;
use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::config::{Config, PEOPLE, Role};
use crate::receive::auth::Tokens;

/// So many tries at once, and then one in half a minute, for each place that they come from.
const TRIES: NonZeroU32 = NonZeroU32::new(10).expect("more than none");
const TRY_AGAIN: Duration = Duration::from_secs(30);
/// Passwords compared at once: each takes some 20 MB and some hundredths of a second of a processor.
const COMPARED_AT_ONCE: usize = 2;
/// Places that tried before are forgotten when there are more than this.
const PLACES: usize = 10_000;

/// Compared with when nobody has the name, so that the answer takes as long. Made when it is first needed: a start need not
/// wait for it.
static NOBODY: LazyLock<SecretString> = LazyLock::new(|| hash("nobody").unwrap_or_default().into());

pub type CredentialDigest = [u8; 32];

/// Somebody whose credential was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    pub role: Role,
    pub credential: CredentialDigest,
}

pub struct Accounts {
    people: Tokens,
    people_account: Option<Account>,
    users: Vec<(Account, SecretString)>,
    compare: Arc<Semaphore>,
    tries: DefaultKeyedRateLimiter<String>,
}

impl Accounts {
    pub fn new(config: &Config) -> Self {
        let people_account = config.access.people_token.as_ref().map(|token| Account {
            name: PEOPLE.to_owned(),
            role: Role::Operator,
            credential: digest(token.expose_secret()),
        });
        let users = config.users.iter().map(|user| {
            let account = Account {
                name: user.name.clone(),
                role: user.role,
                credential: digest(user.password_hash.expose_secret()),
            };
            (account, user.password_hash.clone())
        });
        Self {
            people: Tokens::new(&config.access.people_token),
            people_account,
            users: users.collect(),
            compare: Arc::new(Semaphore::new(COMPARED_AT_ONCE)),
            tries: RateLimiter::keyed(
                Quota::with_period(TRY_AGAIN)
                    .unwrap_or(Quota::per_minute(TRIES))
                    .allow_burst(TRIES),
            ),
        }
    }

    /// Whether there are names at all; else the sign-in page asks for the people token alone.
    pub fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    pub fn by_token(&self, token: &str) -> Option<Account> {
        let accepted = self.people.accept(token);
        self.people_account.clone().filter(|_| accepted)
    }

    pub async fn by_password(&self, name: &str, password: &str) -> Option<Account> {
        let user = self.users.iter().find(|(account, _)| account.name == name);
        let hash = user.map(|(_, hash)| hash.clone());
        let password = SecretString::from(password.to_owned());
        let permit = self.compare.clone().acquire_owned().await.ok()?;
        let right = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let hash = hash.as_ref().unwrap_or(&NOBODY);
            verify(password.expose_secret(), hash.expose_secret())
        });
        let right = right.await.unwrap_or(false);
        user.map(|(account, _)| account.clone()).filter(|_| right)
    }

    /// The account of a session, as it is today; none if it is gone or its credential was replaced.
    pub fn of_session(&self, name: &str, credential: &[u8]) -> Option<Account> {
        let people = self.people_account.iter();
        let mut all = people.chain(self.users.iter().map(|(account, _)| account));
        all.find(|account| account.name == name && account.credential == credential)
            .cloned()
    }

    /// Counts a try to sign in; the error is how long to wait before the next.
    pub fn try_from(&self, place: Option<IpAddr>) -> Result<(), Duration> {
        if self.tries.len() > PLACES {
            self.tries.retain_recent();
        }
        self.tries.check_key(&place_key(place)).map_err(|refused| {
            refused.wait_time_from(governor::clock::Clock::now(
                &governor::clock::DefaultClock::default(),
            ))
        })
    }
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} users", self.users.len())
    }
}

/// Whoever has one address of version 6 has the whole network of 64 bits.
fn place_key(place: Option<IpAddr>) -> String {
    match place {
        None => String::new(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
            Some(address) => address.to_string(),
            None => format!("{:x?}", &address.segments()[..4]),
        },
    }
}

fn digest(credential: &str) -> CredentialDigest {
    Sha256::digest(credential.as_bytes()).into()
}

fn verify(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

/// What `[[user]]` keeps of a password.
pub fn hash(password: &str) -> anyhow::Result<String> {
    let random: [u8; 16] = rand::random();
    let salt = SaltString::encode_b64(&random)
        .map_err(|error| anyhow::anyhow!("making a salt: {error}"))?;
    let hash = Argon2::default()
        .hash_password(password.as_bytes(), &salt)
        .map_err(|error| anyhow::anyhow!("hashing the password: {error}"))?;
    Ok(hash.to_string())
}
