//! A small HTTP/1.1 client. The load generator shares the machine with what it measures, so a request
//! must cost little more than its two system calls: no header maps, no connection pool, no URL parsing.

use std::{io, net::SocketAddr, ops::Range, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Longest answer that is read. The API's are below one KiB; more is somebody else's server.
const MAX_ANSWER: usize = 256 * 1024;

/// How long connecting may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// Where a server is: `http://host:port`, looked up once.
#[derive(Clone, Debug)]
pub struct Target {
    /// For the `Host` header.
    pub host: String,
    /// Where to connect to.
    pub address: SocketAddr,
}

impl Target {
    /// Takes `http://host:port`. Plain HTTP only: what is measured is the server, not a TLS library.
    pub async fn resolve(url: &str) -> Result<Self, String> {
        let host = url
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'))
            .filter(|host| !host.is_empty() && !host.contains('/'))
            .ok_or_else(|| format!("{url}: expected http://host:port"))?;
        let with_port = if host.parse::<SocketAddr>().is_ok() || host.rsplit_once(':').is_some_and(is_port) {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let mut found =
            tokio::net::lookup_host(&with_port).await.map_err(|error| format!("{url}: {error}"))?;
        let address = found.next().ok_or_else(|| format!("{url}: no address"))?;
        Ok(Self { host: host.to_owned(), address })
    }
}

fn is_port((_, port): (&str, &str)) -> bool {
    port.parse::<u16>().is_ok()
}

/// What a server answered. The body lies in the connection's buffer until the next request.
#[derive(Debug)]
pub struct Response<'a> {
    /// The status code.
    pub status: u16,
    /// `Retry-After`, where it was a number of seconds.
    pub retry_after: Option<u32>,
    /// Whether `Idempotency-Replayed: true` was there.
    pub replayed: bool,
    /// The body.
    pub body: &'a [u8],
}

/// One keep-alive connection, one request at a time.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    reusable: bool,
}

/// The answer's head, and where its body ends.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    retry_after: Option<u32>,
    replayed: bool,
    keep_alive: bool,
    body: Range<usize>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096), reusable: true })
    }

    /// Whether another request may be sent on it: the server has neither closed it nor said that it will.
    /// Asked before a request after a pause: what is sent into a closing connection has an unknown outcome.
    pub fn is_open(&self) -> bool {
        let mut byte = [0];
        let silent = matches!(self.stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        self.reusable && silent
    }

    /// Whether the last answer left it open for another request.
    pub fn is_reusable(&self) -> bool {
        self.reusable
    }

    /// Sends a whole request and reads the whole answer. After an error the connection is of no more use.
    pub async fn send(&mut self, request: &[u8]) -> io::Result<Response<'_>> {
        let was_reusable = std::mem::replace(&mut self.reusable, false);
        if !was_reusable {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "the server has closed the connection"));
        }
        self.buffer.clear();
        self.stream.write_all(request).await?;
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some(head) = parse_head(&self.buffer)? else { continue };
            while self.buffer.len() < head.body.end {
                if self.stream.read_buf(&mut self.buffer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            self.reusable = head.keep_alive;
            return Ok(Response {
                status: head.status,
                retry_after: head.retry_after,
                replayed: head.replayed,
                body: &self.buffer[head.body],
            });
        }
    }
}

/// Reads an answer's head, or says that it is not whole yet.
fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 48];
    let mut response = httparse::Response::new(&mut headers);
    let start = match response.parse(bytes).map_err(bad_answer)? {
        httparse::Status::Complete(start) => start,
        httparse::Status::Partial if bytes.len() > MAX_ANSWER => return Err(bad_answer("head too long")),
        httparse::Status::Partial => return Ok(None),
    };
    let mut head = Head {
        status: response.code.unwrap_or_default(),
        retry_after: None,
        replayed: false,
        keep_alive: true,
        body: start..start,
    };
    for header in response.headers.iter() {
        let name = header.name;
        let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
        // Most headers are told apart by their length alone.
        match name.len() {
            14 if name.eq_ignore_ascii_case("content-length") => {
                let length: usize = value.parse().map_err(bad_answer)?;
                if length > MAX_ANSWER {
                    return Err(bad_answer("body too long"));
                }
                head.body.end = start + length;
            }
            11 if name.eq_ignore_ascii_case("retry-after") => head.retry_after = value.parse().ok(),
            20 if name.eq_ignore_ascii_case("idempotency-replayed") => head.replayed = value == "true",
            10 if name.eq_ignore_ascii_case("connection") => {
                head.keep_alive = !value.eq_ignore_ascii_case("close");
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                return Err(bad_answer("chunked answers are not expected of this API"));
            }
            _ => {}
        }
    }
    Ok(Some(head))
}

fn bad_answer(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 5\r\nRetry-After: 2\r\n\
            Idempotency-Replayed: true\r\nConnection: close\r\n\r\nhello";
        let start = answer.len() - 5;
        for partial in 0..start {
            assert_eq!(parse_head(&answer[..partial]).unwrap(), None);
        }
        let head = parse_head(answer).unwrap().unwrap();
        assert_eq!(
            (head.status, head.retry_after, head.replayed, head.keep_alive),
            (503, Some(2), true, false)
        );
        assert_eq!(head.body, start..start + 5);
    }

    #[test]
    fn what_it_cannot_read_is_an_error_and_not_an_answer() {
        for answer in [
            &b"SSH-2.0-x\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            assert!(parse_head(answer).is_err());
        }
    }

    #[tokio::test]
    async fn a_closed_connection_is_seen_before_and_after_sending() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut connection = Connection::open(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        assert!(connection.is_open());

        let answer = async {
            let mut request = [0; 64];
            let read = server.read(&mut request).await.unwrap();
            assert_eq!(&request[..read], b"GET / HTTP/1.1\r\n\r\n");
            server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
            drop(server);
        };
        let (response, ()) = tokio::join!(connection.send(b"GET / HTTP/1.1\r\n\r\n"), answer);
        assert_eq!(response.unwrap().body, b"hi");

        let _ = connection.stream.readable().await;
        assert!(!connection.is_open());
        assert!(connection.send(b"GET / HTTP/1.1\r\n\r\n").await.is_err());
    }

    #[tokio::test]
    async fn targets_are_plain_http() {
        assert_eq!(Target::resolve("http://127.0.0.1:3000/").await.unwrap().address.port(), 3000);
        assert_eq!(Target::resolve("http://127.0.0.1").await.unwrap().address.port(), 80);
        for bad in ["https://127.0.0.1:3000", "127.0.0.1:3000", "http://", "http://127.0.0.1:1/path"] {
            assert!(Target::resolve(bad).await.is_err(), "{bad}");
        }
    }
}
