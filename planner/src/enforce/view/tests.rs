use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use policies::identity::{Config, Identity, Users};
use policies::{
    Allowance, Authenticator as _, Credentials, Decision, PolicySet, Principal, Seal, Secret, Secrets,
    SystemClock, TableName, hash_password,
};

use super::{FIELD_ID_KEY, Shown, View};

const DOCUMENT: &str = r#"
[[grant]]
name = "read"
roles = ["reader"]
privileges = ["select"]
on = ["lake"]

[[filter]]
name = "eu"
roles = ["reader"]
on = ["lake.gold.people"]
where = "region = 'eu' AND age >= 18"

[[mask]]
name = "phone"
roles = ["reader"]
on = ["lake.gold.people.phone"]
kind = "partial"
last = 2

[[mask]]
name = "salary"
roles = ["reader"]
on = ["lake.gold.people.salary"]
kind = "deny"

[[mask]]
name = "name"
roles = ["reader"]
on = ["lake.gold.people.name"]
kind = "custom"
expression = "concat(substr(name, 1, 1), coalesce(region, '?'))"
"#;

/// Somebody with the role `reader`.
pub(crate) async fn reader() -> Arc<Principal> {
    let password = Secret::new("a reader's password");
    let hash = hash_password(&password).unwrap();
    let users = format!("[[user]]\nname = \"ada\"\npassword_hash = \"{hash}\"\nroles = [\"reader\"]\n");
    let users = Users::parse(&users, Path::new("users.toml")).unwrap();
    let secrets = Secrets {
        seal: Arc::new(Seal::random().unwrap()),
        pepper: None,
    };
    let identity = Identity::with_users(&Config::default(), users, secrets, Arc::new(SystemClock)).unwrap();
    let credentials = Credentials::Basic {
        user: "ada".to_owned(),
        password,
    };
    Arc::new(identity.authenticate(&credentials, None).await.unwrap().principal)
}

async fn allowance(document: &str) -> Arc<Allowance> {
    let principal = reader().await;
    let set = PolicySet::parse(document, Path::new("policies.toml")).unwrap();
    match set.decide(&principal, &TableName::new("lake", "gold", "people")) {
        Decision::Allow(allowance) => allowance,
        Decision::Deny => panic!("denied"),
    }
}

/// Columns with their field ids.
fn table(columns: &[(&str, i32, DataType)]) -> SchemaRef {
    let fields = columns.iter().map(|(name, id, of)| {
        let id = HashMap::from([(FIELD_ID_KEY.to_owned(), id.to_string())]);
        Field::new(*name, of.clone(), false).with_metadata(id)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn people() -> Vec<(&'static str, i32, DataType)> {
    vec![
        ("name", 1, DataType::Utf8View),
        ("region", 2, DataType::Utf8),
        ("age", 3, DataType::Int32),
        ("phone", 4, DataType::Utf8),
        ("salary", 5, DataType::Decimal128(15, 2)),
        ("note", 6, DataType::Utf8),
    ]
}

/// The columns as they are shown, a masked one with a star, or why there are none.
fn shown(allowance: &Allowance, schema: &SchemaRef, now: &SchemaRef) -> String {
    match View::of(allowance, schema, now) {
        Err(unfit) => format!("closed: {unfit}"),
        Ok(view) => view
            .schema
            .fields()
            .iter()
            .zip(&view.columns)
            .map(|(field, column)| match column.shown {
                Shown::Plain => field.name().clone(),
                Shown::Changed(_) | Shown::Computed { .. } => {
                    assert!(field.is_nullable());
                    format!("{}*", field.name())
                }
            })
            .collect::<Vec<_>>()
            .join(" "),
    }
}

#[tokio::test]
async fn the_allowance_lies_over_the_columns() {
    let (allowance, people) = (allowance(DOCUMENT).await, table(&people()));
    assert_eq!(
        shown(&allowance, &people, &people),
        "name* region age phone* note"
    );
    let view = View::of(&allowance, &people, &people).unwrap();
    assert_eq!(
        view.policy.unwrap().to_string(),
        "region = Utf8(\"eu\") AND age >= Int32(18)"
    );
}

#[tokio::test]
async fn a_renamed_column_keeps_its_policy_in_earlier_versions_and_closes_the_newest() {
    let allowance = allowance(DOCUMENT).await;
    let now = table(&people());
    // As the table was before its columns got the names that the policy knows.
    let mut earlier = people();
    (earlier[3].0, earlier[4].0) = ("telephone", "pay");
    assert_eq!(
        shown(&allowance, &table(&earlier), &now),
        "name* region age telephone* note"
    );
    // The same names with other fields behind them are not the policy's columns any more.
    let closed = shown(&allowance, &table(&earlier), &table(&earlier));
    assert!(closed.starts_with("closed: a rule names column"), "{closed}");
}

#[tokio::test]
async fn a_column_that_came_back_under_its_old_name_is_hidden_in_both_lives() {
    let allowance = allowance(DOCUMENT).await;
    let now = table(&people());
    let mut earlier = people();
    // The table had a `salary` of another field, and a column that is gone since.
    earlier[4] = ("salary", 50, DataType::Decimal128(15, 2));
    earlier.push(("gone", 51, DataType::Utf8));
    assert_eq!(
        shown(&allowance, &table(&earlier), &now),
        "name* region age phone* note"
    );
    // Two columns have changed their names: each is hidden as strictly as either.
    let mut swapped = people();
    (swapped[3].0, swapped[5].0) = ("note", "phone");
    assert_eq!(
        shown(&allowance, &table(&swapped), &now),
        "name* region age note* phone*"
    );
}

#[tokio::test]
async fn a_version_without_a_column_of_the_row_policy_is_closed() {
    let allowance = allowance(DOCUMENT).await;
    let now = table(&people());
    let mut earlier = people();
    earlier.remove(2);
    let closed = shown(&allowance, &table(&earlier), &now);
    assert!(closed.starts_with("closed"), "{closed}");
    // A column of the right name and another field is not it.
    let mut other = people();
    other[2].1 = 30;
    let closed = shown(&allowance, &table(&other), &now);
    assert!(closed.starts_with("closed"), "{closed}");
    // Nor is one of a type that the condition cannot be about.
    let mut text = people();
    text[2].2 = DataType::Utf8;
    let text = table(&text);
    let closed = shown(&allowance, &text, &text);
    assert!(closed.starts_with("closed"), "{closed}");
}
