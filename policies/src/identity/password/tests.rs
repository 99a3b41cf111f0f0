use super::{check_cost, hash_password, verify};
use crate::secret::Secret;

#[test]
fn a_hash_verifies_its_password_only() {
    let secret = Secret::new("correct horse");
    let first = hash_password(&secret).unwrap();
    let second = hash_password(&secret).unwrap();
    assert_ne!(first, second, "the salt is random");
    assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert!(verify(&first, &secret));
    assert!(!verify(&first, &Secret::new("correct hors")));
    assert!(!verify(&first, &Secret::new("")));
}

#[test]
fn a_hash_that_cannot_be_checked_is_named_with_its_reason() {
    let salt_and_hash = "c2FsdHNhbHRzYWx0c2E$l9fJy6w4a0Q2l2m2n3o4p5q6r7s8t9u0v1w2x3y4z5A";
    let cases = [
        ("secret".to_owned(), "is not a PHC string"),
        (
            format!("$argon2i$v=19$m=19456,t=2,p=1${salt_and_hash}"),
            "is not argon2id",
        ),
        (
            "$argon2id$v=19$m=19456,t=2,p=1".to_owned(),
            "has no salt or no hash",
        ),
        (
            format!("$argon2id$v=19$m=4194304,t=2,p=1${salt_and_hash}"),
            "costs more than m=262144,t=64,p=16",
        ),
        (
            format!("$argon2id$v=19$m=1,t=2,p=1${salt_and_hash}"),
            "has bad parameters",
        ),
    ];
    for (hash, reason) in cases {
        assert_eq!(check_cost(&hash).unwrap_err(), reason, "{hash}");
    }
}
