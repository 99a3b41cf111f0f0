//! The attacks on tokens that are known by name.

use super::*;
use aws_lc_rs::hmac;

#[tokio::test]
async fn a_token_without_a_signature_or_with_a_symmetric_one_is_refused() {
    let house = House::new().await;
    house.ask(&house.token_with(json!({}))).await.unwrap();
    for name in [
        "none", "None", "nOnE", "NONE", "", "HS256", "HS512", "RS256 ", "rs256", "ES512", "dir",
    ] {
        let header = json!({"alg": name, "kid": "r1", "typ": "JWT"});
        let unsigned = format!("{}.{}.", encoded(&header), encoded(&house.claims()));
        house.refused(name, &unsigned).await;
        house
            .refused(name, &house.keys.sign_as("RS256", &header, &house.claims()))
            .await;
    }
    let header = json!({"kid": "r1", "typ": "JWT"});
    house
        .refused("no alg", &house.keys.sign_as("RS256", &header, &house.claims()))
        .await;
    // The public key as the secret of an HMAC, in the forms in which libraries have taken it.
    let jwk = house.keys.rsa_jwk("r1");
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    for secret in [
        modulus.as_slice(),
        jwk["n"].as_str().unwrap().as_bytes(),
        jwk.to_string().as_bytes(),
    ] {
        let header = json!({"alg": "HS256", "kid": "r1", "typ": "JWT"});
        let message = format!("{}.{}", encoded(&header), encoded(&house.claims()));
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        house.refused("HMAC under the public key", &token).await;
    }
    assert_eq!(house.door.fetches(), 1);
}

#[tokio::test]
async fn the_algorithm_is_the_configs_choice_and_fits_the_key() {
    let house = House::new().await;
    let signed = |algorithm: &str, key: &str| {
        let header = json!({"alg": algorithm, "kid": key, "typ": "JWT"});
        house.keys.sign_as(algorithm, &header, &house.claims())
    };
    house.ask(&signed("RS256", "r1")).await.unwrap();
    house.ask(&signed("ES256", "e1")).await.unwrap();
    house
        .refused("PS256 is not in the list", &signed("PS256", "r1"))
        .await;
    house
        .refused("ES256 under the name of an RSA key", &signed("ES256", "r1"))
        .await;
    house
        .refused("RS256 under the name of an EC key", &signed("RS256", "e1"))
        .await;
    let header = json!({"alg": "RS256", "kid": "r1", "typ": "JWT"});
    house
        .refused(
            "a PSS signature",
            &house.keys.sign_as("PS256", &header, &house.claims()),
        )
        .await;

    let only = House::with(|issuer| issuer.algorithms = [Algorithm::PS256].into()).await;
    let header = json!({"alg": "PS256", "kid": "r1", "typ": "JWT"});
    only.ask(&only.keys.sign(&header, &only.claims())).await.unwrap();
    only.refused("RS256 is not in the list", &only.token_with(json!({})))
        .await;
}

#[tokio::test]
async fn a_token_cannot_bring_its_own_key() {
    let house = House::new().await;
    let attacker = Keys::new();
    let elsewhere = Door::open(json!({"keys": [attacker.rsa_jwk("r1"), attacker.rsa_jwk("mine")]})).await;
    let own = attacker.rsa_jwk("r1");
    for (what, header) in [
        (
            "jwk",
            json!({"alg": "RS256", "kid": "r1", "typ": "JWT", "jwk": own}),
        ),
        (
            "jwk without kid",
            json!({"alg": "RS256", "typ": "JWT", "jwk": own}),
        ),
        (
            "jku",
            json!({"alg": "RS256", "kid": "mine", "typ": "JWT", "jku": format!("{}/keys", elsewhere.url)}),
        ),
        (
            "x5u",
            json!({"alg": "RS256", "kid": "r1", "typ": "JWT", "x5u": format!("{}/x", elsewhere.url)}),
        ),
        (
            "x5c",
            json!({"alg": "RS256", "kid": "r1", "typ": "JWT", "x5c": ["MIIB"]}),
        ),
        (
            "a path as kid",
            json!({"alg": "RS256", "kid": "../../../../dev/null", "typ": "JWT"}),
        ),
        (
            "SQL as kid",
            json!({"alg": "RS256", "kid": "r1' OR '1'='1", "typ": "JWT"}),
        ),
        (
            "a long kid",
            json!({"alg": "RS256", "kid": "k".repeat(257), "typ": "JWT"}),
        ),
        ("a number as kid", json!({"alg": "RS256", "kid": 1, "typ": "JWT"})),
    ] {
        house
            .refused(what, &attacker.sign(&header, &house.claims()))
            .await;
    }
    let of_attacker = house.claims_with(json!({"iss": elsewhere.url}));
    house
        .refused(
            "an issuer of its own",
            &attacker.sign(&house.header(), &of_attacker),
        )
        .await;
    assert_eq!(elsewhere.fetches(), 0, "nothing was fetched from elsewhere");
}

