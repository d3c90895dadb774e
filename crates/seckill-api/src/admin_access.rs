//! Who may use the operator's routes: whoever sends `Authorization: Bearer TOKEN` with the token that is set.
//!
//! A handler that takes [`Admin`] among its arguments is an operator's.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{AUTHORIZATION, HeaderMap},
    web::Data,
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::problem::{Code, Problem};

/// The operator's token, as its hash: all hashes are equally long, so comparing them tells nothing of the
/// token's length either.
pub struct AdminAccess(Option<[u8; 32]>);

impl AdminAccess {
    /// Access by `token`; none: for nobody.
    pub fn new(token: Option<&SecretString>) -> Self {
        Self(token.map(|token| hash(token.expose_secret())))
    }

    /// Says whether a request with `headers` is an operator's, and if not, why.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(expected) = &self.0 else {
            return Err(Problem::new(Code::Forbidden, "no operator's token is configured here"));
        };
        let given = bearer_token(headers)
            .ok_or_else(|| Problem::new(Code::Unauthorized, "the operator's token is required"))?;
        if bool::from(hash(given).ct_eq(expected)) {
            Ok(())
        } else {
            Err(Problem::new(Code::Unauthorized, "this is not the operator's token"))
        }
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// The token of the one header `Authorization: Bearer TOKEN`.
pub(crate) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION);
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Proof that the request is an operator's.
pub struct Admin;

impl FromRequest for Admin {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let access = request.app_data::<Data<AdminAccess>>().expect("the server has it");
        ready(access.check(request.headers()).map(|()| Self))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn code(access: &AdminAccess, values: &[&'static str]) -> Option<Code> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        access.check(&headers).err().map(|problem| problem.code())
    }

    #[test]
    fn p6_only_the_token_opens() {
        let access = AdminAccess::new(Some(&"s3cret".into()));
        assert_eq!(code(&access, &["Bearer s3cret"]), None);
        assert_eq!(code(&access, &["bearer  s3cret"]), None, "the scheme's case does not matter");
        for wrong in [
            "Bearer s3cre",
            "Bearer s3crett",
            "Bearer S3CRET",
            "Bearer ",
            "Bearer",
            "s3cret",
            "Basic s3cret",
            "",
        ] {
            assert_eq!(code(&access, &[wrong]), Some(Code::Unauthorized), "{wrong:?}");
        }
        assert_eq!(code(&access, &[]), Some(Code::Unauthorized));
        assert_eq!(code(&access, &["Bearer s3cret", "Bearer s3cret"]), Some(Code::Unauthorized));
    }

    #[test]
    fn p6_without_a_token_nobody_is_an_operator() {
        let access = AdminAccess::new(None);
        for given in [&["Bearer "][..], &["Bearer x"], &[]] {
            assert_eq!(code(&access, given), Some(Code::Forbidden));
        }
    }
}
