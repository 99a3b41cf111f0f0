//! The schema registry: schemas by their id, asked once and remembered.
//!
//! Invariant: *never guess*. A record is refused for its schema only when the registry itself says that there is no such schema, or when the
//! schema cannot be used; any other answer, and none, makes records wait.

use std::collections::HashMap;
use std::sync::Arc;

use apache_avro::Schema;
use futures::StreamExt;
use policies::Secret;
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};
use serde_json::Value;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;

use super::avro::Plan;
use crate::error::{Error, Result};
use crate::pipeline::kafka;

/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Most schemas that one may refer to, directly or not.
const REFERENCES_MAX: usize = 100;
/// What a registry calls a schema that is not there.
const NO_SCHEMA: u64 = 40_403;

/// What is known of a schema.
#[derive(Debug, Clone)]
pub(crate) enum Known {
    /// Its plan.
    Plan(Arc<Plan>),
    /// Why records with it are refused.
    Unusable(Arc<str>),
}

/// The registry of one pipeline.
#[derive(Debug)]
pub(crate) struct Registry {
    pipeline: String,
    http: reqwest::Client,
    url: Url,
    user: Option<(String, Secret)>,
    known: HashMap<i32, Known>,
    schemas_max: usize,
}

/// An answer that is JSON.
struct Answer {
    status: StatusCode,
    body: Value,
}

impl Registry {
    /// A registry; it is not asked yet.
    ///
    /// # Errors
    /// The password is not where its reference says.
    pub(crate) fn open(pipeline: &str, config: &kafka::Registry) -> Result<Self> {
        let fault = |problem: String| Error::Source {
            pipeline: pipeline.to_owned(),
            key: "source.registry.url",
            problem,
        };
        // The client asks the process for its cryptography. Another part may have set it before, which is as good.
        let _ours_or_theirs = default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .timeout(config.timeout)
            .no_proxy()
            .build()
            .map_err(|error| fault(error.to_string()))?;
        let mut url = Url::parse(&config.url).map_err(|error| fault(error.to_string()))?;
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let user = match (&config.username, &config.password) {
            (Some(name), Some(password)) => Some((name.clone(), password.read("source.registry.password")?)),
            _ => None,
        };
        Ok(Self {
            pipeline: pipeline.to_owned(),
            http,
            url,
            user,
            known: HashMap::new(),
            schemas_max: config.schemas_max,
        })
    }

    /// Asks whether it is there and lets us in.
    ///
    /// # Errors
    /// As [`Registry::get`].
    pub(crate) async fn check(&self) -> Result<()> {
        let answer = self.ask(&["subjects"]).await?;
        match answer.status.is_success() && answer.body.is_array() {
            true => Ok(()),
            false => Err(self.down(&format!("it answers {} to GET subjects", answer.status))),
        }
    }

    /// What is known of the schema `id`. What the registry has is asked once; what it has not is asked again by the next batch.
    ///
    /// # Errors
    /// [`Error::SourceDown`] when it does not answer, or not as a registry does; [`Error::Source`] when it does not let us in.
    pub(crate) async fn get(&mut self, id: i32) -> Result<Known> {
        if let Some(known) = self.known.get(&id) {
            return Ok(known.clone());
        }
        let answer = self.ask(&["schemas", "ids", &id.to_string()]).await?;
        if answer.status == StatusCode::NOT_FOUND && answer.body["error_code"].as_u64() == Some(NO_SCHEMA) {
            return Ok(Known::Unusable(format!("the registry has no schema {id}").into()));
        }
        let schema = self.schema(&answer)?;
        let known = match self.plan(id, &schema).await? {
            Ok(plan) => Known::Plan(Arc::new(plan)),
            Err(fault) => Known::Unusable(format!("the schema {id} cannot be used: {fault}").into()),
        };
        // Which ones go does not matter: they are asked again.
        if self.known.len() >= self.schemas_max {
            self.known.clear();
        }
        self.known.insert(id, known.clone());
        Ok(known)
    }

    fn schema(&self, answer: &Answer) -> Result<Value> {
        if !answer.status.is_success() || !answer.body["schema"].is_string() {
            return Err(self.down(&format!("it answers {} without a schema", answer.status)));
        }
        Ok(answer.body.clone())
    }

    async fn plan(&self, id: i32, told: &Value) -> Result<std::result::Result<Plan, String>> {
        match told["schemaType"].as_str() {
            None | Some("AVRO") => {}
            Some(other) => return Ok(Err(format!("it is of type {other}"))),
        }
        // Those that are referred to, each behind the ones that refer to it; compiled in the other order.
        let mut texts = Vec::new();
        let mut open: Vec<Value> = references(told);
        while let Some(reference) = open.pop() {
            if texts.len() >= REFERENCES_MAX {
                return Ok(Err(format!("it refers to more than {REFERENCES_MAX} others")));
            }
            let subject = reference["subject"].as_str().unwrap_or_default();
            let version = reference["version"].to_string();
            let answer = self.ask(&["subjects", subject, "versions", &version]).await?;
            let told = self.schema(&answer)?;
            open.extend(references(&told));
            let text = told["schema"].as_str().unwrap_or_default().to_owned();
            // One that two refer to must stand before both.
            texts.retain(|other| *other != text);
            texts.push(text);
        }
        texts.reverse();
        let main = told["schema"].as_str().unwrap_or_default();
        tracing::info!(
            pipeline = self.pipeline,
            schema = id,
            references = texts.len(),
            "a schema of the registry"
        );
        Ok(compiled(main, &texts))
    }

