//! Tokens of other programs and of these tests.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::watch,
};

use super::*;

const SECRET: &str = "a secret of at least 32 bytes, as in production";
const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// A public key of RSA, the modulus of the same key, and a token that was signed with it by
/// OpenSSL: `{"sub":"10"}` with the key id `rsa`.
const RSA_PEM: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA4Plige/397/svlZrVwis
HGqvXTloy48RcWDwmbxzkXfun6AAo4Ir0uPd/Y1g/R8pEcfH5V4oPdz6vkqFVOAh
tnLwRdxJyJLVwTHGSEMe4/haWJeciFqr8qwQ5F65WcOVjH7A3gu3clI3O+vguOnC
EzXeIqexXbothlv4UGmWOZukfoOz8Xt+G2wQB8nSCDA2Ueuyj7DLZWWYKXTVbQez
JToJw5yTCK3fIWgw+sCXaOeqjAi6OaxBuL5uodYvOZFWY2Dx8b0hIrDJmcQG1lHK
jGBURhYM/KoCybzGX1JakhSoZGmcKspEh4JwKKwbJeGiNsUuBwUXUnWim04hDdps
iwIDAQAB
-----END PUBLIC KEY-----
";
const RSA_MODULUS: &str = "4Plige_397_svlZrVwisHGqvXTloy48RcWDwmbxzkXfun6AAo4Ir0uPd_Y1g_R8pEcfH5V4oPdz6vkqFVOAhtnLwRdxJyJLVwTHGSEMe4_haWJeciFqr8qwQ5F65WcOVjH7A3gu3clI3O-vguOnCEzXeIqexXbothlv4UGmWOZukfoOz8Xt-G2wQB8nSCDA2Ueuyj7DLZWWYKXTVbQezJToJw5yTCK3fIWgw-sCXaOeqjAi6OaxBuL5uodYvOZFWY2Dx8b0hIrDJmcQG1lHKjGBURhYM_KoCybzGX1JakhSoZGmcKspEh4JwKKwbJeGiNsUuBwUXUnWim04hDdpsiw";
const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYSJ9.eyJzdWIiOiIxMCJ9.bAwsuEAJ5BQaE5G9--6XpF-tQmOPRt2eWnQMYAngBh9oTRoaUh_G0To4sXUDLP3Z5fGTW_tSnKMUOIeUP701YMIDq8-JG40_XZ3724SoSIicZAVgCq4I1plCB1AchuG-BlgGfJQJQUDEN4LVtW7YlT1pR0gBXwBmvk4xBoWbiGl-TGl5celBb6glEQCFjyQOWYl2uEIGB6bRNmwvANSlmosdS6Wf7FMGyY1n1xBvZFGzzifnAOZPeiGQeQOz7tj0H5lROHK8Ic5g2odQAbV_QZIBjkmbsAQsElkgc9GHa3TQamBcM7iwzyPJG60GRpmkxiz-eipQU9oUgb6Rl_UdGQ";

fn config() -> TokenConfig {
    TokenConfig { user_claim: "sub".into(), ..TokenConfig::default() }
}

fn with_secret() -> TokenConfig {
    TokenConfig { secret: Some(SECRET.into()), ..config() }
}

fn unsigned(header: &str, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn signed(header: &str, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = unsigned(header, claims);
    let signature = sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn hs256(secret: &str, header: &str, claims: &Value) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    signed(header, claims, |message| ring::hmac::sign(&key, message).as_ref().to_vec())
}

/// Returns the user, or the text of the error.
async fn user(config: TokenConfig, token: &str) -> Result<String, String> {
    let verifier = TokenVerifier::new(config).unwrap();
    verifier.verify(token).await.map(|identity| identity.user).map_err(|error| error.to_string())
}

fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

fn key_file(pem: &str) -> KeyFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pem).unwrap();
    file.path().to_str().unwrap().parse().unwrap()
}

fn pem(prefix: &[u8], key: &[u8]) -> String {
    let der = [prefix, key].concat();
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
}

fn ed25519() -> Ed25519KeyPair {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap()
}

fn eddsa(key: &Ed25519KeyPair, id: &str, claims: &Value) -> String {
    let header = json!({"alg": "EdDSA", "kid": id}).to_string();
    signed(&header, claims, |message| key.sign(message).as_ref().to_vec())
}

#[tokio::test]
async fn the_example_token_of_jwt_io_is_accepted() {
    // The default token on https://jwt.io, with its secret.
    let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";
    let config = TokenConfig { secret: Some("your-256-bit-secret".into()), ..config() };
    assert_eq!(user(config, token).await.as_deref(), Ok("1234567890"));
}

