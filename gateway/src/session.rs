//! The context of one call, built afresh each time: who, in which session, until when. Nothing of it stays here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use policies::{Fence, Principal, Scope, Shown};
use uuid::Uuid;

use crate::app::App;
use crate::auth::authenticate;
use crate::error::{Error, Result};
use crate::peer::Peer;

/// The header that names a call; a caller's own name is kept when it is short and plain.
pub(crate) const REQUEST_ID: &str = "x-request-id";

/// One call.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// Names the call in logs and answers.
    pub id: String,
    /// Who calls.
    pub principal: Arc<Principal>,
    /// What the caller has shown.
    pub shown: Shown,
    /// The session of the caller's token, which a token that is made in this call goes on with.
    pub login: Option<policies::identity::Session>,
    /// Asked before each batch of an answer: whether what was shown is still good.
    pub fence: Arc<dyn Fence>,
    /// Settings to read the statement with.
    pub session: planner::Session,
    /// When the caller stops waiting, if it said so.
    pub deadline: Option<Instant>,
}

impl RequestContext {
    /// Proves the caller and builds the context.
    ///
    /// # Errors
    /// The refusal of the credentials, or a session option that has become invalid.
    pub(crate) async fn open(app: &App, headers: &HeaderMap, peer: Option<&Peer>, id: &str) -> Result<Self> {
        let proven = authenticate(app, headers, peer).await?;
        Ok(Self {
            id: id.to_owned(),
            principal: Arc::new(proven.principal),
            shown: proven.shown,
            login: proven.session,
            fence: proven.fence,
            session: session(app, &proven.options)?,
            deadline: grpc_timeout(headers).map(|timeout| Instant::now() + timeout),
        })
    }

    /// As the planner takes it, for a statement.
    ///
    /// # Errors
    /// `Scope` when what the caller has shown is not for statements.
    pub fn request(&self) -> Result<planner::Request> {
        self.within(Scope::Select)?;
        Ok(planner::Request {
            id: self.id.clone(),
            principal: Arc::clone(&self.principal),
            session: self.session.clone(),
            deadline: self.deadline,
        })
    }

    /// The caller, for a listing.
    ///
    /// # Errors
    /// `Scope` when what the caller has shown is not for listings.
    pub fn lister(&self) -> Result<&Principal> {
        self.within(Scope::Metadata)?;
        Ok(&self.principal)
    }

    fn within(&self, scope: Scope) -> Result<()> {
        match self.principal.scopes().contain(scope) {
            true => Ok(()),
            false => Err(Error::Scope { scope }),
        }
    }
}

/// The default session with `options` over it.
fn session(app: &App, options: &BTreeMap<String, String>) -> Result<planner::Session> {
    let mut session = defaults(app);
    for (key, value) in options {
        session.assign(key, value)?;
    }
    Ok(session)
}

fn defaults(app: &App) -> planner::Session {
    let defaults = &app.config.session;
    planner::Session {
        catalog: defaults.catalog.clone(),
        schema: defaults.schema.clone(),
        time_zone: defaults.time_zone.clone(),
        rules: planner::SourceRules {
            pushdown: defaults.pushdown,
            rows_max: defaults.max_rows_from_source,
            staleness_max: defaults.max_staleness,
        },
        cache: defaults.cache,
    }
}

/// What differs from the default session, as options of a token.
pub(crate) fn options(app: &App, session: &planner::Session) -> BTreeMap<String, String> {
    let pairs = session.settings().into_iter().zip(defaults(app).settings());
    let changed = pairs.filter(|((_, value), (_, default))| value != default);
    changed.map(|((key, value), _)| (key.to_owned(), value)).collect()
}

/// The id of a call: the caller's when it is plain, else a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> String {
    let is_plain = |id: &&str| {
        !id.is_empty()
            && id.len() <= 64
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match headers
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(is_plain)
    {
        Some(id) => id.to_owned(),
        None => Uuid::now_v7().simple().to_string(),
    }
}

/// The `grpc-timeout` header: up to eight digits and a unit (gRPC over HTTP/2, "Timeout").
fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}
