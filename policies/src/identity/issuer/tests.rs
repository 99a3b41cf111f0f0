use super::{Algorithm, AttributeClaim, AttributeType, Issuer};
use crate::clock::tests::StillClock;
use crate::error::Error;
use crate::identity::{
    Authenticated, Authenticator as _, Config, Credentials, Identity, Secrets, Shown, Users,
};
use crate::principal::Attribute;
use crate::seal::Seal;
use crate::secret::Secret;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

mod attacks;
mod mutations;

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap())
}

/// The keys of an issuer that does what a test says.
struct Keys {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
}

impl Keys {
    fn new() -> Self {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        Self {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            p256: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap(),
        }
    }

    fn rsa_jwk(&self, id: &str) -> Value {
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(self.rsa.public_key());
        json!({
            "kty": "RSA", "kid": id, "use": "sig",
            "n": URL_SAFE_NO_PAD.encode(public.n), "e": URL_SAFE_NO_PAD.encode(public.e),
        })
    }

    fn p256_jwk(&self, id: &str) -> Value {
        let point = self.p256.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "kid": id,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]),
        })
    }

    /// A token of this header and these claims, signed as its `alg` says.
    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_as(header["alg"].as_str().unwrap_or("RS256"), header, claims)
    }

    fn sign_as(&self, algorithm: &str, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header), encoded(claims));
        let random = SystemRandom::new();
        let signature = match algorithm {
            "ES256" => self
                .p256
                .sign(&random, message.as_bytes())
                .unwrap()
                .as_ref()
                .to_vec(),
            other => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                let outcome = match other {
                    "PS256" => self
                        .rsa
                        .sign(&RSA_PSS_SHA256, &random, message.as_bytes(), &mut signature),
                    _ => self
                        .rsa
                        .sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature),
                };
                outcome.unwrap();
                signature
            }
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// An issuer on a port of its own, whose key document a test can change; it counts what it is asked for.
struct Door {
    url: String,
    keys: Arc<Mutex<Value>>,
    fetches: Arc<AtomicUsize>,
    is_down: Arc<Mutex<bool>>,
}

