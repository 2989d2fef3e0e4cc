//! What listeners and routes do with requests and responses on their way.

use std::fmt;
use std::time::Duration;

use super::{Cidr, NewPath};

/// One filter; their order is the file's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    Headers {
        request: FieldEdits,
        response: FieldEdits,
    },
    Rewrite(Rewrite),
    /// Only clients of these networks.
    Allow(Vec<Cidr>),
    /// No clients of these networks.
    Deny(Vec<Cidr>),
    RateLimit(RateLimit),
    BasicAuth(BasicAuth),
    /// In bytes; 0 = no body at all.
    MaxBody(u64),
    Compression(Compression),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    pub path: Option<NewPath>,
    pub host: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    pub key: RateKey,
    /// So many in every `unit`.
    pub count: u32,
    pub unit: Duration,
    pub burst: u32,
    /// Keys known at a time.
    pub keys: usize,
}

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateKey {
    ClientIp,
    /// In lower case.
    Header(String),
    Global,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasicAuth {
    /// Every name once; at least one.
    pub users: Vec<User>,
    pub realm: String,
    pub authorization: Forwarding,
}

/// A name and the hash of its password: bcrypt, or argon2 as a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub hash: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("User(…)")
    }
}

/// Whether a worker gets `Authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarding {
    Remove,
    Keep,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    /// The earlier one is preferred.
    pub encodings: Vec<Coding>,
    /// In lower case; maybe with `*` for the second half.
    pub types: Vec<String>,
    pub min_size: u64,
    /// Bodies encoded at once.
    pub max_active: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Br,
    Zstd,
}

/// Names as they are spelt in the file. Done in this order: remove, set, add.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldEdits {
    pub remove: Vec<String>,
    pub set: Vec<(String, String)>,
    pub add: Vec<(String, String)>,
}
