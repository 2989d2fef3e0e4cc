//! What listeners and routes do with requests and responses on their way.

use super::Cidr;

/// One filter; their order is the file's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    Headers {
        request: FieldEdits,
        response: FieldEdits,
    },
    /// Only clients of these networks.
    Allow(Vec<Cidr>),
    /// No clients of these networks.
    Deny(Vec<Cidr>),
    /// In bytes; 0 = no body at all.
    MaxBody(u64),
}

/// Names as they are spelt in the file. Done in this order: remove, set, add.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldEdits {
    pub remove: Vec<String>,
    pub set: Vec<(String, String)>,
    pub add: Vec<(String, String)>,
}
