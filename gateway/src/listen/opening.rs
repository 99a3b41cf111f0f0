//! A bound on how long a connection may take to say which protocol it speaks. Before that is known no timeout of a
//! protocol runs, and a silent connection would hold its place for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What every HTTP/2 connection begins with (RFC 9113, 3.4). The first byte that differs makes it HTTP/1.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream that fails to read when its opening takes too long.
pub(super) struct Opening<S> {
    inner: S,
    /// Bytes of the preface that have come.
    seen: usize,
    /// None once the protocol is known.
    limit: Option<Pin<Box<Sleep>>>,
}

impl<S> Opening<S> {
    pub(super) fn new(inner: S, limit: Duration) -> Self {
        Self {
            inner,
            seen: 0,
            limit: Some(Box::pin(sleep(limit))),
        }
    }

    /// Takes note of bytes that have come.
    fn saw(&mut self, bytes: &[u8]) {
        let rest = &PREFACE[self.seen..];
        let same = bytes
            .iter()
            .zip(rest)
            .take_while(|(came, wanted)| came == wanted)
            .count();
        self.seen += same;
        // The end of the stream, a byte of HTTP/1, or the whole preface.
        if bytes.is_empty() || same < bytes.len().min(rest.len()) || self.seen == PREFACE.len() {
            self.limit = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Opening<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(context, into);
        let Some(limit) = &mut this.limit else {
            return read;
        };
        match read {
            Poll::Ready(Ok(())) => {
                this.saw(&into.filled()[before..]);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(failed) => Poll::Ready(failed),
            Poll::Pending => match limit.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opening<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// Whether a connection that has sent this is still held to the limit.
    async fn is_limited(sent: &[u8]) -> bool {
        let (mut client, server) = duplex(64);
        let mut server = Opening::new(server, Duration::from_secs(3600));
        client.write_all(sent).await.expect("room");
        let mut read = vec![0; sent.len()];
        server.read_exact(&mut read).await.expect("what was sent");
        assert_eq!(read, sent);
        server.limit.is_some()
    }

    #[tokio::test]
    async fn the_limit_ends_when_the_protocol_is_known() {
        assert!(is_limited(b"P").await);
        assert!(is_limited(b"PRI * HT").await);
        // From here on the protocol has a timeout of its own.
        assert!(!is_limited(b"G").await);
        assert!(!is_limited(b"PUT /").await);
        assert!(!is_limited(PREFACE).await);
    }

    #[tokio::test]
    async fn who_says_nothing_is_cut_off() {
        let (_client, server) = duplex(64);
        let failed = Opening::new(server, Duration::from_millis(1)).read_u8().await;
        assert_eq!(failed.expect_err("no byte").kind(), io::ErrorKind::TimedOut);
    }
}
