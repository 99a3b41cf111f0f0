//! Passwords guessed over the wire.

use tests::Flight;
use tests::flight::RpcStatus;
use tonic::Code;

use super::{COUNT, House};

#[tokio::test]
async fn guessing_is_stopped_and_told_when_to_come_again() {
    let house = House::with("", &[("identity.failures_per_user", "3")]).await;
    let gateway = &house.gateway;
    let mut inside = gateway.flight("viewer").await.expect("a connection");
    let guess = async |name: &str| {
        reqwest::Client::new()
            .get(format!("{}/v1/datasets", gateway.rest))
            .basic_auth(name, Some("guess"))
            .send()
            .await
            .expect("an answer")
    };
    for name in ["viewer", "nobody"] {
        for _ in 0..3 {
            assert_eq!(guess(name).await.status().as_u16(), 401);
        }
        let refused = guess(name).await;
        assert_eq!(refused.status().as_u16(), 429, "{name}");
        let seconds: u64 = refused.headers()["retry-after"]
            .to_str()
            .expect("a text")
            .parse()
            .expect("a number");
        assert!((1..=100).contains(&seconds), "{seconds}");
        let problem: serde_json::Value = refused.json().await.expect("a problem");
        assert_eq!(problem["code"], "LG2014");
        assert_eq!(problem["retry_after"], seconds);
    }
    // The same over Flight, where the details carry the time.
    let mut client = Flight::anonymous(&gateway.flight).await.expect("a connection");
    let mut call = tonic::Request::new(futures::stream::empty());
    let basic = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, "nobody:guess");
    let header = format!("Basic {basic}").parse().expect("ASCII");
    call.metadata_mut().insert("authorization", header);
    let status = client
        .client()
        .inner_mut()
        .handshake(call)
        .await
        .map(drop)
        .expect_err("refused");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = RpcStatus::of(&status);
    assert_eq!(details.code, Code::ResourceExhausted as i32);
    assert_eq!(
        details.details[0].type_url,
        "type.googleapis.com/google.rpc.RetryInfo"
    );
    assert!(!details.details[0].value.is_empty());
    // Who is in stays in, by the token and by the pair that was right a moment ago.
    assert_eq!(inside.query(COUNT).await.expect("an answer").cell(), "10");
    assert_eq!(
        gateway
            .rest("viewer")
            .query(COUNT)
            .await
            .expect("an answer")
            .cell(),
        "10"
    );
}
