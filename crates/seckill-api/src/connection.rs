//! A connection that is given up when it has been told nothing for too long.
//!
//! The server's own limits are those of the first head and of a connection at rest. Somebody who had an answer and then
//! sends half a request would have the connection for ever, and with a few thousand of them nobody else would come in.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// A stream whose reading fails once nothing has been written to it for so long.
pub struct Bounded<S> {
    stream: S,
    silence: Duration,
    written: Instant,
    /// Looks at `written` when it rings, and is set anew then: not for each request.
    alarm: Pin<Box<Sleep>>,
}

impl<S> Bounded<S> {
    /// `stream`, to which something must be written at least every `silence`.
    pub fn new(stream: S, silence: Duration) -> Self {
        let written = Instant::now();
        Self { stream, silence, written, alarm: Box::pin(sleep_until(written + silence)) }
    }

    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            ready!(self.alarm.as_mut().poll(context));
            let due = self.written + self.silence;
            if due <= Instant::now() {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            self.alarm.as_mut().reset(due);
        }
    }

    fn note(&mut self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(1..)) = written {
            self.written = Instant::now();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_pending() { self.poll_silence(context).map(Err) } else { read }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const SILENCE: Duration = Duration::from_secs(80);

    #[tokio::test(start_paused = true)]
    async fn p6_who_trickles_half_a_request_is_given_up_and_who_is_answered_is_not() {
        let (mut client, server) = duplex(64);
        let mut server = Bounded::new(server, SILENCE);
        let began = Instant::now();
        for _ in 0..3 {
            client.write_all(b"ask").await.unwrap();
            server.read_exact(&mut [0; 3]).await.unwrap();
            tokio::time::sleep(SILENCE * 3 / 4).await;
            server.write_all(b"answer").await.unwrap();
        }
        let answered = Instant::now();
        assert!(answered - began > SILENCE * 2);
        let trickle = tokio::spawn(async move {
            while client.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(7)).await;
            }
        });
        let given_up = loop {
            if let Err(error) = server.read_exact(&mut [0; 1]).await {
                break error;
            }
        };
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
        assert_eq!((Instant::now() - answered).as_secs(), SILENCE.as_secs());
        drop(server);
        trickle.await.unwrap();
    }
}
