use super::{ApiKeys, Pepper, Purpose};
use crate::error::Error;
use crate::principal::Scope;
use crate::secret::Secret;
use base64::Engine as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

fn pepper(byte: u8) -> Pepper {
    let written = base64::engine::general_purpose::STANDARD.encode([byte; 32]);
    Pepper::new(&Secret::new(written)).unwrap()
}

fn purpose(service: &str) -> Purpose {
    Purpose {
        service: service.to_owned(),
        tenant: Some("acme".to_owned()),
        roles: ["reader".to_owned()].into(),
        scopes: Some([Scope::Metadata].into()),
        expires: None,
    }
}

#[test]
fn a_key_opens_as_what_it_was_made_for_and_only_with_its_pepper() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let mut keys = ApiKeys::default();
    let (id, text) = keys.create(purpose("etl"), &pepper(1), now).unwrap();
    let written = keys.to_toml().unwrap();
    assert!(!written.contains(text.expose().split('_').nth(2).unwrap()));
    let keys = ApiKeys::parse(&written, Path::new("keys.toml")).unwrap();
    let found = keys.check(&text, Some(&pepper(1)), now).unwrap();
    assert_eq!(found.id, id);
    let principal = found.principal();
    assert_eq!((principal.subject(), principal.tenant()), ("service:etl", "acme"));
    assert!(principal.scopes().contain(Scope::Metadata) && !principal.scopes().contain(Scope::Select));
    for other in [Some(pepper(2)), None] {
        assert!(matches!(
            keys.check(&text, other.as_ref(), now),
            Err(Error::Token)
        ));
    }
    let stranger = ApiKeys::default()
        .create(purpose("etl"), &pepper(1), now)
        .unwrap()
        .1;
    assert!(matches!(
        keys.check(&stranger, Some(&pepper(1)), now),
        Err(Error::Token)
    ));
}

#[test]
fn a_key_ends_in_time_and_when_it_is_taken_back() {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let mut keys = ApiKeys::default();
    let short = Purpose {
        expires: Some(start + Duration::from_secs(60)),
        ..purpose("etl")
    };
    let (_, text) = keys.create(short, &pepper(1), start).unwrap();
    let check = |keys: &ApiKeys, text: &Secret, later| {
        let now = start + Duration::from_secs(later);
        keys.check(text, Some(&pepper(1)), now).map(|key| key.id.clone())
    };
    check(&keys, &text, 59).unwrap();
    assert!(matches!(check(&keys, &text, 60), Err(Error::TokenExpired)));
    let (id, other) = keys.create(purpose("etl"), &pepper(1), start).unwrap();
    check(&keys, &other, 1_000_000).unwrap();
    assert!(keys.revoke(&id, start) && !keys.revoke(&id, start) && !keys.revoke("nobody", start));
    assert!(matches!(check(&keys, &other, 1), Err(Error::Token)));
}

#[test]
fn a_service_has_two_live_keys_at_most() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let mut keys = ApiKeys::default();
    let (first, _) = keys.create(purpose("etl"), &pepper(1), now).unwrap();
    keys.create(purpose("etl"), &pepper(1), now).unwrap();
    let error = keys
        .create(purpose("etl"), &pepper(1), now)
        .unwrap_err()
        .to_string();
    assert!(error.contains("has 2 live keys; revoke one first"), "{error}");
    keys.create(purpose("bi"), &pepper(1), now).unwrap();
    assert!(keys.revoke(&first, now));
    keys.create(purpose("etl"), &pepper(1), now).unwrap();
    assert!(keys.create(purpose("a b"), &pepper(1), now).is_err());
}

#[test]
fn a_bad_keys_file_is_refused_with_the_key_and_without_the_mac() {
    let mac = base64::engine::general_purpose::STANDARD.encode([7; 32]);
    let entry = |id: &str, mac: &str| {
        format!(
            "[[key]]\nid = \"{id}\"\nservice = \"etl\"\nmac = \"{mac}\"\ncreated = \"2026-01-05T08:00:00Z\"\n"
        )
    };
    let id = "Qh3v8Yz0Lr5T";
    for (text, reason) in [
        (entry("short", &mac), "an id that is not 12 letters"),
        (
            entry(id, "hunter2"),
            "the mac of key `Qh3v8Yz0Lr5T` is not 32 bytes",
        ),
        (entry(id, &mac).repeat(2), "two keys have the id `Qh3v8Yz0Lr5T`"),
        (
            format!("{}scopes = [\"all\"]\n", entry(id, &mac)),
            "unknown variant `all`",
        ),
        (
            format!("{}secret = \"x\"\n", entry(id, &mac)),
            "unknown field `secret`",
        ),
    ] {
        let error = ApiKeys::parse(&text, Path::new("keys.toml"))
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains(&mac) && !error.contains("hunter2"), "{error}");
    }
    ApiKeys::parse(&entry(id, &mac), Path::new("keys.toml")).unwrap();
}
