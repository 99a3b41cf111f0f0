use super::{
    ApiKeys, Authenticated, Authenticator, Config, Credentials, Identity, Pepper, Purpose, Secrets, Shown,
    User, Users, hash_password,
};
use crate::clock::tests::StillClock;
use crate::error::{Error, ErrorKind};
use crate::principal::Attributes;
use crate::seal::Seal;
use crate::secret::Secret;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

mod sessions;

fn user(name: &str, password: &str, roles: &[&str]) -> User {
    User {
        name: name.to_owned(),
        password_hash: hash_password(&Secret::new(password)).unwrap(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        tenant: "default".to_owned(),
        attributes: Attributes::default(),
    }
}

struct House {
    identity: Identity,
    clock: Arc<StillClock>,
    seal: Arc<Seal>,
}

fn secrets() -> Secrets {
    Secrets {
        seal: Arc::new(Seal::random().unwrap()),
        pepper: Some(pepper()),
    }
}

fn pepper() -> Pepper {
    let written = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [7; 32]);
    Pepper::new(&Secret::new(written)).unwrap()
}

fn house(users: impl IntoIterator<Item = User>) -> House {
    house_with(&Config::default(), users)
}

fn house_with(config: &Config, users: impl IntoIterator<Item = User>) -> House {
    let clock = Arc::new(StillClock::new());
    let secrets = secrets();
    let seal = Arc::clone(&secrets.seal);
    let users = Users::of(users).unwrap();
    let identity = Identity::with_users(config, users, secrets, Arc::clone(&clock) as _).unwrap();
    House {
        identity,
        clock,
        seal,
    }
}

fn basic(user: &str, password: &str) -> Credentials {
    Credentials::Basic {
        user: user.to_owned(),
        password: Secret::new(password),
    }
}

fn bearer(token: impl Into<String>) -> Credentials {
    Credentials::Bearer(Secret::new(token))
}

async fn login(identity: &Identity, user: &str, password: &str) -> Authenticated {
    identity.authenticate(&basic(user, password), None).await.unwrap()
}

#[tokio::test]
async fn a_right_password_gives_the_principal_with_its_roles() {
    let house = house([user("ada", "lovelace", &["admin", "analyst"])]);
    let found = login(&house.identity, "ada", "lovelace").await;
    assert_eq!(found.principal.subject(), "ada");
    assert!(found.principal.roles().iter().eq(["admin", "analyst"]));
    assert!(found.options.is_empty());
    assert_eq!((found.shown, found.session), (Shown::Password, None));
}

