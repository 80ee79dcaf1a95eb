//! Who the server runs as. Postgres refuses to run as root, so root hands over to the account `postgres`,
//! else `nobody`; anybody else runs it as themselves. The account needs an entry in the list of users, and
//! every directory above the cluster must let it pass.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// We are root, and the server is not.
    changed: bool,
}

impl Account {
    /// The account for the server. A cluster belongs to the account that made it, also after `postgres` was
    /// added to the users, so its owner goes first.
    pub(super) fn of_server(cluster_owner: Option<u32>) -> Result<Self> {
        let uid = rustix::process::geteuid().as_raw();
        if uid != 0 {
            let gid = rustix::process::getegid().as_raw();
            let changed = false;
            return Ok(Self { uid, gid, changed });
        }
        let users = fs::read_to_string("/etc/passwd").context("cannot read the list of users")?;
        choose(&users, cluster_owner).context(
            "Postgres does not run as root, and there is neither a user `postgres` nor `nobody` to run it; \
             start as another user, or set DATABASE_URL",
        )
    }

    /// The ids to change to before running a program, if any.
    pub(super) fn changed_to(&self) -> Option<(u32, u32)> {
        self.changed.then_some((self.uid, self.gid))
    }

    pub(super) fn run(&self, command: &mut Command) {
        if let Some((uid, gid)) = self.changed_to() {
            command.uid(uid).gid(gid);
        }
    }

    /// Gives `path` to the account.
    pub(super) fn own(&self, path: &Path) -> Result<()> {
        if let Some((uid, gid)) = self.changed_to() {
            chown(path, Some(uid), Some(gid))
                .with_context(|| format!("cannot hand {} to the server", path.display()))?;
        }
        Ok(())
    }

    /// Whether the account can reach what lies in `directory`: may it pass there and through all above?
    pub(super) fn reaches(&self, directory: &Path) -> bool {
        !self.changed
            || directory.ancestors().all(|above| {
                fs::metadata(above).is_ok_and(|found| {
                    may_pass(
                        (self.uid, self.gid),
                        (found.uid(), found.gid()),
                        found.mode(),
                    )
                })
            })
    }
}

/// The most fitting account among `users`, which are lines as in /etc/passwd.
fn choose(users: &str, cluster_owner: Option<u32>) -> Option<Account> {
    let known: Vec<(&str, Account)> = users.lines().filter_map(user).collect();
    let owner = known
        .iter()
        .find(|(_, account)| Some(account.uid) == cluster_owner);
    owner
        .or_else(|| {
            let by_name = |wanted| known.iter().find(|(name, _)| *name == wanted);
            ["postgres", "_postgres", "nobody"]
                .into_iter()
                .find_map(by_name)
        })
        .map(|(_, account)| account.clone())
}

/// One line of the list of users, unless it is a comment or root under whatever name.
fn user(line: &str) -> Option<(&str, Account)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let mut id = || fields.nth(1).and_then(number);
    let uid = id()?;
    let gid = fields.next().and_then(number)?;
    let changed = true;
    (uid != 0).then_some((name, Account { uid, gid, changed }))
}

/// macOS writes the ids of `nobody` as -2.
fn number(text: &str) -> Option<u32> {
    let signed = || text.parse::<i32>().ok().map(i32::cast_unsigned);
    text.parse().ok().or_else(signed)
}

/// The rule of the file system for one directory: the first class that applies decides.
fn may_pass(account: (u32, u32), owner: (u32, u32), mode: u32) -> bool {
    let bit = if account.0 == owner.0 {
        0o100
    } else if account.1 == owner.1 {
        0o010
    } else {
        0o001
    };
    mode & bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_hands_over_to_the_owner_then_postgres_then_nobody() {
        fn check(users: &str, owner: Option<u32>, expected: Option<(u32, u32)>) {
            let chosen = choose(users, owner).map(|account| (account.uid, account.gid));
            assert_eq!(chosen, expected, "{users:?} {owner:?}");
        }
        let root = "root:x:0:0:root:/root:/bin/sh\n";
        let nobody = "nobody:x:65534:65533:nobody:/:/bin/false\n";
        let postgres = "postgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n";
        check(root, None, None);
        check(&format!("{root}{nobody}"), None, Some((65534, 65533)));
        check(&format!("{nobody}{postgres}"), None, Some((101, 104)));
        check(
            &format!("{nobody}{postgres}"),
            Some(65534),
            Some((65534, 65533)),
        );
        check(&format!("{nobody}{postgres}"), Some(7), Some((101, 104)));
        check(&format!("{root}{nobody}"), Some(0), Some((65534, 65533)));
        check(
            "# a comment\n_postgres:*:216:216::/:\n",
            None,
            Some((216, 216)),
        );
        check(
            "nobody:*:-2:-2::/:\n",
            None,
            Some((u32::MAX - 1, u32::MAX - 1)),
        );
    }

    #[test]
    fn the_first_class_that_applies_decides_who_may_pass() {
        fn check(owner: (u32, u32), mode: u32, expected: bool) {
            assert_eq!(
                may_pass((101, 104), owner, mode),
                expected,
                "{owner:?} {mode:o}"
            );
        }
        check((0, 0), 0o40755, true);
        check((0, 0), 0o40700, false);
        check((101, 0), 0o40700, true);
        check((101, 0), 0o40077, false);
        check((0, 104), 0o40710, true);
        check((0, 104), 0o40701, false);
    }
}
