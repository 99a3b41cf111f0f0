//! Ten thousand damaged tokens, none of which may be taken.

use super::*;

const MUTANTS: usize = 10_000;

/// Pieces that parsers have been fooled with.
const PIECES: [&str; 16] = [
    "none",
    "HS256",
    "\"alg\"",
    "\"crit\"",
    "null",
    "true",
    "{}",
    "[]",
    "=",
    ".",
    "\u{0}",
    "%2e",
    "\\u0022",
    "root",
    "lake-writers",
    "99999999999",
];

/// SplitMix64: good enough to choose, and a seed says it all.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % (bound.max(1) as u64)) as usize
    }

    fn piece(&mut self) -> &'static str {
        PIECES[self.below(PIECES.len())]
    }
}

/// Changes some bytes of a text: flips, cuts, doubles, inserts.
fn damaged(chance: &mut Chance, bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=chance.below(3) {
        let at = chance.below(out.len());
        match chance.below(5) {
            0 if !out.is_empty() => out[at] ^= 1 << chance.below(8),
            1 if !out.is_empty() => drop(out.remove(at)),
            2 => out.truncate(at),
            3 => {
                let piece = chance.piece().as_bytes().to_vec();
                out.splice(at..at, piece);
            }
            _ => {
                let to = at + chance.below(out.len() - at.min(out.len()));
                let copy = out[at.min(out.len())..to.min(out.len())].to_vec();
                out.splice(at..at, copy);
            }
        }
    }
    out
}

/// A token that its issuer has not made: damaged in its written form, in what that form holds, or put together from
/// parts of several.
fn mutant(chance: &mut Chance, good: &[String]) -> String {
    let parts: Vec<Vec<&str>> = good.iter().map(|token| token.split('.').collect()).collect();
    let one = chance.below(parts.len());
    let mut own: Vec<String> = parts[one].iter().map(|part| (*part).to_owned()).collect();
    let part = chance.below(3);
    match chance.below(5) {
        0 => return String::from_utf8_lossy(&damaged(chance, good[one].as_bytes())).into_owned(),
        1 => {
            let other = (one + 1 + chance.below(parts.len() - 1)) % parts.len();
            own[part] = parts[other][part].to_owned();
        }
        2 => own[part] = String::from_utf8_lossy(&damaged(chance, own[part].as_bytes())).into_owned(),
        3 => {
            let decoded = URL_SAFE_NO_PAD.decode(&own[part]).unwrap();
            own[part] = URL_SAFE_NO_PAD.encode(damaged(chance, &decoded));
        }
        _ => {
            let mut header: Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&own[0]).unwrap()).unwrap();
            let name = ["alg", "kid", "typ", "jwk", "crit"][chance.below(5)];
            header[name] = json!(chance.piece());
            own[0] = encoded(&header);
        }
    }
    own.join(".")
}

#[tokio::test]
async fn of_ten_thousand_damaged_tokens_none_is_taken() {
    let seed = {
        let mut seed = [0; 8];
        aws_lc_rs::rand::fill(&mut seed).unwrap();
        u64::from_le_bytes(seed)
    };
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let house = House::new().await;
    let es256 = json!({"alg": "ES256", "kid": "e1", "typ": "at+jwt"});
    let good = [
        house.token_with(json!({})),
        house.token_with(json!({"sub": "root", "groups": ["lake-writers"]})),
        house.keys.sign(&es256, &house.claims()),
        house.keys.sign(
            &es256,
            &house.claims_with(json!({"aud": ["lakegate", "x"], "jti": "t-2"})),
        ),
    ];
    for token in &good {
        house.ask(token).await.unwrap();
    }
    let mut tried = 0;
    while tried < MUTANTS {
        let token = mutant(&mut chance, &good);
        if good.contains(&token) {
            continue;
        }
        tried += 1;
        match house.ask(&token).await {
            Err(Error::Token | Error::TokenExpired) => {}
            other => panic!("seed {seed}, {token}: {other:?}"),
        }
    }
    assert_eq!(
        house.door.fetches(),
        1,
        "the clock stands still, so no second fetch is due"
    );
    house.ask(&good[0]).await.unwrap();
}
