//! The socket that connections come in by, which can be shut without slamming it on anybody.
//!
//! A listening socket that is simply closed resets every connection that waits to be accepted, and the server drops
//! those that it has accepted and not looked at yet. Their clients (a proxy, say) have sent a request by then and cannot
//! know what became of it. So nobody is let in any more first, all who are in are seen to, and only then is it closed.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// How long those who are in already may take until the server has looked at them.
const SEEN_WITHIN: Duration = Duration::from_millis(100);

/// A second hold on a listening socket.
pub struct Door(Socket);

impl Door {
    /// Listens at `address` (port 0: any free one), for at most `backlog` connections that wait to be accepted.
    pub fn open(address: SocketAddr, backlog: u32) -> io::Result<(Self, TcpListener)> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // As servers have it: an address can be listened at again while old connections linger there.
        socket.set_reuse_address(true)?;
        socket.bind(&SockAddr::from(address))?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        let listener = socket.try_clone()?.into();
        Ok((Self(socket), listener))
    }

    /// Lets nobody in any more, and waits until those who are have been seen. The listener may then be closed.
    ///
    /// Who comes meanwhile knocks again a second later, as TCP does, and is then refused: nothing was sent.
    pub async fn shut(self) {
        if let Err(error) = self.refuse_newcomers() {
            tracing::warn!(%error, "connections that come in at the very end may be cut off");
        }
        tokio::time::sleep(SEEN_WITHIN).await;
    }

    /// Has the system drop what opens a connection, before the socket sees it.
    #[cfg(target_os = "linux")]
    fn refuse_newcomers(&self) -> io::Result<()> {
        use socket2::SockFilter;

        // A program for the kernel's packet filter, whose packets begin with the header of TCP (linux/filter.h).
        const FLAGS: u32 = 13;
        const SYN: u32 = 0x02;
        const ACK: u32 = 0x10;
        self.0.attach_filter(&[
            SockFilter::new(0x30, 0, 0, FLAGS),     // load the byte of the flags
            SockFilter::new(0x54, 0, 0, SYN | ACK), // and with these
            SockFilter::new(0x15, 0, 1, SYN),       // if it equals this, go on; else skip one
            SockFilter::new(0x06, 0, 0, 0),         // drop it
            SockFilter::new(0x06, 0, 0, u32::MAX),  // take it, whole
        ])
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as on Linux")]
    fn refuse_newcomers(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn those_who_are_in_are_seen_and_nobody_comes_after_them() {
        let (door, listener) = Door::open("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let address = listener.local_addr().unwrap();
        let _early = TcpStream::connect(address).unwrap();
        door.shut().await;
        let late = tokio::task::spawn_blocking(move || {
            TcpStream::connect_timeout(&address, Duration::from_millis(300)).unwrap_err().kind()
        });
        assert_eq!(late.await.unwrap(), io::ErrorKind::TimedOut);

        assert!(listener.accept().is_ok());
        drop(listener);
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
