//! A buyer's token: a JSON Web Token whose subject is the buyer.

use std::sync::Arc;

use jsonwebtoken::{Validation, decode, decode_header, errors::ErrorKind};
use seckill_core::order::BuyerId;
use serde::Deserialize;

use super::keys::{KeySet, VerifyingKey};

/// What a token must say besides its subject and its end.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Who issued it.
    pub issuer: Option<String>,
    /// Whom it is for.
    pub audience: Option<String>,
}

/// Checks buyers' tokens.
pub struct BuyerTokens {
    keys: Arc<KeySet>,
    expected: Expected,
}

/// Why a token names no buyer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// It is not one, or not signed by a key that is known, or not for us.
    #[error("the token is not valid here")]
    NotValid,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// Its subject is no [`BuyerId`].
    #[error(
        "the token's subject cannot be a buyer: it must have 1 to 64 characters, none a control character"
    )]
    NoBuyer,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

impl BuyerTokens {
    /// Takes tokens that one of `keys` has signed, and that say what is `expected`.
    pub fn new(keys: KeySet, expected: Expected) -> Self {
        Self { keys: Arc::new(keys), expected }
    }

    /// Looks for changed keys again and again, from the runtime that this is called on.
    pub fn keep_fresh(&self) {
        KeySet::keep_fresh(&self.keys);
    }

    /// The buyer whose token `token` is.
    pub fn buyer_of(&self, token: &str) -> Result<BuyerId, InvalidToken> {
        let header = decode_header(token).map_err(|_| InvalidToken::NotValid)?;
        let mut invalid = InvalidToken::NotValid;
        // Without a key's name in the token, each that could have signed it is tried.
        for key in self.keys.candidates(header.alg, header.kid.as_deref()) {
            match decode::<Claims>(token, &key.key, &self.validation(&key)) {
                Ok(data) => return BuyerId::parse(data.claims.sub).map_err(|_| InvalidToken::NoBuyer),
                Err(error) => invalid = of(error.kind(), invalid),
            }
        }
        Err(invalid)
    }

    fn validation(&self, key: &VerifyingKey) -> Validation {
        let mut validation = Validation::new(key.algorithm);
        validation.validate_nbf = true;
        let mut required = vec!["exp", "sub"];
        match &self.expected.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                required.push("aud");
            }
            None => validation.validate_aud = false,
        }
        if let Some(issuer) = &self.expected.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

/// What `kind` tells the bearer; what it does not is `otherwise`. The time is looked at behind the signature.
fn of(kind: &ErrorKind, otherwise: InvalidToken) -> InvalidToken {
    match kind {
        ErrorKind::ExpiredSignature => InvalidToken::Expired,
        ErrorKind::ImmatureSignature => InvalidToken::NotYet,
        _ => otherwise,
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
    use serde_json::{Value, json};

    use super::*;

    fn tokens(expected: Expected) -> BuyerTokens {
        BuyerTokens::new(KeySet::of_secret(&"a shared secret of 32 characters".into()), expected)
    }

    fn signed(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
        encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    fn token(claims: &Value) -> String {
        signed(Algorithm::HS256, "a shared secret of 32 characters", claims)
    }

    fn in_seconds(seconds: i64) -> u64 {
        get_current_timestamp().checked_add_signed(seconds).unwrap()
    }

    #[test]
    fn a_token_names_its_buyer() {
        let token = token(&json!({ "sub": "买家", "exp": in_seconds(60), "aud": "whoever", "extra": [1] }));
        assert_eq!(tokens(Expected::default()).buyer_of(&token).unwrap().as_str(), "买家");
    }

    #[test]
    fn p6_what_is_not_a_valid_token_is_refused_for_what_it_is() {
        let tokens = tokens(Expected::default());
        let refused = |token: &str| tokens.buyer_of(token).unwrap_err();
        let good = json!({ "sub": "ada", "exp": in_seconds(60) });
        assert_eq!(
            refused(&token(&json!({ "sub": "ada", "exp": in_seconds(-3600) }))),
            InvalidToken::Expired
        );
        let early = json!({ "sub": "ada", "exp": in_seconds(7200), "nbf": in_seconds(3600) });
        assert_eq!(refused(&token(&early)), InvalidToken::NotYet);
        assert_eq!(refused(&token(&json!({ "sub": "", "exp": in_seconds(60) }))), InvalidToken::NoBuyer);
        assert_eq!(refused(&token(&json!({ "sub": "a\nb", "exp": in_seconds(60) }))), InvalidToken::NoBuyer);
        for bad in [
            token(&json!({ "sub": "ada" })),
            token(&json!({ "exp": in_seconds(60) })),
            token(&json!({ "sub": "ada", "exp": "never" })),
            signed(Algorithm::HS256, "another secret of 32 characters!", &good),
            signed(Algorithm::HS512, "a shared secret of 32 characters", &good),
            format!("{}x", token(&good)),
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.".to_owned(),
            "not.a.token".to_owned(),
            String::new(),
        ] {
            assert_eq!(refused(&bad), InvalidToken::NotValid, "{bad}");
        }
    }

    #[test]
    fn p6_issuer_and_audience_are_required_where_they_are_set() {
        let expected = Expected { issuer: Some("us".into()), audience: Some("shop".into()) };
        let tokens = tokens(expected);
        let claims = |issuer: &str, audience: Value| {
            token(&json!({ "sub": "ada", "exp": in_seconds(60), "iss": issuer, "aud": audience }))
        };
        assert!(tokens.buyer_of(&claims("us", json!("shop"))).is_ok());
        assert!(tokens.buyer_of(&claims("us", json!(["x", "shop"]))).is_ok());
        for bad in [
            claims("them", json!("shop")),
            claims("us", json!("them")),
            token(&json!({ "sub": "ada", "exp": in_seconds(60) })),
        ] {
            assert_eq!(tokens.buyer_of(&bad).unwrap_err(), InvalidToken::NotValid);
        }
    }
}
