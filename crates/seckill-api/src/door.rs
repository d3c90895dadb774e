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

use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

/// Whose machine answers nothing, or takes nothing, for so long is gone.
const GONE_AFTER: Duration = Duration::from_secs(60);

/// How long those who are in already may take until the server has looked at them.
const SEEN_WITHIN: Duration = Duration::from_millis(100);

/// The number of an interface that there is not: they are counted from 1.
#[cfg(target_os = "linux")]
const NO_INTERFACE: std::num::NonZeroU32 = std::num::NonZeroU32::new(i32::MAX as u32).unwrap();

/// A second hold on a listening socket.
pub struct Door(Socket);

impl Door {
    /// Listens at `address` (port 0: any free one), for at most `backlog` connections that wait to be accepted.
    pub fn open(address: SocketAddr, backlog: u32) -> io::Result<(Self, TcpListener)> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // As servers have it: an address can be listened at again while old connections linger there.
        socket.set_reuse_address(true)?;
        // Whoever is accepted has these from the listener. No timer of the server's sees somebody who vanishes in the
        // middle of a request, or never reads an answer that does not fit into the network.
        let asked = TcpKeepalive::new().with_time(GONE_AFTER / 2).with_interval(GONE_AFTER / 6);
        socket.set_tcp_keepalive(&asked)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(GONE_AFTER))?;
        socket.bind(&SockAddr::from(address))?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        let listener = socket.try_clone()?.into();
        Ok((Self(socket), listener))
    }

    /// Lets nobody in any more, and waits until those who are have been seen. The listener may then be closed.
    ///
    /// Who comes meanwhile is refused, and has sent nothing.
    pub async fn shut(self) {
        if let Err(error) = self.refuse_newcomers() {
            tracing::warn!(%error, "connections that come in at the very end may be cut off");
        }
        tokio::time::sleep(SEEN_WITHIN).await;
    }

    /// Has the socket listen at a network interface that there is not, so that nobody comes by it. Those who are in stay.
    /// Needs no right (since Linux 5.7); a filter of packets, which would do as well, is denied to some containers.
    #[cfg(target_os = "linux")]
    fn refuse_newcomers(&self) -> io::Result<()> {
        // Despite its name for IPv6, too: here it is one option for both.
        self.0.bind_device_by_index_v4(Some(NO_INTERFACE))
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as on Linux")]
    fn refuse_newcomers(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpStream,
    };

    use socket2::SockRef;

    use super::*;

    async fn is_shut_without_slamming(any: &str) {
        let (door, listener) = Door::open(any.parse().unwrap(), 16).unwrap();
        let address = listener.local_addr().unwrap();
        let mut early = TcpStream::connect(address).unwrap();
        door.shut().await;
        let late = TcpStream::connect(address).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::ConnectionRefused, "while the listener is still open");

        let (mut seen, _) = listener.accept().unwrap();
        let options = SockRef::from(&seen);
        assert!(options.keepalive().unwrap(), "who vanishes is noticed");
        #[cfg(target_os = "linux")]
        assert_eq!(options.tcp_user_timeout().unwrap(), Some(GONE_AFTER), "and who does not read");
        early.write_all(b"here").unwrap();
        seen.read_exact(&mut [0; 4]).unwrap();
        drop(listener);
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn those_who_are_in_are_seen_and_nobody_comes_after_them() {
        is_shut_without_slamming("127.0.0.1:0").await;
        if TcpListener::bind("[::1]:0").is_ok() {
            is_shut_without_slamming("[::1]:0").await;
        }
    }
}