#[tokio::test]
async fn a_claim_that_is_missing_or_of_another_type_is_refused() {
    let house = House::new().await;
    let now = house.now();
    for changes in [
        json!({"exp": null}),
        json!({"iss": null}),
        json!({"aud": null}),
        json!({"sub": null}),
        json!({"iss": 7}),
        json!({"iss": [house.door.url]}),
        json!({"iss": {"url": house.door.url}}),
        json!({"iss": format!("{}/", house.door.url)}),
        json!({"iss": house.door.url.to_uppercase()}),
        json!({"aud": 7}),
        json!({"aud": {"lakegate": true}}),
        json!({"aud": []}),
        json!({"aud": ["other"]}),
        json!({"aud": "Lakegate"}),
        json!({"aud": ["lakegate", 7]}),
        json!({"sub": ""}),
        json!({"sub": 7}),
        json!({"sub": "a\nb"}),
        json!({"sub": "s".repeat(256)}),
        json!({"exp": "tomorrow"}),
        json!({"exp": (now + 600).to_string()}),
        json!({"exp": -1}),
        json!({"exp": 1e300}),
        json!({"nbf": "now"}),
        json!({"nbf": now + 60}),
        json!({"iat": now + 60}),
        json!({"iat": [now]}),
        json!({"jti": 7}),
        json!({"jti": "j".repeat(256)}),
        json!({"exp": now + 86_401}),
        json!({"iat": null, "exp": now + 86_401}),
        json!({"org": {"name": "initech", "region": "eu"}}),
        json!({"org": {"name": ["acme"], "region": "eu"}}),
        json!({"org": "acme"}),
        json!({"groups": 7}),
        json!({"groups": ["lake-readers", 7]}),
        json!({"groups": vec!["g"; 1_001]}),
        json!({"level": "3"}),
        json!({"level": 3.5}),
        json!({"level": 1e30}),
        json!({"org": {"name": "acme", "region": "r".repeat(257)}}),
        json!({"https://acme.example/sites": {"zrh": true}}),
    ] {
        house
            .refused(&changes.to_string(), &house.token_with(changes))
            .await;
    }
    let groups = house
        .ask(&house.token_with(json!({"groups": null})))
        .await
        .unwrap();
    assert!(groups.principal.roles().is_empty());
}

#[tokio::test]
async fn a_claim_or_header_that_stands_there_twice_is_refused() {
    let house = House::new().await;
    let body = house.claims().to_string();
    let sign = |header: &str, body: &str| {
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(body)
        );
        let mut signature = vec![0; house.keys.rsa.public_modulus_len()];
        house
            .keys
            .rsa
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                message.as_bytes(),
                &mut signature,
            )
            .unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    let header = house.header().to_string();
    house.ask(&sign(&header, &body)).await.unwrap();
    for claim in [
        "\"sub\":\"root\"",
        "\"iss\":\"x\"",
        "\"aud\":\"lakegate\"",
        "\"exp\":99999999999",
    ] {
        house
            .refused(claim, &sign(&header, &format!("{{{claim},{}", &body[1..])))
            .await;
    }
    for field in ["\"alg\":\"none\"", "\"kid\":\"e1\"", "\"typ\":\"x\""] {
        house
            .refused(field, &sign(&format!("{{{field},{}", &header[1..]), &body))
            .await;
    }
    for wrong in [
        "[]",
        "7",
        "\"x\"",
        "",
        "{}",
        &body[..body.len() - 1],
        &"[".repeat(5_000),
    ] {
        house.refused(wrong, &sign(&header, wrong)).await;
        house.refused(wrong, &sign(wrong, &body)).await;
    }
}