#[tokio::test]
async fn wrong_password_and_unknown_user_take_the_same_path_to_the_same_error() {
    let house = house([user("ada", "lovelace", &[])]);
    let mut seen = Vec::new();
    for credentials in [
        basic("ada", "x"),
        basic("bob", "x"),
        basic("", ""),
        basic("Ada", "lovelace"),
    ] {
        let before = house.identity.password_checks();
        let error = house.identity.authenticate(&credentials, None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        seen.push((
            format!("{error:?} {error}"),
            house.identity.password_checks() - before,
        ));
    }
    assert!(seen.iter().all(|each| *each == seen[0]), "{seen:?}");
    assert_eq!(seen[0].1, 1, "each attempt computes one hash");
}

#[tokio::test]
async fn a_right_pair_is_remembered_for_a_minute_and_a_wrong_one_never() {
    let house = house([user("ada", "lovelace", &[])]);
    for _ in 0..5 {
        login(&house.identity, "ada", "lovelace").await;
    }
    assert_eq!(house.identity.password_checks(), 1);
    house.clock.pass(Duration::from_secs(61));
    login(&house.identity, "ada", "lovelace").await;
    assert_eq!(house.identity.password_checks(), 2);
    for _ in 0..2 {
        house
            .identity
            .authenticate(&basic("ada", "wrong"), None)
            .await
            .unwrap_err();
    }
    assert_eq!(house.identity.password_checks(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_callers_than_the_queue_holds_are_refused_at_once() {
    let config = Config {
        password_checks_max: 1,
        password_queue_max: 1,
        failures_per_user: 1_000,
        ..Config::default()
    };
    let house = Arc::new(house_with(&config, [user("ada", "lovelace", &[])]));
    let attempts: Vec<_> = (0..20)
        .map(|index| {
            let house = Arc::clone(&house);
            tokio::spawn(async move {
                let credentials = basic("ada", &format!("wrong {index}"));
                house.identity.authenticate(&credentials, None).await.unwrap_err()
            })
        })
        .collect();
    let mut busy = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Error::Busy => busy += 1,
            Error::Password => {}
            other => unreachable!("{other:?}"),
        }
    }
    assert!(busy > 0 && busy < 20, "{busy}");
    login(&house.identity, "ada", "lovelace").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_connections_with_the_right_password_at_once_are_no_guesses() {
    let config = Config {
        failures_per_user: 3,
        ..Config::default()
    };
    let house = Arc::new(house_with(&config, [user("ada", "lovelace", &[])]));
    let logins: Vec<_> = (0..50)
        .map(|_| {
            let house = Arc::clone(&house);
            tokio::spawn(async move { house.identity.authenticate(&basic("ada", "lovelace"), None).await })
        })
        .collect();
    for login in logins {
        login.await.unwrap().unwrap();
    }
    assert_eq!(house.identity.password_checks(), 1);
    // And the same wrong one at once is as many guesses as it is.
    let guesses: Vec<_> = (0..50)
        .map(|_| {
            let house = Arc::clone(&house);
            tokio::spawn(async move { house.identity.authenticate(&basic("ada", "byron"), None).await })
        })
        .collect();
    let mut wrong = 0;
    for guess in guesses {
        match guess.await.unwrap().unwrap_err() {
            Error::Password => wrong += 1,
            Error::Throttled { .. } => {}
            other => unreachable!("{other:?}"),
        }
    }
    assert_eq!(wrong, 3);
}

#[tokio::test]
async fn guessing_is_bounded_by_name_and_leaves_whoever_is_in_alone() {
    let house = house([user("ada", "lovelace", &[]), user("bob", "builder", &[])]);
    login(&house.identity, "ada", "lovelace").await;
    let from = Some("203.0.113.9".parse().unwrap());
    let mut refused = Vec::new();
    for name in ["ada", "nobody"] {
        for round in 0..20 {
            let guess = basic(name, &format!("guess {round}"));
            let before = house.identity.password_checks();
            match house.identity.authenticate(&guess, from).await.unwrap_err() {
                Error::Password => assert!(round < 10),
                Error::Throttled { retry_after } => {
                    assert!(round >= 10 && !retry_after.is_zero());
                    assert_eq!(house.identity.password_checks(), before, "it costs no hash");
                    refused.push(format!("{retry_after:?}"));
                }
                other => unreachable!("{other:?}"),
            }
        }
    }
    assert!(
        refused.iter().all(|wait| *wait == refused[0]),
        "known and unknown alike: {refused:?}"
    );
    login(&house.identity, "ada", "lovelace").await;
    login(&house.identity, "bob", "builder").await;
}

#[tokio::test]
async fn any_damage_to_a_token_gives_one_and_the_same_error() {
    let house = house([user("ada", "lovelace", &[])]);
    let principal = login(&house.identity, "ada", "lovelace").await.principal;
    let token = house.identity.mint(&principal, None, &BTreeMap::new()).unwrap();
    let mut damaged = vec![
        String::new(),
        "x".repeat(100_000),
        "not base64!".to_owned(),
        format!("{token}AA"),
    ];
    for position in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        damaged.push(String::from_utf8(bytes).unwrap());
        damaged.push(token[..position].to_owned());
    }
    let foreign = house.seal.seal("ticket", b"{\"s\":\"ada\"}").unwrap();
    damaged.push(base64::Engine::encode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        foreign,
    ));
    for text in damaged {
        let error = house
            .identity
            .authenticate(&bearer(text.as_str()), None)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Token), "{text}: {error:?}");
    }
}

