//! Who is at the other end of a connection, as the system and TLS tell it. A call finds it among its extensions, where
//! the accept loop has put it; no header can.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::Extensions;
use tokio_rustls::rustls::pki_types::CertificateDer;

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Where it comes from: the client, or the proxy before it.
    pub(crate) address: SocketAddr,
    /// Its certificate, checked by TLS; none when it has shown none.
    pub(crate) certificate: Option<Arc<CertificateDer<'static>>>,
}

impl Peer {
    /// The other end of the connection that a call came over.
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Self>().cloned()
    }

    /// The address alone.
    pub(crate) fn ip(&self) -> IpAddr {
        self.address.ip().to_canonical()
    }
}