#[tokio::test]
async fn what_is_critical_compressed_or_of_another_type_is_refused() {
    let house = House::new().await;
    for extra in [
        json!({"crit": ["exp"]}),
        json!({"crit": []}),
        json!({"crit": ["b64"], "b64": false}),
        json!({"b64": false}),
        json!({"zip": "DEF"}),
        json!({"typ": "dpop+jwt"}),
        json!({"typ": "logout+jwt"}),
        json!({"typ": ""}),
        json!({"typ": 7}),
    ] {
        let mut header = house.header();
        header
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        house
            .refused(&extra.to_string(), &house.keys.sign(&header, &house.claims()))
            .await;
    }
    house
        .ask(
            &house
                .keys
                .sign(&json!({"alg": "RS256", "kid": "r1"}), &house.claims()),
        )
        .await
        .unwrap();
    let strict = House::with(|issuer| issuer.types = ["at+jwt".to_owned()].into()).await;
    strict.refused("an ID token", &strict.token_with(json!({}))).await;
    let header = json!({"alg": "RS256", "kid": "r1", "typ": "at+JWT"});
    strict
        .ask(&strict.keys.sign(&header, &strict.claims()))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_written_form_is_strict() {
    let house = House::new().await;
    let token = house.token_with(json!({}));
    house.ask(&token).await.unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        unreachable!()
    };
    for (what, text) in [
        ("padding", format!("{header}.{payload}.{signature}==")),
        ("a blank", format!("{header}.{payload}.{signature} ")),
        ("a line end", format!("{header}.{payload}\n.{signature}")),
        ("a fourth part", format!("{token}.")),
        ("five parts", format!("{token}.x.y")),
        ("two parts", format!("{header}.{payload}")),
        ("nothing signed", format!("{header}.{payload}.")),
        ("no header", format!(".{payload}.{signature}")),
        ("dots", "..".to_owned()),
        ("a dot", ".".to_owned()),
        (
            "plain base64",
            format!("{header}.{payload}.{}", signature.replace(['-', '_'], "+")),
        ),
        (
            "a long token",
            house.token_with(json!({"filler": "x".repeat(8 * 1024)})),
        ),
        (
            "a megabyte",
            format!("{header}.{}.{signature}", "A".repeat(1 << 20)),
        ),
    ] {
        if text != token {
            house.refused(what, &text).await;
        }
    }
}

#[tokio::test]
async fn a_token_of_one_issuer_is_nothing_at_another() {
    let (first, second) = (House::new().await, House::new().await);
    first
        .refused("another issuer's token", &second.token_with(json!({})))
        .await;
    // The same key at both would still not do: the issuer is in the token.
    *first.door.keys.lock().unwrap() = json!({"keys": [second.keys.rsa_jwk("r1")]});
    first
        .refused("another issuer's token", &second.token_with(json!({})))
        .await;
    assert_eq!(first.door.fetches(), 0);
}

#[tokio::test]
async fn a_key_document_with_a_secret_or_an_ambiguity_is_refused_as_a_whole() {
    for (what, keys) in [
        ("a symmetric key", {
            let own = Keys::new();
            json!([own.rsa_jwk("r1"), {"kty": "oct", "kid": "h", "k": "c2VjcmV0"}])
        }),
        ("two keys of one name", {
            let (a, b) = (Keys::new(), Keys::new());
            json!([a.rsa_jwk("r1"), b.rsa_jwk("r1")])
        }),
        ("no key", json!([])),
        ("65 keys", {
            let own = Keys::new();
            Value::Array((0..65).map(|index| own.rsa_jwk(&format!("k{index}"))).collect())
        }),
        ("keys for encryption", {
            let mut jwk = Keys::new().rsa_jwk("r1");
            jwk["use"] = json!("enc");
            json!([jwk])
        }),
        ("keys not for verifying", {
            let mut jwk = Keys::new().rsa_jwk("r1");
            jwk["key_ops"] = json!(["wrapKey"]);
            json!([jwk])
        }),
        ("a short modulus", {
            // 1024 bits behind 128 zeros.
            let n = [vec![0; 128], vec![0xff; 128]].concat();
            json!([{"kty": "RSA", "kid": "r1", "n": URL_SAFE_NO_PAD.encode(n), "e": "AQAB"}])
        }),
        ("an exponent of one", {
            let mut jwk = Keys::new().rsa_jwk("r1");
            jwk["e"] = json!("AQ");
            json!([jwk])
        }),
        ("a key for another algorithm", {
            let mut jwk = Keys::new().rsa_jwk("r1");
            jwk["alg"] = json!("PS256");
            json!([jwk])
        }),
        ("a point of a wrong length", {
            let mut jwk = Keys::new().p256_jwk("r1");
            jwk["x"] = json!("AAAA");
            json!([jwk])
        }),
    ] {
        let house = House::new().await;
        *house.door.keys.lock().unwrap() = json!({"keys": keys});
        match house.ask(&house.token_with(json!({}))).await {
            Err(Error::Issuer { name }) => assert_eq!(name, "corp", "{what}"),
            Err(Error::Token) => assert_eq!(what, "a key for another algorithm"),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_token_without_a_key_name_needs_an_only_key() {
    let house = House::new().await;
    let header = json!({"alg": "RS256", "typ": "JWT"});
    let token = house.keys.sign(&header, &house.claims());
    house.ask(&token).await.unwrap();
    *house.door.keys.lock().unwrap() = json!({"keys": [house.keys.rsa_jwk("r1"), Keys::new().rsa_jwk("r2")]});
    house.clock.pass(Duration::from_secs(301));
    house
        .refused("an unknown name, so that keys are fetched", &{
            let header = json!({"alg": "RS256", "kid": "r9", "typ": "JWT"});
            house.keys.sign(&header, &house.claims())
        })
        .await;
    house
        .refused("two keys would do", &house.keys.sign(&header, &house.claims()))
        .await;
    house.ask(&house.token_with(json!({}))).await.unwrap();
}