fn write_users(path: &Path, users: impl IntoIterator<Item = User>) {
    fs::write(path, Users::of(users).unwrap().to_toml().unwrap()).unwrap();
}

fn file_config(path: PathBuf) -> Config {
    Config {
        keys: path.with_file_name("keys.toml"),
        revocations: path.with_file_name("revocations.toml"),
        users: path,
        ..Config::default()
    }
}

#[tokio::test]
async fn what_is_taken_back_ends_running_answers_and_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let config = file_config(dir.path().join("users.toml"));
    let (ada, bob) = (user("ada", "lovelace", &["a", "b"]), user("bob", "builder", &[]));
    write_users(&config.users, [ada.clone(), bob.clone()]);
    let mut keys = ApiKeys::default();
    let purpose = |service: &str| Purpose {
        service: service.to_owned(),
        tenant: None,
        roles: ["reader".to_owned()].into(),
        scopes: None,
        expires: None,
    };
    let now = std::time::SystemTime::now();
    let (etl, etl_key) = keys.create(purpose("etl"), &pepper(), now).unwrap();
    let (_, bi_key) = keys.create(purpose("bi"), &pepper(), now).unwrap();
    fs::write(&config.keys, keys.to_toml().unwrap()).unwrap();
    let identity = Identity::open(&config, secrets()).unwrap();
    assert!(!identity.has_changed());
    let of_ada = login(&identity, "ada", "lovelace").await;
    let of_bob = login(&identity, "bob", "builder").await;
    let of_etl = identity
        .authenticate(&Credentials::Bearer(etl_key.clone()), None)
        .await
        .unwrap();
    let of_bi = identity
        .authenticate(&Credentials::Bearer(bi_key), None)
        .await
        .unwrap();
    assert_eq!(of_etl.shown, Shown::ApiKey { id: etl.clone() });
    let standing = |expected: [bool; 4]| {
        let found = [&of_ada, &of_bob, &of_etl, &of_bi].map(|caller| caller.fence.check().is_ok());
        assert_eq!(found, expected);
    };
    standing([true; 4]);

    keys.revoke(&etl, now);
    fs::write(&config.keys, keys.to_toml().unwrap()).unwrap();
    standing([true; 4]);
    assert!(identity.has_changed());
    identity.reload().unwrap();
    assert!(!identity.has_changed());
    standing([true, true, false, true]);
    assert!(matches!(of_etl.fence.check(), Err(Error::Revoked)));
    let again = identity.authenticate(&Credentials::Bearer(etl_key), None).await;
    assert!(matches!(again, Err(Error::Token)));

    // A role more changes nothing for what runs, a role less ends it.
    let roles = |user: &User, roles: &[&str]| User {
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        ..user.clone()
    };
    write_users(
        &config.users,
        [roles(&ada, &["a", "b", "c"]), roles(&bob, &["d"])],
    );
    identity.reload().unwrap();
    standing([true, true, false, true]);
    write_users(&config.users, [roles(&ada, &["b", "c"]), bob.clone()]);
    identity.reload().unwrap();
    standing([false, true, false, true]);
    // Once fallen, fallen for ever; a bad file changes nothing.
    write_users(&config.users, [ada.clone(), bob]);
    identity.reload().unwrap();
    standing([false, true, false, true]);
    fs::write(&config.keys, "broken").unwrap();
    assert!(identity.reload().is_err() && !identity.has_changed());
    standing([false, true, false, true]);
    fs::remove_file(&config.keys).unwrap();
    write_users(&config.users, [ada]);
    identity.reload().unwrap();
    standing([false; 4]);
}

