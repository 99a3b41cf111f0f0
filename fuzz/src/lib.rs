//! What the fuzz targets share: a house with one small lake in it, and somebody who asks.
//!
//! A target must not panic, run out of time or out of memory, whatever bytes it is given; some check more than that.
//! `make fuzz` runs them with counters in the house's own crates, `cargo fuzz run fuzz_sql` in everything.

use std::sync::{Arc, OnceLock};

use gateway::app::App;
use gateway::config::{Config, Environment};
use ingest::Zone;
use planner::{CacheMode, Request, Session, SourceRules};
use policies::{Authenticator as _, Credentials, Principal, Seal, Secret};
use tests::Lake;
use tests::lake::{USERS, key};
use tokio::runtime::Runtime;

/// Rules that make each kind of barrier: rows filtered, columns masked and denied.
const POLICIES: &str = r#"
[[allow]]
name = "gold"
roles = ["viewer"]
tables = ["lake.gold.*"]

[[filter]]
name = "few"
roles = ["viewer"]
on = ["lake.gold.events"]
where = "id < 7"

[[mask]]
name = "names"
roles = ["viewer"]
on = ["lake.gold.events.name"]
kind = "partial"
last = 1
"#;

/// A house and who asks in it.
#[derive(Debug)]
pub struct House {
    /// The runtime that waits for files and sockets.
    pub runtime: Runtime,
    /// All rooms of the gateway.
    pub app: Arc<App>,
    principal: Arc<Principal>,
    _lake: Lake,
}

impl House {
    /// The one house of this process: a lake with the table `lake.gold.events (id, name)` of ten rows.
    pub fn open() -> &'static Self {
        static HOUSE: OnceLock<House> = OnceLock::new();
        HOUSE.get_or_init(|| {
            let runtime = Runtime::new().expect("a runtime");
            let (app, principal, lake) = runtime.block_on(build());
            Self {
                runtime,
                app,
                principal,
                _lake: lake,
            }
        })
    }

    /// A request of somebody who sees some rows and masked names.
    pub fn request(&self) -> Request {
        Request {
            id: "fuzz".to_owned(),
            principal: Arc::clone(&self.principal),
            session: session(),
            deadline: None,
        }
    }

    /// Who asks.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// What closes tickets here.
    pub fn seal(&self) -> &Seal {
        &self.app.seal
    }
}

/// A session as a new one is.
fn session() -> Session {
    Session {
        catalog: "lake".to_owned(),
        schema: "gold".to_owned(),
        time_zone: "UTC".to_owned(),
        rules: SourceRules::default(),
        cache: CacheMode::default(),
    }
}

async fn build() -> (Arc<App>, Arc<Principal>, Lake) {
    let lake = Lake::create().await.expect("a lake");
    lake.append(Zone::Gold, "events", 0..10).await.expect("rows");
    lake.set_policies(POLICIES).expect("policies");
    let file = lake.config("127.0.0.1:0", 1, "").expect("a config");
    let environment: Environment = [("LAKEGATE_TEST_KEY_0".to_owned(), key(1))].into_iter().collect();
    let config = Config::load(&file, &environment).expect("a config");
    let app = gateway::serve::build(config, &environment)
        .await
        .expect("a house");
    let (user, password) = USERS[1];
    let credentials = Credentials::Basic {
        user: user.to_owned(),
        password: Secret::new(password),
    };
    let proven = app
        .identity
        .authenticate(&credentials, None)
        .await
        .expect("a principal");
    (app, Arc::new(proven.principal), lake)
}
