//! Why a quickstart did not start. Every sentence names the thing at fault, and the flag that would help.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The result of the quickstart's parts.
pub(super) type Result<T> = std::result::Result<T, Error>;

/// A failure before the gateway serves.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The folder or a file of it.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The folder or the file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The folder holds something else.
    #[error("{} is not empty and not made by a quickstart; name another folder with --dir", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// The folder's lock is held.
    #[error("another quickstart runs on {}; stop it, or name another folder with --dir", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// An address is taken.
    #[error("{address} is in use; name another address with {flag}, or port 0 for a free one")]
    InUse {
        /// The address.
        address: SocketAddr,
        /// Its flag.
        flag: &'static str,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({flag})")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Its flag.
        flag: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// `credentials.json` is not what a quickstart wrote. The parser's sentence could repeat a password, so only the line is told.
    #[error("{}, line {line}: not what a quickstart writes; remove the file to get new passwords", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// A user that the snippets need is gone.
    #[error("{} has no user {user}; remove the file to get new users", path.display())]
    NoUser {
        /// The credentials file.
        path: PathBuf,
        /// Who is missing.
        user: &'static str,
    },
    /// Passwords.
    #[error("cannot make users")]
    Users(#[source] policies::Error),
    /// The system's source of randomness.
    #[error("the system gives no random bytes")]
    Random,
    /// Another scale than that of the lake.
    #[error(
        "the lake in {} has scale {found}, not {asked}; leave --scale out to use it, name another folder with --dir, or remove it",
        path.display()
    )]
    Scale {
        /// The folder.
        path: PathBuf,
        /// The lake's scale.
        found: f64,
        /// The scale of the command line.
        asked: f64,
    },
    /// Files of a lake whose catalog is gone.
    #[error(
        "{} holds the files of a lake and {} is gone; put the catalog back, name another folder with --dir, or remove the files",
        warehouse.display(),
        catalog.display()
    )]
    NoCatalog {
        /// The folder of the files.
        warehouse: PathBuf,
        /// The catalog's file.
        catalog: PathBuf,
    },
    /// A lake that was made in another folder: its tables name their files by whole paths.
    #[error(
        "the lake in {} was made in {from} and names its files there; move it back, or name another folder with --dir",
        path.display()
    )]
    Moved {
        /// The folder.
        path: PathBuf,
        /// Where a table of the lake says that it lies.
        from: String,
    },
    /// The sample could not be made.
    #[error(
        "the sample lake cannot be read, or could not be finished; a start that was broken off is finished by the next one"
    )]
    Lake(#[source] ingest::Error),
    /// The ingest service could not start.
    #[error("the ingest service cannot start")]
    Ingest(#[source] ingest::Error),
    /// Ctrl-C while the sample was being made.
    #[error("stopped while the sample lake was being made; the next start finishes it")]
    Stopped,
    /// A part of the start crashed: a defect.
    #[error("the start crashed while {doing}")]
    Crashed {
        /// At what.
        doing: &'static str,
    },
}
