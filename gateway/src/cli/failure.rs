//! Why a command failed, for the person who typed it.

use crate::config::Fault;
use arrow::error::ArrowError;
use arrow_flight::error::FlightError;
use std::error::Error as _;
use std::io;
use tonic::{Code, Status};

/// A failure of a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The config.
    #[error(transparent)]
    Config(#[from] Fault),
    /// Users, policies or keys.
    #[error(transparent)]
    Policies(#[from] policies::Error),
    /// The gateway itself.
    #[error(transparent)]
    Gateway(#[from] crate::error::Error),
    /// The quickstart.
    #[error(transparent)]
    Quickstart(#[from] super::quickstart::Error),
    /// The system.
    #[error("{action} failed")]
    Io {
        /// What was tried.
        action: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Some of the checks of `lakegate check`; they have been printed.
    #[error("{failed} of {total} checks failed, first {first}")]
    Checks {
        /// The key of the first.
        first: String,
        /// How many failed.
        failed: usize,
        /// How many there are.
        total: usize,
    },
    /// `lakegate sql` does not know where to go or as whom.
    #[error("{problem}")]
    Target {
        /// What is missing or wrong.
        problem: String,
    },
    /// No connection to the gateway.
    #[error("cannot connect to {url}")]
    Connect {
        /// Where to.
        url: String,
        /// What the transport said.
        #[source]
        source: tonic::transport::Error,
    },
    /// The gateway refused, in its own sentence.
    #[error("{}", sentence(status))]
    Server {
        /// What it answered.
        status: Box<Status>,
    },
    /// The answer of the gateway cannot be read or shown.
    #[error("{what}")]
    Answer {
        /// What is wrong with it.
        what: String,
        /// The cause.
        #[source]
        source: ArrowError,
    },
    /// The gateway did not keep to the protocol.
    #[error("the answer of the gateway cannot be read: {problem}")]
    Protocol {
        /// How.
        problem: String,
    },
    /// A backslash command that does not exist, or that found nothing.
    #[error("{problem}")]
    Command {
        /// What is wrong.
        problem: String,
    },
    /// Ctrl-C.
    #[error("cancelled")]
    Cancelled,
}

impl Failure {
    pub(crate) fn io(action: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            action: action.into(),
            source,
        }
    }

    /// The failure with its causes, in one line.
    pub(crate) fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some causes repeat what is around them.
            if !line.ends_with(&text) {
                line = format!("{line}: {text}");
            }
            cause = error.source();
        }
        line
    }

    /// Whether the reader of our output has gone.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::BrokenPipe,
            Self::Answer {
                source: ArrowError::IoError(_, source),
                ..
            } => source.kind() == io::ErrorKind::BrokenPipe,
            _ => false,
        }
    }

    /// Whether the gateway wants to see a password again.
    pub(crate) fn is_unauthenticated(&self) -> bool {
        matches!(self, Self::Server { status } if status.code() == Code::Unauthenticated)
    }
}

/// The gateway's sentence ends with its own code; where it has none, the gRPC code tells more than nothing.
fn sentence(status: &Status) -> String {
    let (code, text) = (status.code(), status.message());
    match text {
        "" => format!("{} ({code:?})", code.description()),
        text if text.contains("(LG") => text.to_owned(),
        text => format!("{text} ({code:?})"),
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Server {
            status: Box::new(status),
        }
    }
}

impl From<FlightError> for Failure {
    fn from(error: FlightError) -> Self {
        match error {
            FlightError::Tonic(status) => Self::Server { status },
            FlightError::Arrow(source) => Self::Answer {
                what: "the answer of the gateway cannot be read".to_owned(),
                source,
            },
            FlightError::NotYetImplemented(problem)
            | FlightError::ProtocolError(problem)
            | FlightError::DecodeError(problem) => Self::Protocol { problem },
            FlightError::ExternalError(error) => Self::Protocol {
                problem: error.to_string(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Failure;
    use arrow_flight::error::FlightError;
    use std::io;
    use tonic::Status;

    #[test]
    fn the_sentence_of_the_gateway_stands_alone() {
        let cases = [
            (
                Status::not_found("table 'a' not found (LG1003)"),
                "table 'a' not found (LG1003)",
            ),
            (Status::unavailable("no route"), "no route (Unavailable)"),
            (
                Status::unimplemented(""),
                "Operation is not implemented or not supported (Unimplemented)",
            ),
        ];
        for (status, expected) in cases {
            let failure = Failure::from(FlightError::from(status));
            assert_eq!(failure.chain(), expected);
        }
        assert!(Failure::from(Status::unauthenticated("x")).is_unauthenticated());
    }

    #[test]
    fn a_chain_has_every_cause_once() {
        let failure = Failure::io("reading gateway.toml", io::Error::other("no such file"));
        assert_eq!(failure.chain(), "reading gateway.toml failed: no such file");
        assert!(Failure::io("x", io::ErrorKind::BrokenPipe.into()).is_broken_pipe());
    }
}
