//! How long a session lasts, and what its cookie is worth.

use super::*;

#[tokio::test]
async fn a_session_slides_with_its_use_and_ends_at_its_bound() {
    let house = house([user("ada", "lovelace", &["admin"])]);
    let principal = login(&house.identity, "ada", "lovelace").await.principal;
    let options = BTreeMap::from([("schema".to_owned(), "gold".to_owned())]);
    let token = house.identity.mint(&principal, None, &options).unwrap();
    assert!(
        token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    );
    let quiet = house.identity.mint(&principal, None, &options).unwrap();
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    // Every 14 minutes for 11 hours and 54 minutes, on the very first token.
    for round in 0..51 {
        house.clock.pass(minutes(14));
        let found = house.identity.authenticate(&bearer(token.as_str()), None).await;
        let found = found.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!((&found.principal, &found.options), (&principal, &options));
        assert_eq!(found.shown, Shown::Session);
        if round > 0 {
            let idle = house.identity.authenticate(&bearer(quiet.as_str()), None).await;
            assert!(
                matches!(idle, Err(Error::TokenExpired)),
                "nobody used it: {round}"
            );
        }
    }
    // A token minted now within the session does not outlive the session.
    let session = house
        .identity
        .authenticate(&bearer(token.as_str()), None)
        .await
        .unwrap()
        .session;
    let renewed = house
        .identity
        .mint(&principal, session, &BTreeMap::new())
        .unwrap();
    house.clock.pass(minutes(5));
    house
        .identity
        .authenticate(&bearer(renewed.as_str()), None)
        .await
        .unwrap();
    house.clock.pass(minutes(1));
    for token in [token, renewed] {
        let error = house
            .identity
            .authenticate(&bearer(token), None)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::TokenExpired), "{error:?}");
    }
}

#[tokio::test]
async fn a_session_that_slept_is_over_also_for_its_renewed_tokens() {
    let house = house([user("ada", "lovelace", &[])]);
    let principal = login(&house.identity, "ada", "lovelace").await.principal;
    let token = house.identity.mint(&principal, None, &BTreeMap::new()).unwrap();
    let found = house
        .identity
        .authenticate(&bearer(token.as_str()), None)
        .await
        .unwrap();
    house.clock.pass(Duration::from_secs(14 * 60 + 59));
    house
        .identity
        .authenticate(&bearer(token.as_str()), None)
        .await
        .unwrap();
    let renewed = house
        .identity
        .mint(&principal, found.session, &BTreeMap::new())
        .unwrap();
    house.clock.pass(Duration::from_secs(15 * 60));
    for token in [token, renewed] {
        let error = house
            .identity
            .authenticate(&bearer(token), None)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::TokenExpired), "{error:?}");
    }
}

#[tokio::test]
async fn options_in_a_cookie_are_for_their_subject_and_no_credential() {
    let house = house([user("ada", "lovelace", &[]), user("bob", "builder", &[])]);
    let ada = login(&house.identity, "ada", "lovelace").await.principal;
    let bob = login(&house.identity, "bob", "builder").await.principal;
    let options = BTreeMap::from([("schema".to_owned(), "gold".to_owned())]);
    let cookie = house.identity.close_options(&ada, &options).unwrap();
    assert_eq!(house.identity.open_options(&ada, &cookie).unwrap(), options);
    assert!(matches!(
        house.identity.open_options(&bob, &cookie),
        Err(Error::Token)
    ));
    let shown = house.identity.authenticate(&bearer(cookie.as_str()), None).await;
    assert!(matches!(shown, Err(Error::Token)));
    house.clock.pass(Duration::from_secs(12 * 60 * 60));
    assert!(matches!(
        house.identity.open_options(&ada, &cookie),
        Err(Error::TokenExpired)
    ));
}
