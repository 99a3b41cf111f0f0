//! Credentials out of a call's headers, and who they prove. The same for gRPC and HTTP, since gRPC metadata are headers.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use policies::{Authenticated, Authenticator, Credentials, Principal, Secret};
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::app::App;
use crate::error::{Error, Result};
use crate::peer::Peer;

/// The cookie that carries session options for clients that keep cookies and not tokens (the JDBC driver).
pub(crate) const SESSION_COOKIE: &str = "lakegate_session";

/// Base64 of Basic credentials: Go clients leave the padding out.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Proves the caller.
///
/// # Errors
/// `NoCredentials`, `Authorization` for a header that cannot be read, or the identity's refusal.
pub(crate) async fn authenticate(
    app: &App,
    headers: &HeaderMap,
    peer: Option<&Peer>,
) -> Result<Authenticated> {
    let credentials = credentials(headers, peer)?;
    let mut proven = app
        .identity
        .authenticate(&credentials, peer.map(Peer::ip))
        .await?;
    if let Some(options) = cookie_options(app, headers, &proven.principal) {
        proven.options.extend(options);
    }
    Ok(proven)
}

/// The credentials of the authorization header, or the certificate of a caller who sends no such header. Nothing else is
/// looked at: a header that a proxy might have written names nobody here.
///
/// # Errors
/// `NoCredentials` when there is neither, `Authorization` when the header is neither Basic nor Bearer, or is there twice.
pub(crate) fn credentials(headers: &HeaderMap, peer: Option<&Peer>) -> Result<Credentials> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let Some(header) = given.next() else {
        let certificate = peer.and_then(|peer| peer.certificate.as_ref());
        let shown = |der: &Arc<CertificateDer<'static>>| Credentials::Certificate(der.to_vec());
        return certificate.map(shown).ok_or(Error::NoCredentials);
    };
    if given.next().is_some() {
        // Which of them counts would be a matter of who reads them.
        return Err(Error::Authorization {
            problem: "it is there twice",
        });
    }
    let text = header.to_str().map_err(|_| Error::Authorization {
        problem: "it is not ASCII",
    })?;
    let (scheme, value) = text.trim().split_once(' ').ok_or(Error::Authorization {
        problem: "it has no value",
    })?;
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Credentials::Bearer(Secret::from(value.to_owned())));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Error::Authorization {
            problem: "the scheme is neither Basic nor Bearer",
        });
    }
    let decoded = BASIC.decode(value).map_err(|_| Error::Authorization {
        problem: "it is not base64",
    })?;
    let pair = String::from_utf8(decoded).map_err(|_| Error::Authorization {
        problem: "it is not UTF-8",
    })?;
    let (user, password) = pair.split_once(':').ok_or(Error::Authorization {
        problem: "it has no colon",
    })?;
    Ok(Credentials::Basic {
        user: user.to_owned(),
        password: Secret::from(password.to_owned()),
    })
}

/// Options of a session cookie that was made for the same subject; anything else in a cookie is no error, since
/// clients keep cookies longer than they should.
fn cookie_options(app: &App, headers: &HeaderMap, principal: &Principal) -> Option<BTreeMap<String, String>> {
    let cookies = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok());
    let value = cookies
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == SESSION_COOKIE)
        .map(|(_, value)| value.trim_matches('"').to_owned())?;
    app.identity.open_options(principal, &value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> Result<Credentials> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        credentials(&headers, None)
    }

    fn known(certificate: &[u8]) -> Peer {
        Peer {
            address: "127.0.0.1:1".parse().unwrap(),
            certificate: Some(Arc::new(CertificateDer::from(certificate.to_vec()))),
        }
    }

    #[test]
    fn a_header_wins_over_a_certificate_and_two_headers_are_none() {
        let mut headers = HeaderMap::new();
        let peer = known(b"der");
        match credentials(&headers, Some(&peer)) {
            Ok(Credentials::Certificate(der)) => assert_eq!(der, b"der"),
            other => panic!("{other:?}"),
        }
        headers.insert("x-forwarded-user", "root".parse().unwrap());
        headers.insert("grpc-metadata-authorization", "Bearer x".parse().unwrap());
        headers.insert("authorization-bin", "QmVhcmVyIHg".parse().unwrap());
        assert!(matches!(credentials(&headers, None), Err(Error::NoCredentials)));
        headers.append(AUTHORIZATION, "Bearer a".parse().unwrap());
        assert!(matches!(
            credentials(&headers, Some(&peer)),
            Ok(Credentials::Bearer(_))
        ));
        headers.append(AUTHORIZATION, "Bearer a".parse().unwrap());
        assert!(matches!(
            credentials(&headers, Some(&peer)),
            Err(Error::Authorization { .. })
        ));
    }

    #[test]
    fn basic_is_read_with_and_without_padding() {
        for value in [
            "Basic YW5uOnNlY3JldA==",
            "basic YW5uOnNlY3JldA",
            "Basic  YW5uOnNlY3JldA=",
        ] {
            match parsed(value) {
                Ok(Credentials::Basic { user, password }) => {
                    assert_eq!((user.as_str(), password.expose()), ("ann", "secret"));
                }
                other => panic!("{value}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert!(matches!(
            credentials(&HeaderMap::new(), None),
            Err(Error::NoCredentials)
        ));
        for value in ["Basic", "Basic !!!", "Digest x", "Basic YW5u", "Bearer"] {
            assert!(
                matches!(parsed(value), Err(Error::Authorization { .. })),
                "{value}"
            );
        }
    }
}
