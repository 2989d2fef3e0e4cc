//! A byte stream of the admin API, whatever it runs over.

use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}
