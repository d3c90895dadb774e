//! A connection that is given up when it has been told nothing for too long, or keeps its task awake for nothing.
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

/// So many flushes in one second, with no read between them, mean that a connection's task spins: its buffer is full of
/// requests behind one that is still being answered (an event stream), and it wakes itself to look again, for ever.
const IDLE_FLUSHES: u32 = 1_000;

/// A stream that fails to read once nothing was written to it for `silence`, counted from the last write or from the
/// first read after it; and that fails to flush where nothing else is done.
pub struct Bounded<S> {
    stream: S,
    silence: Duration,
    since: Instant,
    was_answered: bool,
    /// Looks at `since` when it rings, and is set anew then: not for each request.
    alarm: Pin<Box<Sleep>>,
    flushes: u32,
    /// When the second of them was.
    since_flush: Instant,
}

impl<S> Bounded<S> {
    /// `stream`, to which something must be written at least every `silence`.
    pub fn new(stream: S, silence: Duration) -> Self {
        let since = Instant::now();
        let alarm = Box::pin(sleep_until(since + silence));
        Self { stream, silence, since, was_answered: true, alarm, flushes: 0, since_flush: since }
    }

    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            ready!(self.alarm.as_mut().poll(context));
            let due = self.since + self.silence;
            if due <= Instant::now() {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            self.alarm.as_mut().reset(due);
        }
    }

    /// Whether nothing else is done any more.
    fn only_flushes(&mut self) -> bool {
        self.flushes += 1;
        // One flush between two reads is the rule, and not worth a look at the clock.
        if self.flushes == 2 {
            self.since_flush = Instant::now();
        }
        if self.flushes < IDLE_FLUSHES {
            return false;
        }
        self.flushes = 0;
        self.since_flush.elapsed() < Duration::from_secs(1)
    }

    fn note_read(&mut self) {
        if self.was_answered {
            (self.since, self.was_answered) = (Instant::now(), false);
        }
    }

    fn note_written(&mut self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(1..)) = written {
            (self.since, self.was_answered) = (Instant::now(), true);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.flushes = 0;
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => return self.poll_silence(context).map(Err),
            Poll::Ready(Ok(())) if buffer.filled().len() > before => self.note_read(),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note_written(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.only_flushes() {
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::timeout,
    };

    use super::*;

    const SILENCE: Duration = Duration::from_secs(80);

    /// `client` asks, and is answered after `pause`, in which the server goes on reading.
    async fn exchange(client: &mut DuplexStream, server: &mut Bounded<DuplexStream>, pause: Duration) {
        client.write_all(b"ask").await.unwrap();
        server.read_exact(&mut [0; 3]).await.unwrap();
        let hung_up = timeout(pause, server.read_u8()).await;
        assert!(hung_up.is_err(), "{hung_up:?}");
        server.write_all(b"answer").await.unwrap();
        client.read_exact(&mut [0; 6]).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn p6_who_trickles_half_a_request_is_given_up() {
        let (mut client, server) = duplex(64);
        let mut server = Bounded::new(server, SILENCE);
        exchange(&mut client, &mut server, Duration::ZERO).await;
        let answered = Instant::now();
        let trickle = tokio::spawn(async move {
            while client.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(7)).await;
            }
        });
        let given_up = async {
            while server.read_u8().await? == b'x' {}
            Ok(())
        };
        let given_up: io::Result<()> = timeout(SILENCE * 2, given_up).await.expect("it is given up");
        assert_eq!(given_up.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(answered.elapsed().as_secs(), SILENCE.as_secs());
        drop(server);
        trickle.await.unwrap();
    }

    #[tokio::test]
    async fn p6_a_task_that_only_flushes_is_given_up_and_one_that_reads_is_not() {
        let (_client, server) = duplex(64);
        let mut server = Bounded::new(server, SILENCE);
        for _ in 0..IDLE_FLUSHES * 3 {
            server.flush().await.unwrap();
            assert!(futures_util::poll!(pin!(server.read_u8())).is_pending());
        }
        let flushed = async {
            for _ in 0..IDLE_FLUSHES {
                server.flush().await?;
            }
            Ok(())
        };
        let flushed: io::Result<()> = flushed.await;
        assert_eq!(flushed.unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_answered_has_as_long_for_each_request_whatever_was_before_it() {
        let (mut client, server) = duplex(64);
        let mut server = Bounded::new(server, SILENCE);
        for _ in 0..3 {
            // At rest for a while, and then the answer takes another.
            let nothing = timeout(SILENCE * 3 / 4, server.read_u8()).await;
            assert!(nothing.is_err(), "{nothing:?}");
            exchange(&mut client, &mut server, SILENCE * 3 / 4).await;
        }
    }
}
