//! The system under test and what it stands on, as the faults see it.

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use deadpool_redis::redis;
use mysql_async::{Conn, OptsBuilder};
use seckill_core::sale::SaleId;
use tokio::{process::Command, sync::watch, task::JoinHandle};

use super::{
    fault::Needs,
    process::{Kind, Processes, Settings},
    proxy::Proxies,
    services::Services,
    stage::{Stage, Stages},
};
use crate::{verify::WhereArgs, witness::LogWitness};

/// How many writers each consumer has.
const WRITERS: usize = 2;

/// Most orders that may wait for the ledger in an API whose queue is short: a crowd that is far too many, and itself on
/// this machine, is not refused at once by the usual 8,192.
const SHORT_QUEUE: usize = 256;

/// How long it may take until all of them are members of the group again.
const WRITERS_WITHIN: Duration = Duration::from_secs(30);

/// How long the partitions of a topic may be without a leader, while all brokers are there.
const LEADERS_WITHIN: Duration = Duration::from_secs(30);

/// Everything that a fault may lay hands on.
#[derive(Debug)]
pub struct World {
    /// All servers that there are.
    pub stages: Stages,
    /// Which of them are in use.
    pub stage: Stage,
    /// How those in use are handled.
    pub services: Services,
    /// The APIs and consumers.
    pub processes: Processes,
    /// Kafka, to look at.
    pub log: LogWitness,
    /// MySQL and Redis, to look at.
    pub place: WhereArgs,
    /// Where the binaries of the system lie.
    pub binaries: PathBuf,
    /// Where everything of this run goes.
    pub folder: PathBuf,
    /// What goes on until the fault is healed.
    pub under_way: Vec<UnderWay>,
    /// A connection that holds locks until the fault is healed.
    pub locks: Option<Conn>,
    /// Between processes and services, where Toxiproxy is to be had.
    pub proxies: Option<Proxies>,
    /// The library that shows a process another time, where it is to be had.
    pub fake_time: Option<String>,
}

/// Something that a fault does again and again while it lasts.
#[derive(Debug)]
pub struct UnderWay {
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl UnderWay {
    /// Begins what `work` does; it must end soon after the receiver shows true.
    pub fn begin<F>(work: impl FnOnce(watch::Receiver<bool>) -> F) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        Self { stop, task: tokio::spawn(work(stopped)) }
    }

    /// Ends it.
    pub async fn end(self) -> anyhow::Result<()> {
        let _ = self.stop.send(true);
        self.task.await?
    }
}

impl World {
    /// The proxies, which a fault that needs them has.
    pub fn proxies(&self) -> anyhow::Result<&Proxies> {
        self.proxies.as_ref().context("no Toxiproxy")
    }

    /// Memory of the largest API, in megabytes.
    pub fn api_memory(&self) -> u64 {
        let apis = self.processes.names(Kind::Api);
        apis.iter().filter_map(|api| self.processes.memory(api)).max().unwrap_or_default() >> 20
    }

    /// How many connections were cut at their COMMIT so far.
    pub fn cut_commits(&self) -> u64 {
        self.proxies.as_ref().map_or(0, |proxies| proxies.commit_cut.count())
    }

    /// Where the buyers of an overload are recorded.
    pub fn overload_history(&self, sale: &str) -> PathBuf {
        self.folder.join(format!("overload-{sale}.jsonl"))
    }

    /// Makes ready what a round needs: the servers that it is played on, and the way from the processes to them.
    pub async fn set(&mut self, needs: &[Needs]) -> anyhow::Result<()> {
        let stage = needs.iter().map(|&needs| Stage::of(needs)).find(|&stage| stage != Stage::Usual);
        self.go_to(stage.unwrap_or(Stage::Usual)).await?;
        self.route(needs).await
    }

    async fn go_to(&mut self, stage: Stage) -> anyhow::Result<()> {
        if stage == self.stage {
            return Ok(());
        }
        self.end().await?;
        if self.stage != Stage::Usual {
            self.services.stop_all(&self.stage.servers()).await?;
        }
        self.stage = stage;
        self.services = self.stages.services(stage);
        self.services.start_all(&stage.servers()).await?;
        let addresses = self.stages.addresses(stage).await?;
        self.place.redis_url = addresses.redis;
        self.place.database_url = addresses.mysql;
        self.log.brokers = addresses.kafka;
        self.prepare().await
    }

    /// Makes schema and topics, where they are not there.
    pub async fn prepare(&self) -> anyhow::Result<()> {
        self.admin(&["migrate"]).await?;
        self.admin(&["topics", "create", "--replication-factor", self.stage.copies()]).await
    }

    /// Lets the processes reach the services by way of the proxies, or straight, and sets what else a round needs of them.
    async fn route(&mut self, needs: &[Needs]) -> anyhow::Result<()> {
        let common = |redis: String, kafka: String, mysql: String| {
            vec![
                ("SECKILL_PROFILE".to_owned(), "dev".to_owned()),
                ("REDIS_URL".to_owned(), redis),
                ("KAFKA_BROKERS".to_owned(), kafka),
                ("DATABASE_URL".to_owned(), mysql),
            ]
        };
        let (redis, kafka, mysql) =
            (self.place.redis_url.clone(), self.log.brokers.clone(), self.place.database_url.clone());
        let mut settings = Settings {
            api: common(redis.clone(), kafka.clone(), mysql.clone()),
            consumer: common(redis.clone(), kafka.clone(), mysql.clone()),
        };
        if needs.contains(&Needs::Proxies) {
            let proxies = self.proxies()?;
            settings.api =
                common(with_address(&redis, proxies.redis)?, proxies.kafka.to_string(), mysql.clone());
            settings.consumer = common(redis, kafka, with_address(&mysql, proxies.commit_cut.address)?);
        }
        if needs.contains(&Needs::ShortQueue) {
            settings.api.push(("SECKILL_QUEUE_CAPACITY".to_owned(), SHORT_QUEUE.to_string()));
        }
        settings.consumer.push(("SECKILL_WRITERS".to_owned(), WRITERS.to_string()));
        if *self.processes.settings() != settings {
            self.end().await?;
            self.processes.set(settings);
        }
        Ok(())
    }

