//! Tokens of a real OIDC issuer.

use tests::{Flight, Issuer, Rest};

use super::{COUNT, House, until};

fn section(issuer: &Issuer) -> String {
    format!(
        "[identity.issuers.corp]\nissuer = \"{}\"\naudiences = [\"lakegate\"]\nalgorithms = [\"RS256\", \"ES256\"]\n\
         types = [\"at+jwt\"]\nroles_claim = \"groups\"\nroles = {{ lake-viewers = [\"viewer\"] }}\nkeys_retry = \"1s\"\n\
         [identity.issuers.corp.attributes.region]\nclaim = \"/org/region\"\ntype = \"text\"\n",
        issuer.url
    )
}

async fn by_flight(house: &House, token: &str) -> Result<String, String> {
    let mut flight = Flight::with_token(&house.gateway.flight, token)
        .await
        .expect("a connection");
    let answer = flight.query(COUNT).await;
    answer
        .map(|answer| answer.cell())
        .map_err(|refusal| refusal.to_string())
}

async fn by_rest(house: &House, token: &str) -> Result<String, String> {
    let answer = Rest::with_token(&house.gateway.rest, token).query(COUNT).await;
    answer
        .map(|answer| answer.cell())
        .map_err(|refusal| refusal.to_string())
}

#[tokio::test]
async fn tokens_of_an_issuer_work_over_both_doors_and_mean_what_the_config_says() {
    let mut issuer = Issuer::start().expect("an issuer");
    let house = House::with(&section(&issuer), &[]).await;
    for resource in ["urn:lakegate", "urn:lakegate:es256"] {
        let token = issuer.token("reader", resource).await;
        assert_eq!(by_flight(&house, &token).await.as_deref(), Ok("10"));
        assert_eq!(by_rest(&house, &token).await.as_deref(), Ok("10"));
    }
    // A caller without a role sees no table, one for somebody else does not come in.
    let stranger = issuer.token("stranger", "urn:lakegate").await;
    let unseen = by_flight(&house, &stranger).await.expect_err("no role");
    assert!(unseen.contains("not found"), "{unseen}");
    let neighbour = issuer.token("reader", "urn:neighbour").await;
    for refusal in [
        by_flight(&house, &neighbour).await,
        by_rest(&house, &neighbour).await,
    ] {
        let refusal = refusal.expect_err("another audience");
        assert!(refusal.contains("(LG2001)"), "{refusal}");
    }
    // A signature of the same issuer over something else.
    let good = issuer.token("reader", "urn:lakegate").await;
    let (signed, _) = good.rsplit_once('.').expect("a signature");
    let (_, other) = neighbour.rsplit_once('.').expect("a signature");
    let forged = by_rest(&house, &format!("{signed}.{other}"))
        .await
        .expect_err("forged");
    assert!(forged.contains("(LG2001)"), "{forged}");
    assert_eq!(issuer.fetches(), 1);
    let log = house.gateway.log();
    for secret in [&good, &neighbour, &stranger] {
        assert!(!log.contains(secret.as_str()), "a token is in the log");
    }
}

#[tokio::test]
async fn a_new_key_of_the_issuer_is_taken_up_and_the_old_one_ends() {
    let mut issuer = Issuer::start().expect("an issuer");
    let house = House::with(&section(&issuer), &[]).await;
    let old = issuer.token("reader", "urn:lakegate").await;
    assert_eq!(by_rest(&house, &old).await.as_deref(), Ok("10"));
    issuer.rotate();
    let new = issuer.token("reader", "urn:lakegate").await;
    until(|| by_rest(&house, &new), |answer| answer.as_deref() == Ok("10"))
        .await
        .expect("it works");
    let refusal = by_rest(&house, &old).await.expect_err("a withdrawn key");
    assert!(refusal.contains("(LG2001)"), "{refusal}");
}

#[tokio::test]
async fn an_issuer_that_is_down_closes_no_door_that_was_open() {
    let mut issuer = Issuer::start().expect("an issuer");
    let token = issuer.token("reader", "urn:lakegate").await;
    let house = House::with(&section(&issuer), &[]).await;
    assert_eq!(by_rest(&house, &token).await.as_deref(), Ok("10"));
    issuer.shut();
    assert_eq!(by_rest(&house, &token).await.as_deref(), Ok("10"));
    assert_eq!(by_flight(&house, &token).await.as_deref(), Ok("10"));

    // A gateway that never saw the keys says that it cannot check, is not ready, and lets users in all the same.
    let other = House::with(&section(&issuer), &[]).await;
    let refusal = by_rest(&other, &token).await.expect_err("no keys");
    assert!(refusal.contains("(LG2015)"), "{refusal}");
    let ready = || async {
        let page = reqwest::get(format!("{}/readyz", other.gateway.admin))
            .await
            .expect("a page");
        (page.status().as_u16(), page.text().await.expect("a text"))
    };
    let (status, text) = ready().await;
    assert_eq!(status, 503);
    assert!(text.contains("FAIL issuer corp"), "{text}");
    let users = other
        .gateway
        .rest("viewer")
        .query(COUNT)
        .await
        .expect("an answer");
    assert_eq!(users.cell(), "10");
    issuer.open();
    until(|| by_rest(&other, &token), |answer| answer.as_deref() == Ok("10"))
        .await
        .expect("it works");
    assert_eq!(ready().await.0, 200);
}

#[tokio::test]
async fn a_token_ends_in_time() {
    let issuer = Issuer::start().expect("an issuer");
    let more = section(&issuer).replace("keys_retry", "leeway = \"0s\"\nkeys_retry");
    let house = House::with(&more, &[]).await;
    let brief = issuer.token("reader", "urn:lakegate:brief").await;
    let over = until(|| by_rest(&house, &brief), |answer| answer.is_err()).await;
    let refusal = over.expect_err("its second is over");
    assert!(refusal.contains("has expired (LG2001)"), "{refusal}");
}
