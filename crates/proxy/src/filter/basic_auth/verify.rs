//! A password against one hash; both libraries compare in constant time. Slow on purpose.

use argon2::{
    Argon2,
    password_hash::{PasswordVerifier, phc::PasswordHash},
};

/// bcrypt (`$2…`), or argon2 as a PHC string; anything else is nobody's.
pub(super) fn verify(password: &[u8], hash: &str) -> bool {
    if hash.starts_with("$2") {
        return bcrypt::verify(password, hash).unwrap_or(false);
    }
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}

/// Both of `secret`.
pub(super) const CHEAP_BCRYPT: &str =
    "$2b$04$dmMkFdCgXjPBhFqX5a3qbuhaCKFWgshYTegaOup2PuMswv.gefC2W";
pub(super) const CHEAP_ARGON2: &str =
    "$argon2id$v=19$m=8,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$39tbUSD70LTTCIyCWo9t5sDidhNPptw1P94ISzTyALc";