#[tokio::test]
async fn the_user_and_the_period_of_validity_are_read() {
    let verifier = TokenVerifier::new(with_secret()).unwrap();
    let check = async |claims: Value| verifier.verify(&hs256(SECRET, HS256, &claims)).await;
    let expires = now() + 100;
    let claims = json!({"sub": "10", "exp": expires, "nbf": now(), "role": "staff"});
    assert_eq!(
        check(claims.clone()).await.unwrap(),
        Identity {
            user: "10".into(),
            expires: Some(WallTime::from_millis(i64::try_from(expires).unwrap() * 1_000)),
            claims: claims.try_into().unwrap(),
        }
    );
    assert_eq!(check(json!({"sub": 10})).await.unwrap().user, "10");
    assert_eq!(check(json!({"sub": "10"})).await.unwrap().expires, None);
    assert!(matches!(check(json!({"sub": "10", "exp": now() - 2})).await, Err(JwtError::Expired)));
    assert!(matches!(check(json!({"sub": "10", "nbf": now() + 100})).await, Err(JwtError::NotYet)));
    for claims in
        [json!({}), json!({"sub": 1.5}), json!({"sub": null}), json!({"sub": "1", "exp": "never"})]
    {
        assert!(check(claims.clone()).await.is_err(), "{claims}");
    }
    let lenient = TokenConfig { leeway: Duration::from_secs(3), ..with_secret() };
    let token = hs256(SECRET, HS256, &json!({"sub": "10", "exp": now() - 2}));
    assert!(user(lenient, &token).await.is_ok(), "within the leeway");
}

#[tokio::test]
async fn issuer_audience_and_claim_of_the_user_are_configured() {
    let config = || TokenConfig {
        issuer: Some("https://issuer".into()),
        audiences: vec!["logux".into(), "other".into()],
        user_claim: "user_id".into(),
        ..with_secret()
    };
    let check = async |claims: Value| user(config(), &hs256(SECRET, HS256, &claims)).await;
    let good = json!({"iss": "https://issuer", "aud": ["x", "logux"], "user_id": 7, "sub": "8"});
    assert_eq!(check(good.clone()).await.as_deref(), Ok("7"));
    for (claim, value) in [
        ("iss", json!("https://evil")),
        ("iss", Value::Null),
        ("aud", json!("x")),
        ("aud", Value::Null),
        ("user_id", Value::Null),
    ] {
        let mut wrong = good.clone();
        wrong[claim] = value;
        let error = check(wrong).await.unwrap_err();
        assert!(error.contains(claim), "{error}");
    }
}

#[tokio::test]
async fn other_signatures_and_algorithms_are_rejected() {
    let claims = json!({"sub": "10"});
    let good = hs256(SECRET, HS256, &claims);
    assert_eq!(user(with_secret(), &good).await.as_deref(), Ok("10"));
    let other = TokenConfig { secret: Some("another".into()), ..config() };
    assert_eq!(user(other, &good).await, Err("invalid signature".into()));
    for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS512"}"#, r#"{"alg":"RS256"}"#] {
        let error = user(with_secret(), &hs256(SECRET, header, &claims)).await.unwrap_err();
        assert!(error.contains("expected HS256"), "{error}");
    }
    for text in ["", ".", "..", "a.b.c", &good[..good.len() - 2], &format!("{good}.x")] {
        assert!(user(with_secret(), text).await.is_err(), "{text}");
    }
    // A public key is not a secret.
    let keys = TokenConfig { keys: vec![key_file(RSA_PEM)], ..config() };
    assert!(user(keys, &hs256(RSA_PEM, HS256, &claims)).await.is_err());
}

#[tokio::test]
async fn unknown_critical_extensions_are_rejected() {
    for crit in [r#"["b64"]"#, r#"["exp"]"#, "[]", "1"] {
        let header = format!(r#"{{"alg":"HS256","crit":{crit},"b64":true}}"#);
        let token = hs256(SECRET, &header, &json!({"sub": "10"}));
        assert!(user(with_secret(), &token).await.is_err(), "{crit}");
    }
}

#[tokio::test]
async fn public_keys_in_files_verify_tokens() {
    let (ed, random) = (ed25519(), SystemRandom::new());
    let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random);
    let ec = ec.unwrap();
    // SubjectPublicKeyInfo (RFC 5280) of Ed25519 and of P-256.
    let ed_prefix = *b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
    let ec_prefix = *b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
    let config = || TokenConfig {
        keys: vec![
            key_file(RSA_PEM),
            key_file(&pem(&ed_prefix, ed.public_key().as_ref())),
            key_file(&pem(&ec_prefix, ec.public_key().as_ref())),
        ],
        ..config()
    };
    let claims = json!({"sub": "10"});
    let es256 = signed(r#"{"alg":"ES256"}"#, &claims, |message| {
        ec.sign(&random, message).unwrap().as_ref().to_vec()
    });
    for token in [RSA_TOKEN, &eddsa(&ed, "any", &claims), &es256] {
        assert_eq!(user(config(), token).await.as_deref(), Ok("10"), "{token}");
        let changed = token.replacen("eyJzdWIiOiIxMCJ9", "eyJzdWIiOiIxMSJ9", 1);
        assert_eq!(user(config(), &changed).await, Err("invalid signature".into()));
    }
    assert!(user(config(), &eddsa(&ed25519(), "any", &claims)).await.is_err());
}

