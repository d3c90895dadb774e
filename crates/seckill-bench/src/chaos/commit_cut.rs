//! Cuts connections to MySQL exactly at their COMMIT, which Toxiproxy cannot see: every other time before MySQL has
//! it, every other time after, when it is done and its answer is what is lost.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The statement as it is sent: a `COM_QUERY` of this text.
const COMMIT: &[u8] = b"\x03COMMIT";

/// One in so many is cut: were it all of them, nothing would ever be written.
const ONE_IN: u64 = 3;

/// Longest time that MySQL is given to do a COMMIT whose answer nobody will hear.
const DONE_WITHIN: std::time::Duration = std::time::Duration::from_millis(500);

/// A proxy that lets everything pass until it is told to cut.
#[derive(Debug)]
pub struct CommitCut {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    cutting: AtomicBool,
    seen: AtomicU64,
    cut: AtomicU64,
}

/// What is to be done with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pass,
    CutBefore,
    CutAfter,
}

impl CommitCut {
    /// Listens, and passes on to `upstream`.
    pub async fn start(upstream: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, upstream, Arc::clone(&shared)));
            }
        });
        Ok(Self { address, state })
    }

    /// Begins to cut, or stops.
    pub fn set(&self, cutting: bool) {
        self.state.cutting.store(cutting, Ordering::Relaxed);
    }

    /// How many connections it has cut so far.
    pub fn count(&self) -> u64 {
        self.state.cut.load(Ordering::Relaxed)
    }
}

impl State {
    fn fate_of(&self, packet: &[u8]) -> Fate {
        if !self.cutting.load(Ordering::Relaxed) || !packet.ends_with(COMMIT) {
            return Fate::Pass;
        }
        let number = self.seen.fetch_add(1, Ordering::Relaxed);
        if !number.is_multiple_of(ONE_IN) {
            return Fate::Pass;
        }
        let cut = self.cut.fetch_add(1, Ordering::Relaxed);
        if cut.is_multiple_of(2) { Fate::CutBefore } else { Fate::CutAfter }
    }
}

/// Passes one connection's bytes both ways until one side ends, or until it is cut.
async fn pass(mut client: TcpStream, upstream: SocketAddr, state: Arc<State>) {
    let Ok(mut server) = TcpStream::connect(upstream).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut up, mut down) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(length @ 1..) = read else { return };
                let fate = state.fate_of(&up[..length]);
                if fate == Fate::CutBefore || server.write_all(&up[..length]).await.is_err() {
                    return;
                }
                if fate == Fate::CutAfter {
                    // Its answer says that it is done; nobody hears it.
                    let _ = tokio::time::timeout(DONE_WITHIN, server.read(&mut down)).await;
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&down[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_third_commit_is_cut_in_turn_before_and_after() {
        let state = State::default();
        assert_eq!(state.fate_of(b"\x07\0\0\0\x03COMMIT"), Fate::Pass);
        state.cutting.store(true, Ordering::Relaxed);
        assert_eq!(state.fate_of(b"\x07\0\0\0\x03SELECT"), Fate::Pass);
        let fates: Vec<_> = (0..6).map(|_| state.fate_of(b"\x07\0\0\0\x03COMMIT")).collect();
        assert_eq!(fates, [Fate::CutBefore, Fate::Pass, Fate::Pass, Fate::CutAfter, Fate::Pass, Fate::Pass]);
    }

    #[tokio::test]
    async fn bytes_pass_until_a_commit_is_cut() {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cut = CommitCut::start(upstream.local_addr().unwrap()).await.unwrap();
        let mut client = TcpStream::connect(cut.address).await.unwrap();
        let (mut server, _) = upstream.accept().await.unwrap();
        let mut buffer = [0; 32];

        client.write_all(b"\x07\0\0\0\x03COMMIT").await.unwrap();
        assert_eq!(server.read(&mut buffer).await.unwrap(), 11);
        server.write_all(b"ok").await.unwrap();
        assert_eq!(client.read(&mut buffer).await.unwrap(), 2);

        cut.set(true);
        client.write_all(b"\x07\0\0\0\x03COMMIT").await.unwrap();
        assert_eq!(server.read(&mut buffer).await.unwrap_or(0), 0);
        assert_eq!(client.read(&mut buffer).await.unwrap_or(0), 0);
        assert_eq!(cut.count(), 1);
    }
}
