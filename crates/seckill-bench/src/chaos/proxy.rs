//! Toxiproxy between our processes and the services: where replies are lost, late or in pieces.
//!
//! | who speaks | to whom | by way of |
//! |---|---|---|
//! | APIs | Redis | Toxiproxy `redis` |
//! | APIs | Kafka | Toxiproxy `kafka`, which Kafka itself names to its clients (a listener of its own) |
//! | consumers | MySQL | [`CommitCut`], then Toxiproxy `mysql` |

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::{commit_cut::CommitCut, process::spawn};
use crate::http::Connection;

/// How long Toxiproxy may take to start.
const UP_WITHIN: Duration = Duration::from_secs(10);

/// Toxiproxy with its three proxies, and what cuts connections at their COMMIT.
#[derive(Debug)]
pub struct Proxies {
    control: SocketAddr,
    _server: Child,
    /// Where Redis is reached through it.
    pub redis: SocketAddr,
    /// Where Kafka is.
    pub kafka: SocketAddr,
    /// What stands before the one to MySQL.
    pub commit_cut: CommitCut,
}

/// The real addresses behind the proxies.
#[derive(Clone, Debug)]
pub struct Behind {
    /// Of Redis.
    pub redis: String,
    /// Of Kafka's listener for clients that come through the proxy.
    pub kafka: String,
    /// Of MySQL.
    pub mysql: String,
}

impl Proxies {
    /// Starts it. `kafka_port` is the one that Kafka names to its clients.
    pub async fn start(
        program: &Path,
        folder: &Path,
        behind: &Behind,
        kafka_port: u16,
    ) -> anyhow::Result<Self> {
        let control = free_address()?;
        let mut command = Command::new(program);
        command.args(["-host", "127.0.0.1", "-port", &control.port().to_string()]);
        let server = spawn(&mut command, &folder.join("toxiproxy.log"))?;
        let up = async {
            while Connection::open(control).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(UP_WITHIN, up).await.context("Toxiproxy does not listen")?;
        let (redis, mysql) = (free_address()?, free_address()?);
        let kafka = SocketAddr::from(([127, 0, 0, 1], kafka_port));
        for (name, listen, upstream) in [
            ("redis", redis, &behind.redis),
            ("kafka", kafka, &behind.kafka),
            ("mysql", mysql, &behind.mysql),
        ] {
            let proxy =
                json!({"name": name, "listen": listen.to_string(), "upstream": upstream, "enabled": true});
            ask(control, "POST", "/proxies", Some(&proxy)).await?;
        }
        Ok(Self { control, _server: server, redis, kafka, commit_cut: CommitCut::start(mysql).await? })
    }

    /// Swallows every reply of `service` from now on; what it is asked still reaches it.
    pub async fn swallow_replies(&self, service: &str) -> anyhow::Result<()> {
        self.add(
            service,
            &json!({"name": "lost", "type": "timeout", "stream": "downstream", "attributes": {"timeout": 0}}),
        )
        .await
    }

    /// Makes everything slow and cuts it into small pieces, both ways.
    pub async fn slow_and_split(&self) -> anyhow::Result<()> {
        for service in ["redis", "kafka", "mysql"] {
            for stream in ["upstream", "downstream"] {
                let slow = json!({"name": format!("slow-{stream}"), "type": "latency", "stream": stream,
                    "attributes": {"latency": 20, "jitter": 15}});
                let split = json!({"name": format!("split-{stream}"), "type": "slicer", "stream": stream,
                    "attributes": {"average_size": 200, "size_variation": 100, "delay": 50}});
                self.add(service, &slow).await?;
                self.add(service, &split).await?;
            }
        }
        Ok(())
    }

    /// Takes all of it away: what passes, passes as it is.
    pub async fn clear(&self) -> anyhow::Result<()> {
        self.commit_cut.set(false);
        ask(self.control, "POST", "/reset", None).await
    }

    async fn add(&self, service: &str, toxic: &Value) -> anyhow::Result<()> {
        ask(self.control, "POST", &format!("/proxies/{service}/toxics"), Some(toxic)).await
    }
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

async fn ask(control: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<()> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {control}\r\nUser-Agent: seckill-bench\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut connection = Connection::open(control).await?;
    let response = connection.send(request.as_bytes()).await?;
    ensure!(
        (200..300).contains(&response.status),
        "Toxiproxy answered {method} {path} with {}: {}",
        response.status,
        String::from_utf8_lossy(response.body)
    );
    Ok(())
}