/// A server of key sets. `None` is a failure.
struct Issuer {
    url: KeySetUrl,
    set: watch::Sender<Option<Value>>,
    requests: watch::Receiver<usize>,
}

impl Issuer {
    async fn start(set: Option<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap()).parse().unwrap();
        let (set, current) = watch::channel(set);
        let (counter, requests) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                counter.send_modify(|count| *count += 1);
                let body = current.borrow().as_ref().map(ToString::to_string);
                let status = if body.is_some() { "200 OK" } else { "503 Service Unavailable" };
                let body = body.unwrap_or_default();
                let mut request = [0; 1_024];
                let _ = socket.read(&mut request).await;
                let length = body.len();
                let response = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                let _ = socket.write_all(response.as_bytes()).await;
            }
        });
        Self { url, set, requests }
    }
}

fn jwk(id: &str, key: &Ed25519KeyPair) -> Value {
    let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": id, "x": x})
}

/// Lets time pass for the cache, while the sockets work in real time.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_key_set_is_fetched_and_follows_the_rotation_of_keys() {
    let (old, new) = (ed25519(), ed25519());
    let rsa = json!({"kty": "RSA", "kid": "rsa", "n": RSA_MODULUS, "e": "AQAB"});
    let issuer = Issuer::start(Some(json!({"keys": [rsa, jwk("old", &old)]}))).await;
    let config = TokenConfig { key_set: Some(issuer.url.clone()), ..config() };
    let verifier = TokenVerifier::new(config).unwrap();
    let claims = json!({"sub": "10"});
    let check = async |token: &str| verifier.verify(token).await.map(|identity| identity.user);
    assert_eq!(check(RSA_TOKEN).await.unwrap(), "10");
    assert_eq!(check(&eddsa(&old, "old", &claims)).await.unwrap(), "10");
    assert_eq!(*issuer.requests.borrow(), 1, "the set is cached");

    issuer.set.send_replace(Some(json!({"keys": [jwk("new", &new)]})));
    let token = eddsa(&new, "new", &claims);
    assert!(
        matches!(check(&token).await, Err(JwtError::KeySet(FetchError::TooSoon(_)))),
        "unknown ids do not cause a flood of requests"
    );
    pass(Duration::from_secs(10)).await;
    assert_eq!(check(&token).await.unwrap(), "10", "an unknown id refreshes the set");
    assert_eq!(*issuer.requests.borrow(), 2);
    pass(Duration::from_secs(10)).await;
    let error = check(&eddsa(&old, "old", &claims)).await.unwrap_err();
    assert!(matches!(error, JwtError::UnknownKey(_)), "a removed key is not trusted: {error}");

    issuer.set.send_replace(None);
    pass(Duration::from_mins(11)).await;
    assert_eq!(check(&token).await.unwrap(), "10", "the old set is used while there is no new one");
    assert_eq!(*issuer.requests.borrow(), 4);
}

#[tokio::test]
async fn without_a_key_set_nothing_is_said_about_a_token() {
    let issuer = Issuer::start(None).await;
    let config = TokenConfig { key_set: Some(issuer.url.clone()), ..config() };
    let verifier = TokenVerifier::new(config).unwrap();
    verifier.prepare().await;
    assert!(matches!(verifier.verify(RSA_TOKEN).await, Err(JwtError::KeySet(_))));
    assert_eq!(*issuer.requests.borrow(), 1, "the error is remembered for a while");
    for url in ["example.com/keys", "ftp://example.com", "https://", "https://user@example.com/"] {
        assert!(url.parse::<KeySetUrl>().is_err(), "{url}");
    }
}

#[tokio::test]
async fn own_tokens_are_accepted() {
    let claims = json!({"sub": "10", "exp": now() + 10});
    let token = sign(claims.as_object().unwrap(), SECRET).unwrap();
    assert_eq!(user(with_secret(), &token).await.as_deref(), Ok("10"));
}

#[test]
fn the_property_of_key_sets_holds_for_the_corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/key_set");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        key_set_fuzz::key_set(&std::fs::read(file.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 10, "only {count} files");
}
