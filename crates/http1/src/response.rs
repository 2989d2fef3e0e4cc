//! skeleton
use crate::*;
#[derive(Debug, Default)]
pub struct ResponseHead {}
impl ResponseHead {
    pub fn new() -> Self { Self::default() }
    pub fn reset(&mut self) {}
    pub fn parse(&mut self, _input: &[u8], _limits: &Limits, _request_method: &[u8]) -> Result<Parsed, Error> { Err(Error::Truncated) }
    pub fn status(&self) -> u16 { 0 }
    pub fn reason(&self) -> &[u8] { &[] }
    pub fn version(&self) -> Version { Version::Http11 }
    pub fn body(&self) -> ResponseBody { ResponseBody::None }
    pub fn keep_alive(&self) -> bool { false }
    pub fn is_interim(&self) -> bool { false }
    pub fn upgrade(&self) -> Option<&[u8]> { None }
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> { std::iter::empty() }
    pub fn value(&self, _id: FieldId) -> Option<&[u8]> { None }
    pub fn values(&self, _id: FieldId) -> impl Iterator<Item = &[u8]> { std::iter::empty() }
    pub fn values_named<'a>(&'a self, _name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> { std::iter::empty() }
    pub fn is_hop_by_hop(&self, field: &Field<'_>) -> bool { field.hop }
    pub fn remove(&mut self, _id: FieldId) {}
    pub fn set(&mut self, _name: impl AsRef<[u8]>, _value: impl AsRef<[u8]>) {}
    pub fn append(&mut self, _name: impl AsRef<[u8]>, _value: impl AsRef<[u8]>) {}
    pub fn encode(&self, _out: &mut Vec<u8>, _framing: ResponseFraming, _connection: Connection, _client: Version) {}
    pub fn encode_interim(&self, _out: &mut Vec<u8>) {}
}
