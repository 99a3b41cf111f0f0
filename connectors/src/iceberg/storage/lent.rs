//! Credentials that a catalog lends for one table, renewed before they end.
//!
//! Invariants:
//! - A loan opens the table's own folder and nothing else: [`super::Storage::warehouse`] makes a view of no other place.
//! - What is lent is never printed.

use crate::Result;
use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use object_store::gcp::GcpCredential;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// A loan is renewed this long before it ends.
const MARGIN: Duration = Duration::from_secs(120);
/// A loan that does not say when it ends is renewed after this time; catalogs lend for an hour at least.
const UNTOLD: Duration = Duration::from_secs(15 * 60);

/// What a catalog lends: the properties of the table's store, keys among them.
#[derive(Clone, Default, PartialEq, Eq)]
pub(in crate::iceberg) struct Loan(pub(in crate::iceberg) BTreeMap<String, String>);

impl fmt::Debug for Loan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The names alone: values may be keys.
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Loan {
    /// Whether keys are among the properties.
    pub(in crate::iceberg) fn has_keys(&self) -> bool {
        let given = |key: &str| self.0.get(key).is_some_and(|value| !value.is_empty());
        given("s3.access-key-id")
            || given("gcs.oauth2.token")
            || self.0.keys().any(|key| key.starts_with("adls.sas-token."))
    }

    /// When the loan ends, if it says so.
    fn end(&self) -> Option<SystemTime> {
        let told = ["s3.session-token-expires-at-ms", "gcs.oauth2.token-expires-at"];
        let sas = |key: &&String| key.starts_with("adls.sas-token-expires-at-ms.");
        let text = told.iter().find_map(|key| self.0.get(*key));
        let text = text.or_else(|| self.0.keys().find(sas).and_then(|key| self.0.get(key)))?;
        let millis = text.parse::<u64>().ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
    }
}

/// Who lends again.
#[async_trait]
pub(in crate::iceberg) trait Lender: fmt::Debug + Send + Sync {
    /// A new loan for the same table.
    async fn lend(&self) -> Result<Loan>;
}

/// The credentials of one table's store.
#[derive(Debug)]
pub(in crate::iceberg) struct LentProvider {
    lender: Arc<dyn Lender>,
    state: Mutex<State>,
    /// One renewal at a time.
    renewing: tokio::sync::Mutex<()>,
    /// The store that these credentials open.
    pub(super) opened: tokio::sync::OnceCell<Arc<dyn object_store::ObjectStore>>,
}

#[derive(Debug)]
struct State {
    loan: Arc<Loan>,
    renew_at: SystemTime,
}

impl State {
    fn of(loan: Loan) -> Self {
        let end = loan.end().map(|end| end.checked_sub(MARGIN).unwrap_or(end));
        Self {
            renew_at: end.unwrap_or_else(|| SystemTime::now() + UNTOLD),
            loan: Arc::new(loan),
        }
    }
}

impl LentProvider {
    /// The credentials of a loan, renewed at `lender`.
    pub(in crate::iceberg) fn new(loan: Loan, lender: Arc<dyn Lender>) -> Self {
        Self {
            lender,
            state: Mutex::new(State::of(loan)),
            renewing: tokio::sync::Mutex::new(()),
            opened: tokio::sync::OnceCell::new(),
        }
    }

    /// Takes what the catalog has lent anew.
    pub(in crate::iceberg) fn replace(&self, loan: Loan) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::of(loan);
    }

    /// A property of the loan that is no key, such as the address of the store.
    pub(super) fn setting(&self, key: &str) -> Option<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.loan.0.get(key).filter(|value| !value.is_empty()).cloned()
    }

    fn current(&self) -> Option<Arc<Loan>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (SystemTime::now() < state.renew_at).then(|| Arc::clone(&state.loan))
    }

    async fn loan(&self) -> object_store::Result<Arc<Loan>> {
        if let Some(loan) = self.current() {
            return Ok(loan);
        }
        let _turn = self.renewing.lock().await;
        if let Some(loan) = self.current() {
            return Ok(loan);
        }
        let lent = self
            .lender
            .lend()
            .await
            .map_err(|error| object_store::Error::Generic {
                store: "lent credentials",
                source: Box::new(error),
            })?;
        self.replace(lent);
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(&state.loan))
    }
}

fn absent(key: &str) -> object_store::Error {
    object_store::Error::Generic {
        store: "lent credentials",
        source: format!("the catalog's loan lacks {key}").into(),
    }
}

/// The credentials as S3 wants them.
#[async_trait]
impl CredentialProvider for LentProvider {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let loan = self.loan().await?;
        let value = |key: &str| loan.0.get(key).cloned();
        let needed = |key: &str| value(key).ok_or_else(|| absent(key));
        Ok(Arc::new(AwsCredential {
            key_id: needed("s3.access-key-id")?,
            secret_key: needed("s3.secret-access-key")?,
            token: value("s3.session-token"),
        }))
    }
}

/// The credentials as Google wants them.
#[derive(Debug)]
pub(super) struct Bearer(pub(super) Arc<LentProvider>);

#[async_trait]
impl CredentialProvider for Bearer {
    type Credential = GcpCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<GcpCredential>> {
        let loan = self.0.loan().await?;
        let bearer = loan.0.get("gcs.oauth2.token").cloned();
        let bearer = bearer.ok_or_else(|| absent("gcs.oauth2.token"))?;
        Ok(Arc::new(GcpCredential { bearer }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Debug, Default)]
    struct Counter(AtomicUsize);

    #[async_trait]
    impl Lender for Counter {
        async fn lend(&self) -> Result<Loan> {
            let number = self.0.fetch_add(1, Ordering::Relaxed);
            Ok(loan(&format!("again {number}"), Duration::from_secs(3600)))
        }
    }

    fn loan(id: &str, good: Duration) -> Loan {
        let end = (SystemTime::now() + good)
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        let pairs = [
            ("s3.access-key-id", id.to_owned()),
            ("s3.secret-access-key", "hidden".to_owned()),
            ("s3.session-token-expires-at-ms", end.as_millis().to_string()),
        ];
        Loan(
            pairs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        )
    }

    #[tokio::test]
    async fn a_loan_that_ends_is_renewed_once_for_all_who_wait() {
        let lender = Arc::new(Counter::default());
        let lent = Arc::new(LentProvider::new(
            loan("first", Duration::from_secs(3600)),
            Arc::clone(&lender) as _,
        ));
        assert_eq!(lent.get_credential().await.unwrap().key_id, "first");
        lent.replace(loan("old", Duration::from_secs(60)));
        let asked = (0..8).map(|_| {
            let lent = Arc::clone(&lent);
            tokio::spawn(async move { lent.get_credential().await.unwrap().key_id.clone() })
        });
        for asked in asked.collect::<Vec<_>>() {
            assert_eq!(asked.await.unwrap(), "again 0");
        }
        assert_eq!(lender.0.load(Ordering::Relaxed), 1);
        assert!(!format!("{lent:?}").contains("hidden"));
    }
}