    /// Starts whatever does not run, and waits until all of it is ready.
    pub async fn make_whole(&mut self) -> anyhow::Result<()> {
        self.services.start_all(&self.stage.servers()).await?;
        for name in self.processes.all() {
            self.processes.start(&name)?;
        }
        for name in self.processes.all() {
            self.processes.wait_until_ready(&name).await?;
        }
        self.wait_for_leaders().await
    }

    /// A topic that was just made, or whose broker was just started, has its leaders a moment later.
    async fn wait_for_leaders(&self) -> anyhow::Result<()> {
        let ends = Instant::now() + LEADERS_WITHIN;
        while let Err(error) = self.log.ends().await {
            ensure!(Instant::now() < ends, "the topics do not answer: {error:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Waits until every writer has its part of the log. One that is left out loses nothing, for the others have taken
    /// its part; but the last one that is left out is one too many.
    pub async fn wait_for_writers(&self) -> anyhow::Result<()> {
        let (began, wanted) = (Instant::now(), WRITERS * self.processes.names(Kind::Consumer).len());
        loop {
            let found = self.log.members().await;
            if found.as_ref().is_ok_and(|found| *found == wanted) {
                return Ok(());
            }
            ensure!(began.elapsed() < WRITERS_WITHIN, "{wanted} writers, in the group: {found:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Creates a sale, of which one buyer may hold `limit` units, and waits until every API sells it.
    pub async fn create_sale(
        &mut self,
        name: &str,
        stock: u64,
        limit: Option<u64>,
    ) -> anyhow::Result<SaleId> {
        let stock = stock.to_string();
        let mut words = vec!["sale", "create", name, "--stock", &stock, "--title", "Chaos"];
        let limit = limit.map(|limit| limit.to_string());
        if let Some(limit) = &limit {
            words.extend(["--per-buyer-limit", limit]);
        }
        self.admin(&words).await?;
        for api in self.processes.names(Kind::Api) {
            self.processes.wait_for(&api, &format!("/v1/sales/{name}")).await?;
        }
        Ok(SaleId::parse(name)?)
    }

    /// Runs `stock-admin`, which must do what it is asked.
    pub async fn admin(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let (code, said) = self.admin_says(arguments).await?;
        ensure!(code == Some(0), "stock-admin {}: {said}", arguments.join(" "));
        Ok(())
    }

    /// Runs `stock-admin`: its exit code, and what it complained of.
    pub async fn admin_says(&self, arguments: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
        let output = Command::new(self.binaries.join("stock-admin"))
            .args(arguments)
            .env("DATABASE_URL", &self.place.database_url)
            .env("REDIS_URL", &self.place.redis_url)
            .env("KAFKA_BROKERS", &self.log.brokers)
            .output()
            .await
            .context("cannot run stock-admin")?;
        Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }

    /// How many errors of one kind Redis has answered since it was started.
    pub async fn redis_errors(&self, kind: &str) -> anyhow::Result<u64> {
        let said: String = redis::from_redis_value(self.redis_says(&["INFO", "errorstats"]).await?)?;
        let wanted = format!("errorstat_{kind}:count=");
        let count = said.lines().find_map(|line| line.strip_prefix(&wanted));
        Ok(count.map(str::parse).transpose()?.unwrap_or(0))
    }

    /// Asks Redis by its own command, on a connection of its own.
    pub async fn redis(&self, words: &[&str]) -> anyhow::Result<()> {
        self.redis_says(words).await.map(drop)
    }

    /// The same, with its answer.
    pub async fn redis_says(&self, words: &[&str]) -> anyhow::Result<redis::Value> {
        let client = redis::Client::open(self.place.redis_url.as_str())?;
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(5)))
            .set_response_timeout(Some(Duration::from_secs(5)));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command.query_async(&mut connection).await.with_context(|| words.join(" "))
    }

    /// A connection to MySQL as its administrator.
    pub async fn mysql_root(&self) -> anyhow::Result<Conn> {
        let options = OptsBuilder::default()
            .socket(Some(self.services.mysql_socket().display().to_string()))
            .user(Some("root"))
            .db_name(Some("seckill"));
        Ok(Conn::new(options).await?)
    }

    /// Ends everything: processes by SIGTERM, in time and with 0.
    pub async fn end(&mut self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        for name in self.processes.all() {
            outcome = self.processes.stop(&name).await.and(outcome);
        }
        outcome
    }
}

/// The host and port of a URL.
pub fn address_in(url: &str) -> anyhow::Result<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    ensure!(address.contains(':'), "no host:port in an address");
    Ok(address)
}

/// The URL with another host and port.
fn with_address(url: &str, address: SocketAddr) -> anyhow::Result<String> {
    Ok(url.replacen(address_in(url)?, &address.to_string(), 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_exchanged_and_the_rest_kept() {
        let other = SocketAddr::from(([127, 0, 0, 1], 9));
        for (url, expected) in [
            ("mysql://u:p@127.0.0.1:3306/seckill", "mysql://u:p@127.0.0.1:9/seckill"),
            ("redis://127.0.0.1:6379/1", "redis://127.0.0.1:9/1"),
        ] {
            assert_eq!(with_address(url, other).unwrap(), expected);
        }
        assert!(address_in("redis://").is_err());
    }
}
