//! The context of one call, built afresh each time: who, in which session, until when. Nothing of it stays here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use policies::{Authenticated, Fence, Principal, Scope, Shown};
use uuid::Uuid;

use crate::admission::Room;
use crate::app::App;
use crate::audit::{Entry, Start, Who, claim};
use crate::auth::{authenticate, credentials};
use crate::error::{Error, Result};
use crate::peer::Peer;
use crate::status::outcome;

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
    /// The call in the audit trail.
    pub(crate) entry: Arc<Entry>,
    /// What is left of the caller's requests; none where they are not counted.
    pub(crate) room: Option<Room>,
    /// When the caller stops waiting, if it said so.
    pub deadline: Option<Instant>,
}

impl RequestContext {
    /// Proves the caller and builds the context.
    ///
    /// # Errors
    /// The refusal of the credentials, or a session option that has become invalid.
    pub(crate) async fn open(app: &App, call: &Incoming<'_>) -> Result<Self> {
        let (proven, entry, room) = admit(app, call).await?;
        let session = session(app, &proven.options).inspect_err(|error| entry.conclude(outcome(error)))?;
        Ok(Self {
            id: call.id.to_owned(),
            entry,
            room,
            principal: Arc::new(proven.principal),
            shown: proven.shown,
            login: proven.session,
            fence: proven.fence,
            session,
            deadline: grpc_timeout(call.headers).map(|timeout| Instant::now() + timeout),
        })
    }

    /// As the planner takes it, for a statement, which has its place in the audit trail when this returns.
    ///
    /// # Errors
    /// `Scope` when what the caller has shown is not for statements, `Audit` when the trail takes no more.
    pub async fn request(&self, sql: &str) -> Result<planner::Request> {
        self.within(Scope::Select)?;
        self.entry.statement(sql).await?;
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

/// A call as it comes in at a door.
#[derive(Clone, Debug)]
pub(crate) struct Incoming<'a> {
    /// `flight` or `rest`.
    pub(crate) protocol: &'static str,
    /// The method of the protocol; one of a bounded set of names.
    pub(crate) method: &'a str,
    /// Names the call.
    pub(crate) id: &'a str,
    /// What it carries.
    pub(crate) headers: &'a HeaderMap,
    /// Where it came from.
    pub(crate) peer: Option<&'a Peer>,
}

/// Proves the caller, begins the call's entry in the audit trail, and counts it. A refused call has its entry too.
///
/// # Errors
/// The refusal of the credentials, `Audit` when the trail takes no more, `RateLimited`.
pub(crate) async fn admit(
    app: &App,
    call: &Incoming<'_>,
) -> Result<(Authenticated, Arc<Entry>, Option<Room>)> {
    let proven = authenticate(app, call.headers, call.peer).await;
    let who = proven.as_ref().ok();
    let shown = || credentials(call.headers, call.peer).ok();
    let start = Start {
        request: call.id.to_owned(),
        protocol: call.protocol,
        method: call.method.to_owned(),
        address: call.peer.map(Peer::ip),
        who: who.map(|proven| Who::new(&proven.principal, &proven.shown)),
        claims: match who {
            Some(_) => None,
            None => shown().as_ref().and_then(claim),
        },
    };
    let entry = app.audit.begin(start).await?;
    let counted = match proven {
        Ok(proven) => match app.rates.take(&proven.principal).await {
            Ok(room) => Ok((proven, room)),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    match counted {
        Ok((proven, room)) => Ok((proven, entry, room)),
        Err(error) => {
            entry.conclude(outcome(&error));
            entry.settled().await?;
            Err(error)
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
