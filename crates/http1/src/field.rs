//! The fields Isobar itself has something to do with, found without allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FieldId {
    Host, Connection, ContentLength, TransferEncoding, Te, Trailer, Upgrade, KeepAlive, ProxyConnection, ProxyAuthenticate, ProxyAuthorization, Proxy, Expect, XForwardedFor, XForwardedProto, XForwardedHost, XForwardedPort, XForwardedPrefix, XRealIp, Forwarded, XRequestId, XRequestStart, XQueueTime, Via, MaxForwards, ContentType, UserAgent, Date, Server, SetCookie, RetryAfter, Http2Settings, Other,
}
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    pub id: FieldId,
    pub name: &'a [u8],
    pub value: &'a [u8],
    pub(crate) hop: bool,
}
