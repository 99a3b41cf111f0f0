use super::Seal;
use crate::error::Error;
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

const PURPOSE: &str = "ticket";

fn written(byte: u8) -> Secret {
    Secret::new(STANDARD.encode([byte; 32]))
}

fn ring(bytes: &[u8]) -> Seal {
    let keys: Vec<_> = bytes.iter().map(|byte| written(*byte)).collect();
    Seal::from_keys(&keys).unwrap()
}

fn refusal(result: Result<Vec<u8>, Error>) -> String {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Sealed), "{error:?}");
    error.to_string()
}

#[test]
fn sealed_bytes_open_again_and_never_repeat() {
    let seal = Seal::random().unwrap();
    let first = seal.seal(PURPOSE, b"one plan").unwrap();
    let second = seal.seal(PURPOSE, b"one plan").unwrap();
    assert_ne!(first, second);
    assert_eq!(first.len(), b"one plan".len() + 29);
    assert_eq!(seal.open(PURPOSE, &first).unwrap(), b"one plan");
    assert_eq!(
        seal.open(PURPOSE, &seal.seal(PURPOSE, b"").unwrap()).unwrap(),
        b""
    );
}

#[test]
fn any_changed_missing_or_added_byte_gives_one_and_the_same_error() {
    let seal = Seal::random().unwrap();
    let sealed = seal.seal(PURPOSE, b"some bytes that matter").unwrap();
    let expected = Error::Sealed.to_string();
    for position in 0..sealed.len() {
        for bit in 0..8 {
            let mut damaged = sealed.clone();
            damaged[position] ^= 1 << bit;
            assert_eq!(refusal(seal.open(PURPOSE, &damaged)), expected);
        }
        assert_eq!(
            refusal(seal.open(PURPOSE, &sealed[..position])),
            expected,
            "cut at {position}"
        );
    }
    let mut longer = sealed.clone();
    longer.push(0);
    assert_eq!(refusal(seal.open(PURPOSE, &longer)), expected);
}

#[test]
fn another_purpose_or_another_key_gives_the_same_error() {
    let seal = ring(&[1]);
    let sealed = seal.seal(PURPOSE, b"x").unwrap();
    assert_eq!(
        refusal(seal.open("token", &sealed)),
        refusal(ring(&[2]).open(PURPOSE, &sealed))
    );
}

#[test]
fn keys_rotate_without_a_gap() {
    let old = ring(&[1]);
    let both = ring(&[1, 2]);
    let turned = ring(&[2, 1]);
    let new = ring(&[2]);
    let by_old = old.seal(PURPOSE, b"x").unwrap();
    let by_both = both.seal(PURPOSE, b"x").unwrap();
    let by_turned = turned.seal(PURPOSE, b"x").unwrap();
    for ring in [&both, &turned] {
        for sealed in [&by_old, &by_both, &by_turned] {
            assert_eq!(ring.open(PURPOSE, sealed).unwrap(), b"x");
        }
    }
    // The first key seals: what the turned ring sealed opens with the new key alone, and the old one is done with.
    assert_eq!(new.open(PURPOSE, &by_turned).unwrap(), b"x");
    refusal(new.open(PURPOSE, &by_old));
    refusal(old.open(PURPOSE, &by_turned));
}

#[test]
fn a_bad_key_is_named_by_its_position_and_not_shown() {
    let cases = [
        (vec![], "seal key 0: there is no key"),
        (
            vec![written(1), Secret::new("no base64!")],
            "seal key 2: it is not base64",
        ),
        (
            vec![Secret::new(STANDARD.encode([1; 16]))],
            "seal key 1: it is not 32 bytes long",
        ),
        (vec![written(1); 9], "seal key 0: there are more than 8 keys"),
    ];
    for (keys, expected) in cases {
        assert_eq!(Seal::from_keys(&keys).unwrap_err().to_string(), expected);
    }
    let seal = Seal::from_keys(&[Secret::new(format!("{}\n", STANDARD.encode([7; 32])))]).unwrap();
    assert_eq!(format!("{seal:?}"), "Seal { keys: 1 }");
}

proptest! {
    #[test]
    fn what_was_sealed_is_what_opens(plain in proptest::collection::vec(any::<u8>(), 0..512)) {
        let seal = ring(&[3, 4]);
        let sealed = seal.seal(PURPOSE, &plain).unwrap();
        prop_assert_eq!(seal.open(PURPOSE, &sealed).unwrap(), plain);
    }

    #[test]
    fn noise_never_opens(noise in proptest::collection::vec(any::<u8>(), 0..128)) {
        prop_assert!(matches!(ring(&[3, 4]).open(PURPOSE, &noise), Err(Error::Sealed)));
    }
}
