//! Keeps what the gateway wants to see again: the bearer token and the session cookie.
//!
//! arrow-flight's client hides the headers of most answers. So the channel below it watches them: an `authorization` of
//! an answer replaces the one that is sent, and cookies are sent back. A changed session (`SET schema = ...`) lives there.

use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use http::{Request, Response};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::transport::Channel;
use tower::Service;

/// A channel that keeps. Clones keep the same.
#[derive(Clone, Debug)]
pub(super) struct Keeping {
    channel: Channel,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    authorization: Option<HeaderValue>,
    cookies: BTreeMap<String, String>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Kept")
            .field("cookies", &self.cookies.len())
            .finish_non_exhaustive()
    }
}

impl Kept {
    fn add_to(&self, headers: &mut HeaderMap) {
        if let (Some(authorization), false) = (&self.authorization, headers.contains_key(AUTHORIZATION)) {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        if self.cookies.is_empty() {
            return;
        }
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if let Ok(value) = HeaderValue::from_str(&pairs.join("; ")) {
            headers.insert(COOKIE, value);
        }
    }

    fn learn_from(&mut self, headers: &HeaderMap) {
        if let Some(authorization) = headers.get(AUTHORIZATION) {
            let mut authorization = authorization.clone();
            authorization.set_sensitive(true);
            self.authorization = Some(authorization);
        }
        for cookie in headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|cookie| cookie.to_str().ok())
        {
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let Some((name, value)) = pair.trim().split_once('=') else {
                continue;
            };
            let ends = attributes
                .split(';')
                .any(|attribute| attribute.trim().eq_ignore_ascii_case("max-age=0"));
            if ends || value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

impl Keeping {
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            channel,
            kept: Arc::default(),
        }
    }

    /// Sends this authorization from now on, until an answer brings another.
    pub(super) fn authorize(&self, authorization: HeaderValue) {
        self.lock().authorization = Some(authorization);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service<Request<Body>> for Keeping {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::poll_ready(&mut self.channel, context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        self.lock().add_to(request.headers_mut());
        let kept = Arc::clone(&self.kept);
        let answer = self.channel.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            kept.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .learn_from(answer.headers());
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue, Kept, SET_COOKIE};

    #[test]
    fn tokens_and_cookies_come_back() {
        let mut kept = Kept::default();
        let mut answer = HeaderMap::new();
        answer.insert(AUTHORIZATION, HeaderValue::from_static("Bearer t"));
        answer.append(
            SET_COOKIE,
            HeaderValue::from_static("session=abc; Path=/; HttpOnly"),
        );
        answer.append(SET_COOKIE, HeaderValue::from_static("other=1"));
        kept.learn_from(&answer);
        let mut request = HeaderMap::new();
        kept.add_to(&mut request);
        assert_eq!(request[AUTHORIZATION], "Bearer t");
        assert_eq!(request[COOKIE], "other=1; session=abc");

        let mut answer = HeaderMap::new();
        answer.append(SET_COOKIE, HeaderValue::from_static("session=; Max-Age=0"));
        answer.append(SET_COOKIE, HeaderValue::from_static("other=2"));
        kept.learn_from(&answer);
        let mut request = HeaderMap::new();
        request.insert(AUTHORIZATION, HeaderValue::from_static("Basic own"));
        kept.add_to(&mut request);
        assert_eq!(
            request[AUTHORIZATION], "Basic own",
            "what the call says itself stands"
        );
        assert_eq!(request[COOKIE], "other=2");
    }
}
