//! skeleton
use crate::*;
#[derive(Debug, Default)]
pub struct RequestHead {}
impl RequestHead {
    pub fn new() -> Self { Self::default() }
    pub fn reset(&mut self) {}
    pub fn parse(&mut self, _input: &[u8], _limits: &Limits) -> Result<Parsed, Error> { Err(Error::Truncated) }
    pub fn method(&self) -> &[u8] { &[] }
    pub fn target(&self) -> &[u8] { &[] }
    pub fn path_and_query(&self) -> &[u8] { &[] }
    pub fn authority(&self) -> &[u8] { &[] }
    pub fn version(&self) -> Version { Version::Http11 }
    pub fn body(&self) -> Body { Body::None }
    pub fn keep_alive(&self) -> bool { false }
    pub fn expect_continue(&self) -> bool { false }
    pub fn upgrade(&self) -> Option<&[u8]> { None }
    pub fn is_idempotent(&self) -> bool { false }
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> { std::iter::empty() }
    pub fn value(&self, _id: FieldId) -> Option<&[u8]> { None }
    pub fn values(&self, _id: FieldId) -> impl Iterator<Item = &[u8]> { std::iter::empty() }
    pub fn values_named<'a>(&'a self, _name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> { std::iter::empty() }
    pub fn is_hop_by_hop(&self, field: &Field<'_>) -> bool { field.hop }
    pub fn remove(&mut self, _id: FieldId) {}
    pub fn set(&mut self, _name: impl AsRef<[u8]>, _value: impl AsRef<[u8]>) {}
    pub fn append(&mut self, _name: impl AsRef<[u8]>, _value: impl AsRef<[u8]>) {}
    pub fn set_path(&mut self, _path: &[u8]) {}
    pub fn encode(&self, _out: &mut Vec<u8>, _framing: Body) {}
    pub fn encode_upgrade(&self, _out: &mut Vec<u8>) {}
}