    async fn ask(&self, path: &[&str]) -> Result<Answer> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut request = self.http.get(url).header(
            "Accept",
            "application/vnd.schemaregistry.v1+json, application/json",
        );
        if let Some((name, password)) = &self.user {
            request = request.basic_auth(name, Some(password.expose()));
        }
        let sent = request.send().await;
        let response = sent.map_err(|error| self.down(&cause(&error.without_url())))?;
        let status = response.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(Error::Source {
                pipeline: self.pipeline.clone(),
                key: "source.registry.username",
                problem: format!("the registry answers {status}"),
            });
        }
        let mut body = Vec::new();
        let mut parts = response.bytes_stream();
        while let Some(part) = parts.next().await {
            let part = part.map_err(|error| self.down(&cause(&error.without_url())))?;
            if body.len() + part.len() > ANSWER_BYTES_MAX {
                return Err(self.down("its answer is too long"));
            }
            body.extend_from_slice(&part);
        }
        Ok(Answer {
            status,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        })
    }

    fn down(&self, problem: &str) -> Error {
        Error::SourceDown {
            pipeline: self.pipeline.clone(),
            part: "the schema registry".to_owned(),
            problem: problem.to_owned(),
        }
    }
}

/// The deepest cause of a failure, which says most.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it does not answer in time".to_owned();
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(next) = deepest.source() {
        deepest = next;
    }
    deepest.to_string()
}

fn references(told: &Value) -> Vec<Value> {
    told["references"].as_array().cloned().unwrap_or_default()
}

fn compiled(main: &str, others: &[String]) -> std::result::Result<Plan, String> {
    let (main, others) = (plain(main), others.iter().map(|text| plain(text)));
    let schemas = if others.len() == 0 {
        Schema::parse_str(&main).map(|schema| vec![schema])
    } else {
        Schema::parse_str_with_list(&main, others).map(|(main, mut others)| {
            others.push(main);
            others
        })
    };
    Plan::compile(&schemas.map_err(|error| error.to_string())?)
}

/// A schema without the logical type uuid on fixed, which the parser takes for one on string, whose bytes are others.
fn plain(text: &str) -> String {
    fn walk(value: &mut Value) {
        match value {
            Value::Object(members) => {
                if members.get("type").is_some_and(|kind| kind == "fixed") {
                    members.retain(|key, value| key != "logicalType" || value != "uuid");
                }
                members.values_mut().for_each(walk);
            }
            Value::Array(values) => values.iter_mut().for_each(walk),
            _ => {}
        }
    }
    match serde_json::from_str::<Value>(text) {
        Ok(mut value) => {
            walk(&mut value);
            value.to_string()
        }
        // The parser says what is wrong with it.
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_may_refer_to_others() {
        let address = r#"{"type":"record","name":"Address","namespace":"a","fields":[{"name":"city","type":"string"}]}"#;
        let person = r#"{"type":"record","name":"Person","namespace":"p","fields":[
            {"name":"home","type":"a.Address"},{"name":"work","type":["null","a.Address"]}]}"#;
        let plan = compiled(person, &[address.to_owned()]).unwrap();
        assert_eq!(
            plan.json(b"\x02A\x02\x02B").unwrap(),
            r#"{"home":{"city":"A"},"work":{"city":"B"}}"#
        );
        assert!(compiled(person, &[]).is_err());
        // A topic of several kinds of records has a union of their names.
        let plan = compiled(
            r#"["a.Address","p.Person"]"#,
            &[address.to_owned(), person.to_owned()],
        )
        .unwrap();
        assert_eq!(plan.json(b"\x00\x02A").unwrap(), r#"{"city":"A"}"#);
    }

    #[test]
    fn what_is_no_schema_is_told() {
        for text in [
            "",
            "{",
            "{\"type\":\"nothing\"}",
            "{\"type\":\"record\",\"name\":\"r\"}",
        ] {
            assert!(compiled(text, &[]).is_err(), "{text}");
        }
        let fixed = compiled(
            r#"{"type":"fixed","name":"u","size":16,"logicalType":"uuid"}"#,
            &[],
        )
        .unwrap();
        assert_eq!(fixed.json(&[0; 16]).unwrap(), "\"AAAAAAAAAAAAAAAAAAAAAA==\"");
    }
}
