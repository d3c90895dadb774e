//! Where a server is, and by which authority it must prove who it is.
//!
//! The address says both: `ssl_ca=FILE` among its parameters names a file of certificates (PEM) that are trusted
//! for this server, and then no others are. Without it the usual authorities are trusted.
//!
//! | Server | TLS | with an authority of one's own |
//! |---|---|---|
//! | Redis | `rediss://host:6379/1` | `rediss://host:6379/1?ssl_ca=/etc/ca.pem` |
//! | MySQL | `mysql://host/seckill?require_ssl=true` | `mysql://host/seckill?ssl_ca=/etc/ca.pem` |
//! | Kafka | `ssl://one:9093,ssl://two:9093` | `ssl://one:9093,ssl://two:9093?ssl_ca=/etc/ca.pem` |

use std::fs;

use deadpool_redis::redis::{Client, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use mysql_async::{Opts, OptsBuilder, UrlError};

const PARAMETER: &str = "ssl_ca=";

/// What a broker's address begins with that is spoken to by TLS.
const BY_TLS: &str = "ssl://";

/// An address, and the authority that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address without that parameter, as client libraries understand it.
    pub plain: String,
    /// The file that holds the authority's certificates.
    pub authority: Option<String>,
}

impl Address {
    /// Takes `address` apart.
    pub fn of(address: &str) -> Self {
        let Some((place, parameters)) = address.split_once('?') else {
            return Self { plain: address.to_owned(), authority: None };
        };
        let authority = parameters.split('&').find_map(|parameter| parameter.strip_prefix(PARAMETER));
        let others: Vec<&str> =
            parameters.split('&').filter(|parameter| !parameter.starts_with(PARAMETER)).collect();
        let plain =
            if others.is_empty() { place.to_owned() } else { format!("{place}?{}", others.join("&")) };
        Self { plain, authority: authority.map(str::to_owned) }
    }

    /// The authority's certificates; none: it names none.
    pub fn certificates(&self) -> Result<Option<Vec<u8>>, String> {
        let Some(file) = &self.authority else { return Ok(None) };
        let certificates = fs::read(file).map_err(|error| format!("ssl_ca: cannot read {file}: {error}"))?;
        if certificates.windows(27).any(|window| window == b"-----BEGIN CERTIFICATE-----") {
            Ok(Some(certificates))
        } else {
            Err(format!("ssl_ca: {file} holds no certificate (PEM)"))
        }
    }

    /// The address as the client of Redis wants it.
    pub fn of_redis(&self) -> Result<ConnectionInfo, String> {
        // Not in the client's words: they might repeat what it was given.
        let info = self.plain.as_str().into_connection_info().map_err(|_| "not a Redis URL".to_owned())?;
        let Some(certificates) = self.certificates()? else { return Ok(info) };
        let trusted = TlsCertificates { client_tls: None, root_cert: Some(certificates) };
        let client = Client::build_with_tls(info, trusted).map_err(|error| error.to_string())?;
        Ok(client.get_connection_info().clone())
    }

    /// The brokers of Kafka.
    pub fn of_kafka(&self) -> Result<Brokers, String> {
        let by_tls = self.plain.trim_start().starts_with(BY_TLS);
        let places: Option<Vec<_>> = self.plain.split(',').map(|text| broker(text, by_tls)).collect();
        let places =
            places.ok_or("must be HOST:PORT[,HOST:PORT…], with ssl:// in front of each or of none")?;
        if self.authority.is_some() && !by_tls {
            return Err("ssl_ca goes with ssl:// in front of each broker".into());
        }
        Ok(Brokers { places, by_tls })
    }

    /// The address as the driver of MySQL wants it.
    pub fn of_mysql(&self) -> Result<Opts, String> {
        // Not the error's own words: they quote, and a password with a "?" in it would be quoted.
        let options = Opts::from_url(&self.plain).map_err(|error| match error {
            UrlError::UnknownParameter { .. } => "it has a parameter that is not known".to_owned(),
            UrlError::InvalidParamValue { .. } => "one of its parameters has a value that is none".to_owned(),
            _ => "it is not a URL of MySQL".to_owned(),
        })?;
        let Some(certificates) = self.certificates()? else { return Ok(options) };
        let trusted = options.ssl_opts().cloned().unwrap_or_default();
        let trusted = trusted.with_root_certs(vec![certificates.into()]).with_disable_built_in_roots(true);
        Ok(OptsBuilder::from_opts(options).ssl_opts(trusted).into())
    }
}

/// Where Kafka is found at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brokers {
    /// Hosts and ports; IPv6 addresses without their brackets.
    pub places: Vec<(String, u16)>,
    /// Whether they are spoken to by TLS.
    pub by_tls: bool,
}

impl Brokers {
    /// As the client of Kafka wants them.
    pub fn bootstrap_servers(&self) -> String {
        let each = |(host, port): &(String, u16)| {
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
        };
        self.places.iter().map(each).collect::<Vec<_>>().join(",")
    }
}

/// `host:port`, with `ssl://` in front of it if it must be there.
fn broker(text: &str, by_tls: bool) -> Option<(String, u16)> {
    let text = text.trim();
    let (host, port) = if by_tls { text.strip_prefix(BY_TLS)? } else { text }.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty() && !host.contains('/')).then_some((host.to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_taken_out_of_the_parameters() {
        for (address, plain, authority) in [
            ("redis://h/1", "redis://h/1", None),
            ("rediss://:p@h/1?ssl_ca=/a.pem", "rediss://:p@h/1", Some("/a.pem")),
            (
                "mysql://h/d?require_ssl=true&ssl_ca=/a.pem&x=1",
                "mysql://h/d?require_ssl=true&x=1",
                Some("/a.pem"),
            ),
            ("mysql://h/d?require_ssl=true", "mysql://h/d?require_ssl=true", None),
            ("ssl://a:1,ssl://b:2?ssl_ca=/a.pem", "ssl://a:1,ssl://b:2", Some("/a.pem")),
        ] {
            let expected = Address { plain: plain.to_owned(), authority: authority.map(str::to_owned) };
            assert_eq!(Address::of(address), expected);
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let missing = Address::of("rediss://h/1?ssl_ca=/no/such/file").certificates().unwrap_err();
        assert!(missing.contains("cannot read /no/such/file"), "{missing}");
        let no_certificate = concat!("rediss://h/1?ssl_ca=", env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let wrong = Address::of(no_certificate).certificates().unwrap_err();
        assert!(wrong.contains("holds no certificate"), "{wrong}");
        assert_eq!(Address::of("rediss://h/1").certificates(), Ok(None));
    }

    #[test]
    fn the_brokers_of_kafka_are_hosts_and_ports() {
        for (address, places, by_tls, servers) in [
            ("one:9093", vec![("one", 9093)], false, "one:9093"),
            ("one:1, two:2 ", vec![("one", 1), ("two", 2)], false, "one:1,two:2"),
            ("[::1]:9092", vec![("::1", 9092)], false, "[::1]:9092"),
            ("ssl://a:1,ssl://b:2?ssl_ca=/a.pem", vec![("a", 1), ("b", 2)], true, "a:1,b:2"),
        ] {
            let brokers = Address::of(address).of_kafka().unwrap();
            let places = places.into_iter().map(|(host, port)| (host.to_owned(), port)).collect();
            assert_eq!(brokers, Brokers { places, by_tls }, "{address}");
            assert_eq!(brokers.bootstrap_servers(), servers, "{address}");
        }
    }
}
