//! The section `[listen]`: addresses.
//!
//! Invariant: passwords and tokens do not travel in the clear beyond this machine unless the owner has said so.

use super::fault::Fault;
use serde::{Deserialize, Deserializer, de};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where the gateway listens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// The Flight SQL listener (gRPC). Port 0 picks a free port.
    #[serde(deserialize_with = "address")]
    pub flight: SocketAddr,
    /// The REST listener (HTTP/1.1 and HTTP/2). Port 0 picks a free port.
    #[serde(deserialize_with = "address")]
    pub rest: SocketAddr,
    /// The listener of metrics and probes, always in plaintext and without login. Port 0 picks a free port.
    #[serde(deserialize_with = "address")]
    pub admin: SocketAddr,
    /// Whether listeners without TLS may be reached from other machines.
    pub allow_plaintext: bool,
}

impl Default for Listen {
    fn default() -> Self {
        let local = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            flight: local(50051),
            rest: local(8080),
            admin: local(9090),
            allow_plaintext: false,
        }
    }
}

impl Listen {
    /// Refuses plaintext beyond loopback. `tls` says whether the Flight and REST listeners are encrypted.
    ///
    /// # Errors
    /// A [`Fault`] with the listener at fault.
    pub fn validate(&self, tls: bool) -> Result<(), Fault> {
        if self.allow_plaintext {
            return Ok(());
        }
        for (key, address, encrypted) in [
            ("flight", self.flight, tls),
            ("rest", self.rest, tls),
            ("admin", self.admin, false),
        ] {
            if !encrypted && !address.ip().to_canonical().is_loopback() {
                let fault = Fault::at(format!("listen.{key}"), "is not loopback and would be plaintext");
                let hint = "set `tls.certificate` and `tls.key`, or `listen.allow_plaintext = true`";
                let admin = "use a loopback address, or set `listen.allow_plaintext = true`";
                return Err(fault.with_hint(if key == "admin" { admin } else { hint }));
            }
        }
        Ok(())
    }
}

/// Reads `IP:PORT`, `[IPv6]:PORT` or `localhost:PORT`.
///
/// # Errors
/// A sentence that says what is expected.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let local = text
        .strip_prefix("localhost:")
        .map(|port| format!("127.0.0.1:{port}"));
    local
        .as_deref()
        .unwrap_or(text)
        .parse()
        .map_err(|_| format!("`{text}` is not an address such as 127.0.0.1:8080 or [::1]:8080"))
}

fn address<'de, D: Deserializer<'de>>(source: D) -> Result<SocketAddr, D::Error> {
    parse_address(&String::deserialize(source)?).map_err(de::Error::custom)
}
