//! The real Kafka, by way of a proxy that can pause it, and leave its brokers unnamed.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::{ApiKey, FindCoordinatorResponse, MetadataResponse, ResponseHeader},
    protocol::{Decodable, Encodable, StrBytes},
};

/// How long nothing is answered: longer than a client waits for a connection to come about.
const PAUSED: Duration = Duration::from_secs(8);
/// How long brokers are left unnamed after that.
const FENCED: Duration = Duration::from_secs(1);

/// A proxy to one broker, which it names as itself.
pub struct Naming {
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// When the broker was paused.
    paused: Mutex<Option<Instant>>,
    /// Whether nobody is told which topic it is.
    deaf: AtomicBool,
}

/// The version of `Metadata` by which it is asked which topic it is (`order_log/topic_id.rs`); librdkafka asks by others.
const WHICH_TOPIC: i16 = 10;

impl Naming {
    /// Before the broker at `kafka`.
    pub fn before(kafka: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (state, kafka) = (Arc::<State>::default(), kafka.to_owned());
        let naming = Self { address, state: Arc::clone(&state) };
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, broker) = (client.unwrap(), TcpStream::connect(&kafka).unwrap());
                let asked = Arc::<Mutex<HashMap<i32, (i16, i16)>>>::default();
                let (questions, state) = (Arc::clone(&asked), Arc::clone(&state));
                let (from, to) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
                // A connection that ends is an end of both directions.
                thread::spawn(move || {
                    pass_on(from, to, |question| {
                        let key = i16::from_be_bytes([question[0], question[1]]);
                        let version = i16::from_be_bytes([question[2], question[3]]);
                        questions.lock().unwrap().insert(number(&question[4..]), (key, version));
                        Some(question)
                    });
                });
                thread::spawn(move || {
                    pass_on(broker, client, |answer| {
                        state.wait();
                        let question = asked.lock().unwrap().remove(&number(&answer));
                        let (key, version) = question.expect("an answer to a question");
                        Some(match ApiKey::try_from(key) {
                            Ok(ApiKey::Metadata) if version == WHICH_TOPIC && state.is_deaf() => return None,
                            Ok(ApiKey::Metadata) => state.metadata(address, version, answer),
                            Ok(ApiKey::FindCoordinator) => coordinator(address, version, answer),
                            _ => answer,
                        })
                    });
                });
            }
        });
        naming
    }

    /// Lets the broker answer nothing for a while, and then for a moment name none.
    pub fn pause(&self) {
        *self.state.paused.lock().unwrap() = Some(Instant::now());
    }

    /// Answers nobody who asks which topic it is, or does again.
    pub fn be_deaf(&self, deaf: bool) {
        self.state.deaf.store(deaf, Ordering::Relaxed);
    }

    /// Whether all is as it was before.
    pub fn is_whole(&self) -> bool {
        !self.state.is_within(PAUSED + FENCED)
    }
}

impl State {
    /// Whether the last pause began no longer ago than this.
    fn is_within(&self, time: Duration) -> bool {
        self.paused.lock().unwrap().is_some_and(|paused| paused.elapsed() < time)
    }

    fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Relaxed)
    }

    fn wait(&self) {
        while self.is_within(PAUSED) {
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn metadata(&self, address: SocketAddr, version: i16, answer: Vec<u8>) -> Vec<u8> {
        changed::<MetadataResponse>(ApiKey::Metadata, version, answer, |answer| {
            if self.is_within(PAUSED + FENCED) {
                answer.brokers.clear();
            }
            for broker in &mut answer.brokers {
                (broker.host, broker.port) = named(address);
            }
        })
    }
}

fn coordinator(address: SocketAddr, version: i16, answer: Vec<u8>) -> Vec<u8> {
    changed::<FindCoordinatorResponse>(ApiKey::FindCoordinator, version, answer, |answer| {
        (answer.host, answer.port) = named(address);
        for coordinator in &mut answer.coordinators {
            (coordinator.host, coordinator.port) = named(address);
        }
    })
}

fn named(address: SocketAddr) -> (StrBytes, i32) {
    (StrBytes::from_string(address.ip().to_string()), address.port().into())
}

/// The `answer`, of `version`, with a `change`.
fn changed<A: Decodable + Encodable>(
    key: ApiKey,
    version: i16,
    answer: Vec<u8>,
    change: impl FnOnce(&mut A),
) -> Vec<u8> {
    let mut read = Bytes::from(answer);
    let head = ResponseHeader::decode(&mut read, key.response_header_version(version)).unwrap();
    let mut body = A::decode(&mut read, version).unwrap();
    change(&mut body);
    let mut written = BytesMut::new();
    head.encode(&mut written, key.response_header_version(version)).unwrap();
    body.encode(&mut written, version).unwrap();
    written.to_vec()
}

/// Passes on what comes, piece by piece, each behind its length, until either side ends or `change` has nothing to pass.
fn pass_on(mut from: TcpStream, mut to: TcpStream, change: impl Fn(Vec<u8>) -> Option<Vec<u8>>) {
    let mut pass = || -> io::Result<()> {
        loop {
            let mut length = [0; 4];
            from.read_exact(&mut length)?;
            let mut piece = vec![0; usize::try_from(number(&length)).unwrap()];
            from.read_exact(&mut piece)?;
            let Some(piece) = change(piece) else { return Ok(()) };
            to.write_all(&[&i32::try_from(piece.len()).unwrap().to_be_bytes(), &piece[..]].concat())?;
        }
    };
    let _ = pass();
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// The number that `bytes` begin with.
fn number(bytes: &[u8]) -> i32 {
    i32::from_be_bytes(bytes[..4].try_into().unwrap())
}
