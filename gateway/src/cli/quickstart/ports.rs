//! Finds out whether the addresses are free before any work is done.
//!
//! The listeners are held until the gateway takes the addresses over, so that two of the four cannot be the same and a second quickstart
//! that starts meanwhile is told at once.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use super::Arguments;
use super::error::{Error, Result};

/// The four addresses, held.
#[derive(Debug)]
pub(super) struct Ports {
    _held: Vec<TcpListener>,
}

impl Ports {
    /// Takes the addresses of the flags. Port 0 is always free and is left to the gateway.
    ///
    /// # Errors
    /// An address that cannot be taken, with its flag.
    pub(super) fn take(arguments: &Arguments) -> Result<Self> {
        let addresses = [
            ("--flight", arguments.flight),
            ("--rest", arguments.rest),
            ("--ingest", arguments.ingest),
            ("--admin", arguments.admin),
        ];
        let mut held = Vec::new();
        for (flag, address) in addresses.into_iter().filter(|(_, address)| address.port() != 0) {
            held.push(listen(flag, address)?);
        }
        Ok(Self { _held: held })
    }
}

fn listen(flag: &'static str, address: SocketAddr) -> Result<TcpListener> {
    match TcpListener::bind(address) {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(Error::InUse { address, flag }),
        Err(source) => Err(Error::Listen {
            address,
            flag,
            source,
        }),
    }
}
