//! Who may come in, over the wire: tokens of a real issuer, API keys, certificates, and how often a password may be
//! guessed.

mod attempts;
mod certificates;
mod issuer;
mod keys;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ingest::Zone;
use tests::gateway::free_address;
use tests::lake::{USERS, key};
use tests::{Ended, Gateway, Lake, Launch};

const COUNT: &str = "SELECT count(*) FROM lake.gold.events";

/// How long anything here may take that is waited for.
const WAIT: Duration = Duration::from_secs(30);

async fn lake_of_ten() -> Lake {
    let lake = Lake::create().await.expect("a lake");
    lake.append(Zone::Gold, "events", 0..10).await.expect("rows");
    lake
}

/// A gateway whose config has more sections than the usual one, and the path of that config.
struct House {
    lake: Lake,
    config: PathBuf,
    gateway: Gateway,
}

impl House {
    async fn with(more: &str, settings: &[(&str, &str)]) -> Self {
        let lake = lake_of_ten().await;
        let admin = free_address().expect("an address");
        let folder = lake.folder().display().to_string();
        let more = more.replace("FOLDER", &folder);
        let config = lake.config(&admin, 1, &more).expect("a config");
        let mut launch = Self::launch(&config, &["serve"]);
        for (key, value) in settings {
            launch = launch.with_setting(key, &value.replace("FOLDER", &folder));
        }
        let gateway = Gateway::start(&launch, &admin)
            .expect("a gateway")
            .with_users(USERS);
        Self {
            lake,
            config,
            gateway,
        }
    }

    fn launch(config: &std::path::Path, words: &[&str]) -> Launch {
        let config = config.to_str().expect("UTF-8");
        Launch::new(words.iter().copied().chain(["--config", config]))
            .with_environment("LAKEGATE_TEST_KEY_0", &key(1))
            .with_environment("LAKEGATE_TEST_PEPPER", &key(9))
    }

    /// Runs another command on the config, with the settings that a test of keys needs.
    async fn run(&self, words: &[&str], settings: &[(&str, &str)]) -> Ended {
        let folder = self.lake.folder().display().to_string();
        let mut launch = Self::launch(&self.config, words);
        for (key, value) in settings {
            launch = launch.with_setting(key, &value.replace("FOLDER", &folder));
        }
        launch.run().await.expect("an end")
    }
}

/// Asks until the answer is what it should be.
async fn until<T, F: Future<Output = T>>(mut ask: impl FnMut() -> F, is_right: impl Fn(&T) -> bool) -> T
where
    T: std::fmt::Debug,
{
    let deadline = Instant::now() + WAIT;
    loop {
        let answer = ask().await;
        if is_right(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "it stays {answer:?}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
