//! What a round is played on: the usual three servers, three on small disks, or several of each kind.

use std::path::PathBuf;

use super::{
    fault::Needs,
    services::{Service, Services},
};

/// Which servers are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// One Redis, one Kafka, one MySQL.
    Usual,
    /// The same on disks so small that they can be filled.
    SmallDisks,
    /// Three brokers, and a Redis with two replicas and three Sentinels; MySQL is the usual one.
    Replicated,
}

/// Where the programs find them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub redis: String,
    pub kafka: String,
    pub mysql: String,
}

/// The brokers of [`Stage::Replicated`].
pub const BROKERS: [Service; 3] = [Service::Broker(1), Service::Broker(2), Service::Broker(3)];
/// Its Redis servers.
pub const REPLICAS: [Service; 3] = [Service::Replica(1), Service::Replica(2), Service::Replica(3)];

impl Stage {
    /// The one that a fault with these needs is played on.
    pub const fn of(needs: Needs) -> Self {
        match needs {
            Needs::Nothing | Needs::Proxies | Needs::ShortQueue | Needs::FakeTime => Self::Usual,
            Needs::SmallDisks => Self::SmallDisks,
            Needs::Replicas => Self::Replicated,
        }
    }

    /// The servers of it, without those that run anyway.
    pub fn servers(self) -> Vec<Service> {
        match self {
            Self::Usual | Self::SmallDisks => vec![Service::Redis, Service::Mysql, Service::Kafka],
            Self::Replicated => {
                let sentinels = [Service::Sentinel(1), Service::Sentinel(2), Service::Sentinel(3)];
                [&BROKERS[..], &REPLICAS[..], &sentinels[..], &[Service::Door]].concat()
            }
        }
    }

    /// How many copies of the log there are.
    pub const fn copies(self) -> &'static str {
        match self {
            Self::Usual | Self::SmallDisks => "1",
            Self::Replicated => "3",
        }
    }
}

/// The usual servers, and where those on small disks are, if there are any.
#[derive(Clone, Debug)]
pub struct Stages {
    pub usual: Services,
    pub addresses: Addresses,
    pub small: Option<PathBuf>,
}

impl Stages {
    /// How the servers of `stage` are handled.
    pub fn services(&self, stage: Stage) -> Services {
        let directory = match (stage, &self.small) {
            (Stage::SmallDisks, Some(small)) => small.clone(),
            _ => self.usual.directory.clone(),
        };
        Services { directory, ..self.usual.clone() }
    }

    /// Where the servers of `stage`, which run, are found.
    pub async fn addresses(&self, stage: Stage) -> anyhow::Result<Addresses> {
        let services = self.services(stage);
        match stage {
            Stage::Usual => Ok(self.addresses.clone()),
            Stage::SmallDisks => Ok(Addresses {
                redis: services.address(Service::Redis).await?,
                kafka: services.address(Service::Kafka).await?,
                mysql: services.address(Service::Mysql).await?,
            }),
            Stage::Replicated => {
                let mut brokers = Vec::new();
                for broker in BROKERS {
                    brokers.push(services.address(broker).await?);
                }
                Ok(Addresses {
                    redis: services.address(Service::Door).await?,
                    kafka: brokers.join(","),
                    mysql: self.addresses.mysql.clone(),
                })
            }
        }
    }
}
