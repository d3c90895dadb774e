//! Who buys, where buyers have tokens (JSON Web Tokens that somebody else issues). Off unless it is set: then
//! a buyer is whoever the body names, as in the original.

mod keys;
mod source;
mod token;

use std::path::PathBuf;

use actix_web::http::header::HeaderMap;
use seckill_core::{
    order::{BuyerId, Order},
    settings::{SettingsError, secret},
};
use secrecy::{ExposeSecret, SecretString};

pub use self::token::BuyerTokens;
use self::{keys::KeySet, source::Source, token::Expected};
use crate::{
    admin_access::{AdminAccess, bearer_token},
    problem::{Code, Problem},
};

/// Least bytes of a shared secret: as many as the hash has (RFC 7518, 3.2).
const MIN_SECRET: usize = 32;

/// How buyers' tokens are checked.
#[derive(clap::Args, Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "they are the names of the flags")]
pub struct IdentitySettings {
    /// Secret of buyers' tokens (JWT, HS256), at least 32 bytes; with this or a key set, orders need a token
    #[arg(long, env = "SECKILL_BUYER_JWT_SECRET", hide_env_values = true, value_name = "SECRET")]
    buyer_jwt_secret: Option<SecretString>,
    /// A file that holds it
    #[arg(long, env = "SECKILL_BUYER_JWT_SECRET_FILE", value_name = "FILE")]
    buyer_jwt_secret_file: Option<PathBuf>,
    /// Key set (JWKS) of buyers' tokens (JWT, RS256 or ES256), looked at again every five minutes
    #[arg(long, env = "SECKILL_BUYER_JWT_JWKS", hide_env_values = true, value_name = "FILE|URL")]
    buyer_jwt_jwks: Option<Source>,
    /// Who must have issued a token [default: anybody with a key]
    #[arg(long, env = "SECKILL_BUYER_JWT_ISSUER", value_name = "ISS")]
    buyer_jwt_issuer: Option<String>,
    /// Whom a token must be for [default: anybody]
    #[arg(long, env = "SECKILL_BUYER_JWT_AUDIENCE", value_name = "AUD")]
    buyer_jwt_audience: Option<String>,
}

impl IdentitySettings {
    /// What tokens are checked with; none: buyers have no tokens. Reads the key set, so it may block.
    pub fn buyer_tokens(&self) -> Result<Option<BuyerTokens>, SettingsError> {
        let (given, file) = (self.buyer_jwt_secret.as_ref(), self.buyer_jwt_secret_file.as_ref());
        let keys = match (secret("SECKILL_BUYER_JWT_SECRET", given, file)?, &self.buyer_jwt_jwks) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                let line = "SECKILL_BUYER_JWT_JWKS: give it or SECKILL_BUYER_JWT_SECRET, not both";
                return Err(SettingsError(line.into()));
            }
            (Some(secret), None) if secret.expose_secret().len() < MIN_SECRET => {
                let line = format!("SECKILL_BUYER_JWT_SECRET: must have at least {MIN_SECRET} bytes");
                return Err(SettingsError(line));
            }
            (Some(secret), None) => KeySet::of_secret(&secret),
            (None, Some(source)) => KeySet::load(source.clone())
                .map_err(|error| SettingsError(format!("SECKILL_BUYER_JWT_JWKS: {error}")))?,
        };
        let expected =
            Expected { issuer: self.buyer_jwt_issuer.clone(), audience: self.buyer_jwt_audience.clone() };
        Ok(Some(BuyerTokens::new(keys, expected)))
    }
}

/// Who looks at an order, or does something with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// Whoever knows the order's id: buyers have no tokens.
    Anybody,
    /// Who has the operator's token.
    Operator,
    /// Who has this buyer's token.
    Buyer(BuyerId),
}

impl Viewer {
    /// Whether `order` is there for this viewer.
    pub fn may_see(&self, order: &Order) -> bool {
        match self {
            Self::Anybody | Self::Operator => true,
            Self::Buyer(buyer) => *buyer == order.buyer,
        }
    }
}

/// Tells who asks.
pub struct Identity(Option<BuyerTokens>);

impl Identity {
    /// Buyers are told by `tokens`; none: not at all. Key sets are looked at again from the runtime that this
    /// is called on.
    pub fn new(tokens: Option<BuyerTokens>) -> Self {
        if let Some(tokens) = &tokens {
            tokens.keep_fresh();
        }
        Self(tokens)
    }

    /// The buyer who orders by a request with `headers`; none: whoever its body names.
    pub fn buyer(&self, headers: &HeaderMap) -> Result<Option<BuyerId>, Problem> {
        let Some(tokens) = &self.0 else { return Ok(None) };
        let token = bearer_token(headers)
            .ok_or_else(|| Problem::new(Code::Unauthorized, "a buyer's token is required"))?;
        match tokens.buyer_of(token) {
            Ok(buyer) => Ok(Some(buyer)),
            Err(invalid) => Err(Problem::new(Code::Unauthorized, invalid.to_string())),
        }
    }

    /// Who looks at an order by a request with `headers`.
    pub fn viewer(&self, headers: &HeaderMap, admin: &AdminAccess) -> Result<Viewer, Problem> {
        if self.0.is_none() {
            return Ok(Viewer::Anybody);
        }
        if admin.check(headers).is_ok() {
            return Ok(Viewer::Operator);
        }
        Ok(self.buyer(headers)?.map_or(Viewer::Anybody, Viewer::Buyer))
    }
}
