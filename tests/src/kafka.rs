//! A real Kafka broker for tests: Apache Kafka in KRaft mode, broker and controller in one process, on free ports of loopback, over a folder of
//! its own. It goes with the value.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tempfile::TempDir;

use crate::gateway::free_address;
use crate::python;

/// How long it may take to answer first, and a client to be answered.
const READY: Duration = Duration::from_secs(120);
/// How long a client waits for one answer.
const ANSWER: Duration = Duration::from_secs(30);
/// A user that the listener with passwords knows.
pub const USER: (&str, &str) = ("lakegate", "a password of the tests");

/// The broker.
pub struct Kafka {
    /// `127.0.0.1:PORT`
    pub address: String,
    /// The same for those who say who they are, by SASL PLAIN.
    pub guarded: String,
    process: Option<Child>,
    folder: TempDir,
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A record to be produced. A partition of its own choice, or by its key.
#[derive(Debug, Clone, Default)]
pub struct Produced<'a> {
    /// The partition.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; none tells that the key is gone.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: Vec<(&'a str, Option<&'a [u8]>)>,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
}

impl Kafka {
    /// The broker that tests share which do not stop it. It ends with the last test holding it.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Kafka>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Self::start().expect("a Kafka broker"));
        *shared = Arc::downgrade(&started);
        started
    }

    /// Starts a broker without topics.
    ///
    /// # Errors
    /// What to install, or when it does not answer.
    pub fn start() -> Result<Self> {
        let mut kafka = Self {
            address: free_address()?,
            guarded: free_address()?,
            process: None,
            folder: TempDir::with_prefix("lakegate-kafka-")?,
        };
        fs::write(kafka.path("server.properties"), kafka.properties()?)?;
        let formatted = kafka
            .java("kafka.tools.StorageTool")?
            .args(["format", "--cluster-id", "bGFrZWdhdGUtdGVzdHMtMQ", "--config"])
            .arg(kafka.path("server.properties"))
            .output()?;
        if !formatted.status.success() {
            bail!("Kafka's folder: {}", String::from_utf8_lossy(&formatted.stderr));
        }
        kafka.up()?;
        Ok(kafka)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn properties(&self) -> Result<String> {
        let controller = free_address()?;
        let (name, password) = USER;
        let plain = "org.apache.kafka.common.security.plain.PlainLoginModule";
        Ok(format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@{controller}\n\
             listeners=PLAINTEXT://{address},GUARDED://{guarded},CONTROLLER://{controller}\n\
             controller.listener.names=CONTROLLER\n\
             inter.broker.listener.name=PLAINTEXT\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,GUARDED:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT\n\
             listener.name.guarded.sasl.enabled.mechanisms=PLAIN\n\
             listener.name.guarded.plain.sasl.jaas.config={plain} required user_{name}=\"{password}\";\n\
             log.dirs={data}\n\
             auto.create.topics.enable=false\n\
             offsets.topic.replication.factor=1\n\
             offsets.topic.num.partitions=1\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             transaction.state.log.num.partitions=1\n\
             group.initial.rebalance.delay.ms=0\n\
             log.retention.check.interval.ms=1000\n\
             file.delete.delay.ms=100\n",
            address = self.address,
            guarded = self.guarded,
            data = self.path("data").display(),
        ))
    }

    fn java(&self, main: &str) -> Result<Command> {
        let jars = python::lake_cache().join("kafka");
        if !jars.exists() {
            bail!("no {}: run tests/install, which fetches it", jars.display());
        }
        let mut command = Command::new(python::java()?);
        command
            .args(["-Xmx320m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
            .arg("-cp")
            .arg(jars.join("*"))
            .arg(main)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Starts the process and waits until it answers, in the folder and on the ports that it had.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn up(&mut self) -> Result<()> {
        let process = self
            .java("kafka.Kafka")?
            .arg("server.properties")
            .stdout(Stdio::null())
            .stderr(File::create(self.path("log"))?)
            .spawn()
            .context("start Kafka")?;
        let process = self.process.insert(process);
        let deadline = Instant::now() + READY;
        let client: BaseConsumer = config(&self.address).create()?;
        while client.fetch_metadata(None, Duration::from_secs(1)).is_err() {
            if Instant::now() > deadline || process.try_wait()?.is_some() {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                bail!("Kafka does not answer:\n{log}");
            }
        }
        Ok(())
    }

    /// Stops the process as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Both fail only when the process is gone already.
            drop(process.kill());
            drop(process.wait());
        }
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(config(&self.address).create()?)
    }

    /// Makes a topic; settings such as `cleanup.policy`.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn create(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<()> {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            new = new.set(key, value);
        }
        let done = self.admin()?.create_topics(&[new], &options()).await?;
        done.into_iter()
            .next()
            .context("an answer")?
            .map_err(|(topic, code)| anyhow::anyhow!("{topic}: {code}"))?;
        Ok(())
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn delete(&self, topic: &str) -> Result<()> {
        let done = self.admin()?.delete_topics(&[topic], &options()).await?;
        done.into_iter()
            .next()
            .context("an answer")?
            .map_err(|(topic, code)| anyhow::anyhow!("{topic}: {code}"))?;
        Ok(())
    }

    /// Adds partitions, up to `total`.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn grow(&self, topic: &str, total: usize) -> Result<()> {
        let new = NewPartitions::new(topic, total);
        let done = self.admin()?.create_partitions(&[new], &options()).await?;
        done.into_iter()
            .next()
            .context("an answer")?
            .map_err(|(topic, code)| anyhow::anyhow!("{topic}: {code}"))?;
        Ok(())
    }

    /// Deletes the records of a partition before an offset, as retention does.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn expire(&self, topic: &str, partition: i32, before: i64) -> Result<()> {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(before))?;
        let done = self.admin()?.delete_records(&offsets, &options()).await?;
        done.find_partition(topic, partition)
            .context("an answer")?
            .error()?;
        Ok(())
    }

    /// A producer that waits for the broker's word; with a transactional id, one of transactions that is ready for the first.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn producer(&self, transactional: Option<&str>) -> Result<FutureProducer> {
        let mut config = config(&self.address);
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "1");
        if let Some(id) = transactional {
            config.set("transactional.id", id);
        }
        let producer: FutureProducer = config.create()?;
        if transactional.is_some() {
            producer.init_transactions(ANSWER)?;
        }
        Ok(producer)
    }

    /// Produces records and waits until the broker has them all; gives the partition and offset of each.
    ///
    /// # Errors
    /// When one is not taken.
    pub async fn produce(&self, topic: &str, records: &[Produced<'_>]) -> Result<Vec<(i32, i64)>> {
        produce(&self.producer(None)?, topic, records).await
    }

    /// The offset that a group is shown to have read up to.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn shown(&self, group: &str, topic: &str, partition: i32) -> Result<Option<i64>> {
        let consumer: BaseConsumer = config(&self.address).set("group.id", group).create()?;
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let committed = consumer.committed_offsets(list, ANSWER)?;
        let found = committed
            .find_partition(topic, partition)
            .context("the partition")?;
        Ok(found.offset().to_raw().filter(|offset| *offset >= 0))
    }
}

/// Produces records with a producer and waits until the broker has them all.
///
/// # Errors
/// When one is not taken.
pub async fn produce(
    producer: &FutureProducer,
    topic: &str,
    records: &[Produced<'_>],
) -> Result<Vec<(i32, i64)>> {
    let sent = records.iter().map(|record| {
        let mut headers = OwnedHeaders::new();
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: *value });
        }
        let mut sent: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(topic).headers(headers);
        sent.partition = record.partition;
        sent.key = record.key;
        sent.payload = record.value;
        sent.timestamp = record.timestamp;
        producer.send(sent, ANSWER)
    });
    let mut placed = Vec::new();
    for delivered in futures::future::join_all(sent).await {
        let delivery = delivered.map_err(|(error, _)| error)?;
        placed.push((delivery.partition, delivery.offset));
    }
    Ok(placed)
}

fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("log_level", "0");
    config
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(ANSWER))
        .operation_timeout(Some(ANSWER))
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.kill();
    }
}
