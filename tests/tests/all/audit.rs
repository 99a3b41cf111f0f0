//! The audit trail over the wire: what is in it, what is not, and what a death or a full disk does to it.

use std::fs;
use std::path::PathBuf;

use ingest::Zone;
use serde_json::Value;
use tests::gateway::free_address;
use tests::lake::{USERS, key};
use tests::{Ended, Gateway, Lake, Launch};

mod broken;
mod calls;

const COUNT: &str = "SELECT count(*) FROM lake.gold.events";

/// An answer of ten million rows, which nobody reads in an instant.
const MANY: &str = "SELECT a.id FROM lake.gold.events a, lake.gold.events b, lake.gold.events c, lake.gold.events d, \
                    lake.gold.events e, lake.gold.events f, lake.gold.events g";

struct House {
    lake: Lake,
    config: PathBuf,
    admin: String,
    settings: Vec<(String, String)>,
}

impl House {
    async fn with(settings: &[(&str, &str)]) -> Self {
        let lake = Lake::create().await.expect("a lake");
        lake.append(Zone::Gold, "events", 0..10).await.expect("rows");
        let admin = free_address().expect("an address");
        let folder = lake.folder().join("audit");
        let more = format!(
            "[audit]\nfolder = \"{}\"\nkey = \"env:LAKEGATE_TEST_AUDIT\"\n",
            folder.display()
        );
        let config = lake.config(&admin, 1, &more).expect("a config");
        Self {
            lake,
            config,
            admin,
            settings: settings
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    fn folder(&self) -> PathBuf {
        self.lake.folder().join("audit")
    }

    fn launch(&self, words: &[&str]) -> Launch {
        let config = self.config.to_str().expect("UTF-8");
        let mut launch = Launch::new(words.iter().copied().chain(["--config", config]))
            .with_environment("LAKEGATE_TEST_KEY_0", &key(1))
            .with_environment("LAKEGATE_TEST_AUDIT", &key(7));
        for (key, value) in &self.settings {
            launch = launch.with_setting(key, value);
        }
        launch
    }

    fn gateway(&self) -> Gateway {
        self.started(self.launch(&["serve"]))
    }

    fn started(&self, launch: Launch) -> Gateway {
        Gateway::start(&launch, &self.admin)
            .expect("a gateway")
            .with_users(USERS)
    }

    async fn run(&self, words: &[&str]) -> Ended {
        self.launch(words).run().await.expect("an end")
    }

    async fn search(&self, words: &[&str]) -> Vec<Value> {
        let ended = self.run(&[&["audit", "search", "--json"], words].concat()).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let parse = |line: &str| serde_json::from_str(line).expect("JSON");
        ended.stdout.lines().map(parse).collect()
    }

    /// Searches until there are as many requests as wanted.
    async fn await_requests(&self, words: &[&str], wanted: usize) -> Vec<Value> {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            let found = self.search(words).await;
            if found.len() == wanted {
                return found;
            }
            assert!(std::time::Instant::now() < deadline, "{words:?}: {found:#?}");
        }
    }

    async fn verified(&self) -> String {
        let ended = self.run(&["audit", "verify"]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    }

    /// All that is in the folder.
    fn text(&self) -> String {
        let entries = fs::read_dir(self.folder()).expect("a folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths
            .map(|path| fs::read_to_string(path).expect("text"))
            .collect()
    }
}
