//! Buyers' tokens that are signed with the keys of a key set (JWKS), from a file or a URL.

use std::{fs, path::PathBuf};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp, jwk::Jwk};
use ring::{rand::SystemRandom, signature};
use rsa::{RsaPrivateKey, pkcs1::EncodeRsaPrivateKey, rand_core::OsRng};
use seckill_core::order::OrderId;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{identity::Members, world::PHONE};

struct Key {
    name: &'static str,
    algorithm: Algorithm,
    private: EncodingKey,
}

impl Key {
    fn elliptic(name: &'static str) -> Self {
        let random = SystemRandom::new();
        let curve = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = signature::EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
        Self { name, algorithm: Algorithm::ES256, private: EncodingKey::from_ec_der(pair.as_ref()) }
    }

    fn rsa(name: &'static str) -> Self {
        let key = RsaPrivateKey::new(&mut OsRng, 2048).unwrap().to_pkcs1_der().unwrap();
        Self { name, algorithm: Algorithm::RS256, private: EncodingKey::from_rsa_der(key.as_bytes()) }
    }

    /// Ada's token.
    fn token(&self) -> String {
        let header = Header { kid: Some(self.name.to_owned()), ..Header::new(self.algorithm) };
        self.sign(&header)
    }

    fn sign(&self, header: &Header) -> String {
        let claims = json!({ "sub": "ada", "exp": get_current_timestamp() + 60 });
        encode(header, &claims, &self.private).unwrap()
    }
}

fn key_set(keys: &[&Key]) -> String {
    let mut set =
        vec![json!({ "kty": "OKP", "crv": "X448", "x": "AA", "kid": "of a kind that nobody knows" })];
    for key in keys {
        let mut jwk = Jwk::from_encoding_key(&key.private, key.algorithm).unwrap();
        jwk.common.key_id = Some(key.name.to_owned());
        set.push(serde_json::to_value(jwk).unwrap());
    }
    json!({ "keys": set }).to_string()
}

/// A file that is gone when its test ends.
struct KeyFile(PathBuf);

impl KeyFile {
    fn of(keys: &[&Key]) -> Self {
        let path = std::env::temp_dir().join(format!("seckill-keys-{}", OrderId::fresh()));
        fs::write(&path, key_set(keys)).unwrap();
        Self(path)
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_every_key_in_the_file_are_taken_and_of_no_other() {
    let (elliptic, rsa, stranger) = (Key::elliptic("e"), Key::rsa("r"), Key::elliptic("e"));
    let file = KeyFile::of(&[&elliptic, &rsa]);
    let members = Members::with(&["--buyer-jwt-jwks", file.0.to_str().unwrap()]).await;
    for key in [&elliptic, &rsa] {
        let order = members.order(&key.token(), PHONE).await;
        assert_eq!((order.status, &order.json()["user"]), (202, &"ada".into()), "{}", order.body);
        let nameless = key.sign(&Header::new(key.algorithm));
        assert_eq!(members.order(&nameless, PHONE).await.status, 202, "each key that fits is tried");
    }
    members.order(&stranger.token(), PHONE).await.problem(401, "unauthorized");
    let misnamed = elliptic.sign(&Header { kid: Some("r".into()), ..Header::new(Algorithm::ES256) });
    members.order(&misnamed, PHONE).await.problem(401, "unauthorized");
    // The oldest trick: the public key taken for a shared secret.
    let public = key_set(&[&rsa]);
    let forged = Header { kid: Some("r".into()), ..Header::new(Algorithm::HS256) };
    let claims = json!({ "sub": "ada", "exp": get_current_timestamp() + 60 });
    let forged = encode(&forged, &claims, &EncodingKey::from_secret(public.as_bytes())).unwrap();
    members.order(&forged, PHONE).await.problem(401, "unauthorized");
    members.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_new_in_the_file_is_found_and_one_that_is_gone_is_not_taken_any_more() {
    let (old, new) = (Key::elliptic("old"), Key::elliptic("new"));
    let file = KeyFile::of(&[&old]);
    let members = Members::with(&["--buyer-jwt-jwks", file.0.to_str().unwrap()]).await;
    assert_eq!(members.order(&old.token(), PHONE).await.status, 202);
    fs::write(&file.0, key_set(&[&new])).unwrap();
    // A token with an unknown key makes the set be looked at, but not at once: nobody can make it busy.
    let started = std::time::Instant::now();
    while members.order(&new.token(), PHONE).await.status != 202 {
        assert!(started.elapsed().as_secs() < 30, "the new key is not found");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    members.order(&old.token(), PHONE).await.problem(401, "unauthorized");
    members.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_set_comes_from_a_url_too() {
    let key = Key::elliptic("e");
    let body = key_set(&[&key]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        loop {
            let (mut connection, _peer) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let read = connection.read(&mut head).await.unwrap();
            assert!(head[..read].starts_with(b"GET /keys HTTP/1.1\r\n"));
            let length = body.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            connection.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let members = Members::with(&["--buyer-jwt-jwks", &url]).await;
    assert_eq!(members.order(&key.token(), PHONE).await.status, 202);
    serving.abort();
    members.end().await;
}
