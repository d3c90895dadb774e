//! Which topic it is: one that is deleted and made anew under the same name has another id.
//!
//! librdkafka goes by the name, and what it knows of ids is not to be had by rdkafka's safe calls. So Kafka is asked the
//! question that librdkafka asks it too (`Metadata`), on a connection of its own.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::{
    error::ResponseError,
    messages::{
        ApiKey, MetadataRequest, MetadataResponse, RequestHeader, ResponseHeader, TopicName,
        metadata_request::MetadataRequestTopic,
    },
    protocol::{Decodable, Encodable, StrBytes},
};
use rdkafka::{ClientContext, client::Client};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use uuid::Uuid;

use super::{ErrorCode, LogError, config::wrong_brokers as wrong};
use crate::{address::Address, settings::KafkaSettings};

const DOING: &str = "asking which topic it is";

/// The version of the question: the first whose answer has ids (Kafka 2.8).
const VERSION: i16 = 10;

/// Longest answer that is read, bytes. It names every broker and partition of one topic.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// The id of a topic, for as long as it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TopicId(Uuid);

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Asks for ids of topics.
#[derive(Clone)]
pub(super) struct TopicIds {
    /// Where Kafka is found at first: hosts and ports.
    bootstrap: Vec<(String, u16)>,
    /// How brokers prove who they are; none: they are spoken to in the clear.
    tls: Option<Arc<ClientConfig>>,
}

impl TopicIds {
    /// Of the brokers of `settings`, as librdkafka is told to speak to them.
    pub(super) fn new(settings: &KafkaSettings) -> Result<Self, LogError> {
        let address = Address::of(&settings.kafka_brokers);
        let brokers = address.of_kafka().map_err(wrong)?;
        let bootstrap = brokers.places;
        if !brokers.by_tls {
            return Ok(Self { bootstrap, tls: None });
        }
        let mut trusted = RootCertStore::empty();
        match address.certificates().map_err(wrong)? {
            Some(text) => {
                for certificate in CertificateDer::pem_slice_iter(&text) {
                    let certificate = certificate.map_err(|error| wrong(format_args!("ssl_ca: {error}")))?;
                    trusted.add(certificate).map_err(|error| wrong(format_args!("ssl_ca: {error}")))?;
                }
            }
            None => {
                trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has the usual versions of TLS")
            .with_root_certificates(trusted)
            .with_no_client_auth();
        Ok(Self { bootstrap, tls: Some(Arc::new(tls)) })
    }

    /// Asks Kafka, at the brokers that `client` knows, for the id of `topic`. None: there is no such topic, or the
    /// brokers keep to a protocol of before there were ids.
    pub(super) fn ask<C: ClientContext>(
        &self,
        client: &Client<C>,
        topic: &str,
        within: Duration,
    ) -> Result<Option<TopicId>, LogError> {
        let known =
            client.fetch_metadata(Some(topic), within).map_err(|error| LogError::of(DOING, &error))?;
        for broker in known.brokers() {
            let port = u16::try_from(broker.port()).unwrap_or_default();
            match self.ask_broker(broker.host(), port, topic, within) {
                Ok(answer) => return id_in(&answer),
                Err(error) => {
                    tracing::debug!(%error, broker = broker.host(), "it does not say which topic it is");
                }
            }
        }
        Err(LogError::of_code(DOING, ErrorCode::BrokerTransportFailure))
    }

    /// Whether Kafka answers at one of the addresses of the settings, and names brokers to go on with.
    pub(super) fn names_brokers(&self, topic: &str, within: Duration) -> bool {
        self.bootstrap.iter().any(|(host, port)| {
            self.ask_broker(host, *port, topic, within).is_ok_and(|answer| !answer.brokers.is_empty())
        })
    }

    fn ask_broker(
        &self,
        host: &str,
        port: u16,
        topic: &str,
        within: Duration,
    ) -> io::Result<MetadataResponse> {
        let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, within) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(within))?;
                    stream.set_write_timeout(Some(within))?;
                    let Some(tls) = &self.tls else { return exchange(stream, topic) };
                    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
                    let session = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
                    return exchange(StreamOwned::new(session, stream), topic);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

/// Asks for `topic` and reads the answer. Both are behind their length.
fn exchange(mut stream: impl Read + Write, topic: &str) -> io::Result<MetadataResponse> {
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    let question = MetadataRequest::default()
        .with_topics(Some(vec![MetadataRequestTopic::default().with_name(Some(name))]))
        .with_allow_auto_topic_creation(false);
    let head = RequestHeader::default()
        .with_request_api_key(ApiKey::Metadata as i16)
        .with_request_api_version(VERSION)
        .with_client_id(Some(StrBytes::from_static_str("seckill")));
    let mut text = BytesMut::new();
    head.encode(&mut text, ApiKey::Metadata.request_header_version(VERSION)).map_err(io::Error::other)?;
    question.encode(&mut text, VERSION).map_err(io::Error::other)?;
    let length = i32::try_from(text.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &text].concat())?;
    stream.flush()?;

    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length)).map_err(io::Error::other)?;
    if length > MAX_ANSWER {
        return Err(io::Error::other("the answer is too long"));
    }
    let mut text = vec![0; length];
    stream.read_exact(&mut text)?;
    let mut text = Bytes::from(text);
    ResponseHeader::decode(&mut text, ApiKey::Metadata.response_header_version(VERSION))
        .map_err(io::Error::other)?;
    let answer = MetadataResponse::decode(&mut text, VERSION).map_err(io::Error::other)?;
    if text.has_remaining() { Err(io::Error::other("there is more than the answer")) } else { Ok(answer) }
}

/// What an answer says of the one topic that was asked for.
fn id_in(answer: &MetadataResponse) -> Result<Option<TopicId>, LogError> {
    let topic = answer.topics.first().ok_or_else(|| LogError::timed_out(DOING))?;
    match ResponseError::try_from_code(topic.error_code) {
        None => Ok(Some(topic.topic_id).filter(|id| !id.is_nil()).map(TopicId)),
        Some(ResponseError::UnknownTopicOrPartition) => Ok(None),
        // Of whatever kind: it is asked again.
        Some(_) => Err(LogError::of_code(DOING, ErrorCode::BrokerNotAvailable)),
    }
}
