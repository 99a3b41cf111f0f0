//! A REST client for statements: answers as Arrow IPC streams, errors as RFC 9457 problems.

use std::io::Cursor;

use arrow::ipc::reader::StreamReader;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::answer::{Answer, Refusal};

/// A caller of the REST API.
#[derive(Debug, Clone)]
pub struct Rest {
    http: reqwest::Client,
    base: String,
    shown: Shown,
}

/// What the caller shows with every call.
#[derive(Debug, Clone)]
enum Shown {
    Basic(String, String),
    Bearer(String),
}

impl Rest {
    /// A caller of `base` (`http://HOST:PORT`); nothing is sent yet.
    pub fn new(base: &str, user: &str, password: &str) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: base.to_owned(),
            shown: Shown::Basic(user.to_owned(), password.to_owned()),
        }
    }

    /// A caller of `base` with a token.
    pub fn with_token(base: &str, token: &str) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: base.to_owned(),
            shown: Shown::Bearer(token.to_owned()),
        }
    }

    /// The answer to a GET of `path`, as it came.
    pub async fn get(&self, path: &str) -> reqwest::Response {
        let call = self.http.get(format!("{}{path}", self.base));
        self.signed(call).send().await.expect("an answer")
    }

    /// As [`Rest::get`] with headers; those without a value are left out.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        let mut call = self.http.get(format!("{}{path}", self.base));
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            call = call.header(*name, *value);
        }
        self.signed(call).send().await.expect("an answer")
    }

    fn signed(&self, call: RequestBuilder) -> RequestBuilder {
        match &self.shown {
            Shown::Basic(user, password) => call.basic_auth(user, Some(password)),
            Shown::Bearer(token) => call.bearer_auth(token),
        }
    }

    /// Runs a statement to its end.
    pub async fn query(&self, sql: &str) -> Result<Answer, Refusal> {
        let response = self
            .signed(self.http.post(format!("{}/v1/sql", self.base)))
            .header("accept", "application/vnd.apache.arrow.stream")
            .json(&json!({ "sql": sql }))
            .send()
            .await
            .map_err(local)?;
        let status = response.status();
        let body = response.bytes().await.map_err(local)?;
        if !status.is_success() {
            return Err(problem(status.as_u16(), &body));
        }
        let reader = StreamReader::try_new(Cursor::new(body), None).map_err(local)?;
        let schema = reader.schema();
        let batches = reader.collect::<Result<Vec<_>, _>>().map_err(local)?;
        Ok(Answer { schema, batches })
    }

    /// Runs a statement with its arguments (`{"sql": .., "settings": ..}`) and gives the whole JSON answer.
    pub async fn ask(&self, body: &Value) -> Result<Value, Refusal> {
        let response = self
            .signed(self.http.post(format!("{}/v1/sql", self.base)))
            .header("accept", "application/json")
            .json(body)
            .send()
            .await
            .map_err(local)?;
        let status = response.status();
        let body = response.bytes().await.map_err(local)?;
        match status.is_success() {
            true => serde_json::from_slice(&body).map_err(local),
            false => Err(problem(status.as_u16(), &body)),
        }
    }
}

/// The refusal that a problem document tells, put as Flight SQL puts it; a body that is none is shown as it came.
fn problem(status: u16, body: &[u8]) -> Refusal {
    let message = match serde_json::from_slice::<Value>(body) {
        Ok(document) => {
            let text = |key: &str| document.get(key).and_then(Value::as_str);
            let hint = text("hint").map(|hint| format!("; {hint}")).unwrap_or_default();
            format!(
                "{}{hint} ({})",
                text("detail").unwrap_or("no detail"),
                text("code").unwrap_or("no code")
            )
        }
        Err(_) => format!("not a problem document: {}", String::from_utf8_lossy(body)),
    };
    Refusal {
        code: status.to_string(),
        message,
    }
}

fn local(error: impl std::fmt::Display) -> Refusal {
    Refusal {
        code: "client".to_owned(),
        message: error.to_string(),
    }
}
