//! The gateway's REST side as an exporter: the same rows as a JSON document and as an Arrow stream.
//!
//! The Arrow stream is decoded into batches. The JSON document is only read to its end in the time, which favours JSON:
//! a client that parses it too takes longer. Apart from the clock its rows are parsed and compared.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamDecoder;
use arrow::json::ReaderBuilder;
use async_trait::async_trait;
use reqwest::Response;
use serde_json::json;

use crate::digest::{Count, Digest, Sink};
use crate::flight::{Digested, Login};
use crate::measure::Subject;

/// The encoding of the answer.
#[derive(Debug, Clone)]
pub enum Form {
    /// An Arrow IPC stream.
    Arrow,
    /// One JSON document; the schema is what its rows are parsed with when they are compared.
    Json(SchemaRef),
}

/// An export of a statement over REST.
#[derive(Debug)]
pub struct RestExport {
    name: String,
    server: u32,
    http: reqwest::Client,
    url: String,
    login: Login,
    sql: String,
    form: Form,
}

impl RestExport {
    /// An exporter at `rest` (`http://HOST:PORT`); nothing is sent yet.
    pub fn new(name: &str, server: u32, rest: &str, login: &Login, sql: &str, form: Form) -> Self {
        Self {
            name: name.to_owned(),
            server,
            http: reqwest::Client::new(),
            url: format!("{rest}/v1/sql"),
            login: login.clone(),
            sql: sql.to_owned(),
            form,
        }
    }

    async fn ask(&self) -> Result<Response> {
        let accept = match self.form {
            Form::Arrow => "application/vnd.apache.arrow.stream",
            Form::Json(_) => "application/json",
        };
        let request = self
            .http
            .post(&self.url)
            .basic_auth(&self.login.user, Some(&self.login.password));
        let response = request
            .header("accept", accept)
            .json(&json!({ "sql": self.sql }))
            .send()
            .await?;
        if !response.status().is_success() {
            bail!(
                "{}: {}",
                response.status(),
                response.text().await.unwrap_or_default()
            );
        }
        Ok(response)
    }

    async fn arrow<S: Sink>(&self) -> Result<S> {
        let mut response = self.ask().await?;
        let (mut sink, mut decoder) = (S::default(), StreamDecoder::new());
        while let Some(chunk) = response.chunk().await? {
            let mut buffer = Buffer::from(chunk);
            while !buffer.is_empty() {
                if let Some(batch) = decoder.decode(&mut buffer)? {
                    sink.take(batch)?;
                }
            }
        }
        decoder.finish()?;
        Ok(sink)
    }

    /// Reads the document to its end and gives the number of rows that it says it has.
    async fn json_rows(&self) -> Result<u64> {
        // The report of the query stands after the count.
        const TAIL: usize = 64 << 10;
        let mut response = self.ask().await?;
        let mut tail: Vec<u8> = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            tail.extend_from_slice(&chunk[chunk.len().saturating_sub(TAIL)..]);
            tail.drain(..tail.len().saturating_sub(TAIL));
        }
        let tail = String::from_utf8_lossy(&tail).into_owned();
        let (_, count) = tail
            .rsplit_once("\"row_count\":")
            .context("the document is not whole")?;
        let digits: String = count.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().context("a number of rows")
    }

    /// Parses the rows, each of which stands on a line of its own.
    async fn json_digest(&self, schema: &SchemaRef) -> Result<Digest> {
        let mut response = self.ask().await?;
        let mut decoder = ReaderBuilder::new(Arc::clone(schema))
            .with_batch_size(8192)
            .build_decoder()?;
        let (mut digest, mut pending) = (Digest::default(), Vec::new());
        let mut flush = |decoder: &mut arrow::json::reader::Decoder| -> Result<()> {
            let batch: Option<RecordBatch> = decoder.flush()?;
            batch.map_or(Ok(()), |batch| digest.take(batch))
        };
        while let Some(chunk) = response.chunk().await? {
            pending.extend_from_slice(&chunk);
            let whole = pending
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            let lines: Vec<u8> = pending.drain(..whole).collect();
            for line in lines.split(|byte| *byte == b'\n') {
                let row = line.strip_suffix(b",").unwrap_or(line);
                if !(row.starts_with(b"{") && row.ends_with(b"}")) {
                    continue;
                }
                let mut rest = row;
                while !rest.is_empty() {
                    let taken = decoder.decode(rest)?;
                    rest = &rest[taken..];
                    if taken == 0 {
                        flush(&mut decoder)?;
                    }
                }
            }
        }
        flush(&mut decoder)?;
        Ok(digest)
    }
}

#[async_trait]
impl Subject for RestExport {
    fn name(&self) -> &str {
        &self.name
    }

    fn server(&self) -> Option<u32> {
        Some(self.server)
    }

    async fn run(&mut self) -> Result<u64> {
        match self.form {
            Form::Arrow => self.arrow::<Count>().await.map(|Count(rows)| rows),
            Form::Json(_) => self.json_rows().await,
        }
    }
}

#[async_trait]
impl Digested for RestExport {
    async fn digest(&mut self) -> Result<Digest> {
        match &self.form {
            Form::Arrow => self.arrow().await,
            Form::Json(schema) => self.json_digest(schema).await,
        }
    }
}
