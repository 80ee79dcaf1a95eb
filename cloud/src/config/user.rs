//! `[[user]]`: people with a password of their own.

use argon2::PasswordHash;

use super::section::Section;
use super::{Role, User};

pub(super) fn read(mut section: Section<'_>) -> Option<User> {
    let name = section.name("user");
    let roles = [Role::Viewer, Role::Operator].map(|role| (role.word(), role));
    let role = section.choice("role", &roles);
    section.require("password_hash");
    let password_hash = section.secret("password_hash", |hash| {
        let argon2 =
            PasswordHash::new(hash).is_ok_and(|hash| hash.algorithm.as_str().starts_with("argon2"));
        argon2.then_some(()).ok_or_else(|| {
            "must be what `cloud hash-password` prints, which begins with $argon2id$".to_owned()
        })
    });
    section.close();
    Some(User {
        name: name?,
        role: role.unwrap_or(Role::Viewer),
        password_hash: password_hash?,
    })
}