impl Door {
    async fn open(keys: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let door = Self {
            url: url.clone(),
            keys: Arc::new(Mutex::new(keys)),
            fetches: Arc::default(),
            is_down: Arc::default(),
        };
        let (keys, fetches, is_down) = (
            Arc::clone(&door.keys),
            Arc::clone(&door.fetches),
            Arc::clone(&door.is_down),
        );
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.is_ok_and(|read| read == 1)
                {
                    head.push(byte[0]);
                }
                let is_discovery = head.starts_with(b"GET /.well-known/openid-configuration ");
                let body = match is_discovery {
                    true => json!({"issuer": url, "jwks_uri": format!("{url}/keys")}).to_string(),
                    false => {
                        fetches.fetch_add(1, Ordering::SeqCst);
                        keys.lock().unwrap().to_string()
                    }
                };
                let status = if *is_down.lock().unwrap() {
                    "503 Service Unavailable"
                } else {
                    "200 OK"
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        door
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

struct House {
    identity: Identity,
    clock: Arc<StillClock>,
    door: Door,
    keys: Keys,
}

fn config(url: &str) -> Issuer {
    let claim = |claim: &str, kind| AttributeClaim {
        claim: claim.to_owned(),
        kind,
    };
    Issuer {
        issuer: url.to_owned(),
        audiences: ["lakegate".to_owned()].into(),
        algorithms: [Algorithm::RS256, Algorithm::ES256].into(),
        tenant_claim: Some("/org/name".to_owned()),
        tenants: ["acme".to_owned(), "globex".to_owned()].into(),
        roles_claim: Some("groups".to_owned()),
        roles: BTreeMap::from([
            ("lake-readers".to_owned(), ["data_viewer".to_owned()].into()),
            (
                "lake-writers".to_owned(),
                ["data_viewer".to_owned(), "data_engineer".to_owned()].into(),
            ),
        ]),
        attributes: BTreeMap::from([
            ("region".to_owned(), claim("/org/region", AttributeType::Text)),
            ("level".to_owned(), claim("level", AttributeType::Integer)),
            (
                "sites".to_owned(),
                claim("https://acme.example/sites", AttributeType::Texts),
            ),
        ]),
        ..Issuer::default()
    }
}

impl House {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Issuer)) -> Self {
        let keys = Keys::new();
        let door = Door::open(json!({"keys": [keys.rsa_jwk("r1"), keys.p256_jwk("e1")]})).await;
        let mut issuer = config(&door.url);
        change(&mut issuer);
        let config = Config {
            issuers: BTreeMap::from([("corp".to_owned(), issuer)]),
            ..Config::default()
        };
        let clock = Arc::new(StillClock::new());
        let secrets = Secrets {
            seal: Arc::new(Seal::random().unwrap()),
            pepper: None,
        };
        let identity =
            Identity::with_users(&config, Users::default(), secrets, Arc::clone(&clock) as _).unwrap();
        Self {
            identity,
            clock,
            door,
            keys,
        }
    }

    fn now(&self) -> u64 {
        use crate::clock::Clock as _;
        let since = self.clock.wall().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        since.as_secs()
    }

    fn header(&self) -> Value {
        json!({"alg": "RS256", "kid": "r1", "typ": "JWT"})
    }

    fn claims(&self) -> Value {
        let now = self.now();
        json!({
            "iss": self.door.url, "aud": "lakegate", "sub": "7f3a", "iat": now, "exp": now + 600, "jti": "t-1",
            "groups": ["lake-readers", "everybody"], "org": {"name": "acme", "region": "eu"}, "level": 3,
            "https://acme.example/sites": ["zrh", "ber"],
        })
    }

    /// The usual claims with some of them changed; null takes one away.
    fn claims_with(&self, changes: Value) -> Value {
        let mut claims = self.claims();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    fn token_with(&self, changes: Value) -> String {
        self.keys.sign(&self.header(), &self.claims_with(changes))
    }

    async fn ask(&self, token: &str) -> Result<Authenticated, Error> {
        self.identity
            .authenticate(&Credentials::Bearer(Secret::new(token)), None)
            .await
    }

    async fn refused(&self, what: &str, token: &str) {
        match self.ask(token).await {
            Err(Error::Token) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_good_token_gives_the_principal_that_the_config_makes_of_it() {
    let house = House::new().await;
    let found = house.ask(&house.token_with(json!({}))).await.unwrap();
    let principal = &found.principal;
    assert_eq!((principal.subject(), principal.tenant()), ("corp:7f3a", "acme"));
    assert!(principal.roles().iter().eq(["data_viewer"]), "{principal:?}");
    let sites = Attribute::Texts(["zrh".to_owned(), "ber".to_owned()].into());
    assert_eq!(
        principal.attributes().get("region"),
        Some(&Attribute::Text("eu".to_owned()))
    );
    assert_eq!(principal.attributes().get("level"), Some(&Attribute::Integer(3)));
    assert_eq!(principal.attributes().get("sites"), Some(&sites));
    let shown = Shown::Token {
        issuer: "corp".to_owned(),
        id: Some("t-1".to_owned()),
    };
    assert_eq!(found.shown, shown);
    assert!(
        house.identity.mint(principal, None, &BTreeMap::new()).is_err(),
        "no session grows out of it"
    );

    let other = house.keys.sign(
        &json!({"alg": "ES256", "kid": "e1", "typ": "application/at+jwt"}),
        &house.claims_with(json!({"aud": ["other", "lakegate"], "groups": "lake-writers", "level": null, "nbf": house.now()})),
    );
    let found = house.ask(&other).await.unwrap().principal;
    assert!(found.roles().iter().eq(["data_engineer", "data_viewer"]));
    assert_eq!(found.attributes().get("level"), None);
    assert_eq!(house.door.fetches(), 1);
}

#[tokio::test]
async fn a_token_ends_in_time_give_or_take_the_leeway() {
    let house = House::new().await;
    let token = house.token_with(json!({}));
    for (seconds, expected) in [(0, true), (600, true), (29, true), (1, false)] {
        house.clock.pass(Duration::from_secs(seconds));
        match house.ask(&token).await {
            Ok(_) => assert!(expected),
            Err(Error::TokenExpired) => assert!(!expected),
            Err(other) => unreachable!("{other:?}"),
        }
    }
    // From a clock that runs ahead, and from one that runs too far ahead.
    let now = house.now();
    let early = |by: u64| house.token_with(json!({"iat": now + by, "nbf": now + by, "exp": now + 600}));
    house.ask(&early(30)).await.unwrap();
    house.refused("31 seconds early", &early(31)).await;
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_its_running_answers_end() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::new();
    let door = Door::open(json!({"keys": [keys.rsa_jwk("r1")]})).await;
    let config = Config {
        users: dir.path().join("users.toml"),
        keys: dir.path().join("keys.toml"),
        revocations: dir.path().join("revocations.toml"),
        issuers: BTreeMap::from([("corp".to_owned(), config(&door.url))]),
        ..Config::default()
    };
    std::fs::write(&config.users, "").unwrap();
    let secrets = Secrets {
        seal: Arc::new(Seal::random().unwrap()),
        pepper: None,
    };
    let house = House {
        identity: Identity::open(&config, secrets).unwrap(),
        clock: Arc::new(StillClock::new()),
        door,
        keys,
    };
    let token = |id: &str, sub: &str| house.token_with(json!({"jti": id, "sub": sub}));
    let first = house.ask(&token("t-1", "a")).await.unwrap();
    let second = house.ask(&token("t-2", "b")).await.unwrap();
    let third = house.ask(&token("t-3", "c")).await.unwrap();
    let later = humantime_serde::re::humantime::format_rfc3339(SystemTime::now() + Duration::from_secs(5));
    let written = format!(
        "[[token]]\nissuer = \"corp\"\nid = \"t-1\"\n[[subject]]\nissuer = \"corp\"\nsubject = \"b\"\nbefore = \"{later}\"\n"
    );
    std::fs::write(&config.revocations, written).unwrap();
    house.identity.reload().unwrap();
    house.refused("by its id", &token("t-1", "a")).await;
    house.refused("by its subject", &token("t-9", "b")).await;
    house.ask(&token("t-2", "a")).await.unwrap();
    let standing = [first, second, third].map(|caller| caller.fence.check().is_ok());
    assert_eq!(standing, [false, false, true]);
}