#[tokio::test]
async fn a_token_ends_with_its_account_and_with_its_password() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.toml");
    let (ada, bob) = (user("ada", "lovelace", &["admin"]), user("bob", "builder", &[]));
    write_users(&path, [ada.clone(), bob.clone()]);
    let identity = Identity::open(&file_config(path.clone()), secrets()).unwrap();
    let ada_in = login(&identity, "ada", "lovelace").await.principal;
    let bob_in = login(&identity, "bob", "builder").await.principal;
    let of_ada = bearer(identity.mint(&ada_in, None, &BTreeMap::new()).unwrap());
    let of_bob = bearer(identity.mint(&bob_in, None, &BTreeMap::new()).unwrap());

    let demoted = User {
        roles: ["reader".to_owned()].into(),
        ..ada
    };
    write_users(&path, [demoted, user("bob", "changed", &[])]);
    identity.reload().unwrap();
    let now = identity.authenticate(&of_ada, None).await.unwrap();
    assert!(
        now.principal.roles().iter().eq(["reader"]),
        "roles are those of now"
    );
    assert!(matches!(
        identity.authenticate(&of_bob, None).await,
        Err(Error::Token)
    ));
    let remembered = identity.authenticate(&basic("bob", "builder"), None).await;
    assert!(
        matches!(remembered, Err(Error::Password)),
        "the old password is forgotten at once"
    );

    write_users(&path, [bob]);
    identity.reload().unwrap();
    assert!(matches!(
        identity.authenticate(&of_ada, None).await,
        Err(Error::Token)
    ));
    assert!(matches!(
        identity.mint(&ada_in, None, &BTreeMap::new()),
        Err(Error::Token)
    ));
    assert!(matches!(
        identity.authenticate(&basic("ada", "lovelace"), None).await,
        Err(Error::Password)
    ));

    fs::write(&path, "broken").unwrap();
    assert!(identity.reload().is_err());
    identity.authenticate(&of_bob, None).await.unwrap();
}

#[tokio::test]
async fn too_many_options_make_no_token() {
    let house = house([user("ada", "lovelace", &[])]);
    let principal = login(&house.identity, "ada", "lovelace").await.principal;
    let options = BTreeMap::from([("k".to_owned(), "v".repeat(10_000))]);
    let error = house.identity.mint(&principal, None, &options).unwrap_err();
    assert!(matches!(error, Error::TokenTooLong { .. }));
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn a_bad_users_file_is_refused_with_the_user_and_without_the_hash() {
    let hash =
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2E$l9fJy6w4a0Q2l2m2n3o4p5q6r7s8t9u0v1w2x3y4z5A";
    let entry = |name: &str, hash: &str| format!("[[user]]\nname = {name:?}\npassword_hash = {hash:?}\n");
    let cases = [
        (entry("", hash), "a user has an empty name"),
        (entry("a:b", hash), "user \"a:b\" has a colon"),
        (entry("ada", hash).repeat(2), "two users have the name `ada`"),
        (
            entry("ada", "hunter2"),
            "the password_hash of user `ada` is not a PHC string",
        ),
        (
            format!("{}role = []\n", entry("ada", hash)),
            "line 4: unknown field `role`",
        ),
        (
            "[[user]]\nname = \"ada\"\n".to_owned(),
            "line 1: missing field `password_hash`",
        ),
    ];
    for (text, expected) in cases {
        let error = Users::parse(&text, Path::new("users.toml"))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
        assert!(
            !error.contains("argon2id$") && !error.contains("hunter2"),
            "{error}"
        );
    }
}

#[test]
fn a_config_out_of_bounds_is_refused_with_its_key() {
    let base = Config::default;
    let cases = [
        (
            Config {
                session_max: Duration::from_secs(1),
                ..base()
            },
            "session_max",
        ),
        (
            Config {
                password_checks_max: 0,
                ..base()
            },
            "password_checks_max",
        ),
        (
            Config {
                password_queue_max: 1_000_000,
                ..base()
            },
            "password_queue_max",
        ),
        (
            Config {
                password_remembered: Duration::from_secs(7200),
                ..base()
            },
            "password_remembered",
        ),
    ];
    for (config, expected) in cases {
        match config.validate() {
            Err(Error::Setting { key, .. }) => assert_eq!(key, expected),
            other => unreachable!("{other:?}"),
        }
    }
    base().validate().unwrap();
}
