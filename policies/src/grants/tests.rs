//! Traps of casbin 2.20 as tests, and its decisions against those of Cedar on random documents.

use super::Grants;
use crate::document::{Document, Effect, Privilege};
use crate::principal::Principal;
use crate::table_name::TableName;
use casbin::{CoreApi as _, DefaultModel, Enforcer, Model as _};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression,
};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

const DOCUMENTS: u64 = 100;
const PRINCIPALS: u64 = 10;
const REQUESTS: u64 = 100;

async fn casbin(effect: &str, rows: &[[&str; 3]]) -> casbin::Result<Enforcer> {
    let mut model = DefaultModel::default();
    model.add_def("r", "r", "sub, obj");
    model.add_def("p", "p", "sub, obj, eft");
    model.add_def("e", "e", effect);
    model.add_def("m", "m", "r.sub == p.sub && r.obj == p.obj");
    let mut enforcer = Enforcer::new(model, ()).await?;
    for row in rows {
        let row = row.map(str::to_owned).into();
        enforcer.get_mut_model().add_policy("p", "p", row);
    }
    Ok(enforcer)
}

#[tokio::test]
async fn casbin_alone_would_allow_the_empty_request_of_an_empty_policy_and_we_do_not() {
    let enforcer = casbin(super::EFFECT, &[]).await.unwrap();
    assert!(
        enforcer.enforce(("", "")).unwrap(),
        "the trap is gone: say so in the invariants"
    );
    let grants = Grants::of(&Document::default());
    let nobody = Principal::new("", BTreeSet::new());
    let court = grants.court(&nobody, &[]);
    for privilege in Privilege::ALL {
        assert!(!court.permits(privilege, &TableName::new("", "", ""), Some("")));
        assert!(!court.permits(privilege, &TableName::new("*", "*", "*"), None));
    }
    let somebody = Principal::new("x", ["".to_owned(), "*".to_owned(), "nobody".to_owned()].into());
    let court = grants.court(&somebody, &[]);
    assert!(!court.permits(Privilege::Select, &TableName::new("*", "*", "*"), None));
}

#[tokio::test]
async fn casbin_alone_passes_over_a_misspelt_deny_and_ours_cannot_be_misspelt() {
    let rows = [["a", "b", "allow"], ["a", "b", "Deny"]];
    let enforcer = casbin(super::EFFECT, &rows).await.unwrap();
    assert!(enforcer.enforce(("a", "b")).unwrap());
    let text = "[[grant]]\nname = \"g\"\nroles = [\"r\"]\nprivileges = [\"select\"]\non = [\"a\"]\neffect = \"Deny\"\n";
    assert!(Document::parse(text, Path::new("x")).is_err());
}

#[tokio::test]
async fn casbin_alone_panics_over_an_effect_that_it_does_not_know() {
    let enforcer = casbin("some(where (p.eft == yes))", &[["a", "b", "allow"]])
        .await
        .unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| enforcer.enforce(("a", "b"))));
    assert!(outcome.is_err());
}

#[test]
fn a_name_is_never_taken_for_a_star_or_a_word_of_casbin() {
    let text = "[[grant]]\nname = \"g\"\nroles = [\"caller\", \"*\"]\nprivileges = [\"select\"]\non = ['a.\"*\".\"x\"\"y\"', 'b.c.d.\"*\"']\n";
    let document = Document::parse(text, Path::new("x")).unwrap();
    let grants = Grants::of(&document);
    let may = |role: &str, table: (&str, &str, &str), column: Option<&str>| {
        let principal = Principal::new("p", [role.to_owned()].into());
        let rules = grants.rules_of(&principal, |_| true);
        let table = TableName::new(table.0, table.1, table.2);
        grants
            .court(&principal, &rules)
            .permits(Privilege::Select, &table, column)
    };
    assert!(may("caller", ("a", "*", "x\"y"), None));
    assert!(!may("caller", ("a", "b", "x\"y"), None));
    assert!(!may("other", ("a", "*", "x\"y"), None));
    assert!(may("*", ("b", "c", "d"), Some("*")));
    assert!(!may("*", ("b", "c", "d"), Some("e")));
    assert!(!may("*", ("b", "c", "d"), None));
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }

    fn some(&mut self, all: &[&'static str], least: usize) -> BTreeSet<&'static str> {
        loop {
            let found: BTreeSet<_> = all.iter().copied().filter(|_| self.below(3) == 0).collect();
            if found.len() >= least {
                return found;
            }
        }
    }

    /// A document of grants and roles over a small alphabet, so that they meet often.
    fn document(&mut self) -> String {
        let list = |words: BTreeSet<&'static str>| words.into_iter().collect::<Vec<_>>();
        let mut text = String::new();
        for (index, role) in ROLES.iter().enumerate() {
            // A role inherits later ones only: no cycles.
            let above = list(self.some(&ROLES[index + 1..], 0));
            writeln!(text, "[[role]]\nname = {role:?}\ninherits = {above:?}").unwrap();
        }
        for grant in 0..self.below(6) {
            let (roles, privileges) = (list(self.some(&ROLES, 1)), list(self.some(&PRIVILEGES, 1)));
            let parts = self.below(4) as usize + 1;
            let object: Vec<&str> = (0..parts).map(|_| self.of(&["a", "b", "*"])).collect();
            let effect = self.of(&["allow", "allow", "deny"]);
            writeln!(
                text,
                "[[grant]]\nname = \"{grant}\"\nroles = {roles:?}\nprivileges = {privileges:?}\non = [{:?}]\neffect = {effect:?}",
                object.join(".")
            )
            .unwrap();
        }
        text
    }
}

const ROLES: [&str; 5] = ["r", "s", "t", "u", "v"];
const PRIVILEGES: [&str; 5] = ["select", "metadata", "explain.full", "ingest", "admin"];

fn uid(kind: &str, name: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.parse::<EntityTypeName>().unwrap(), EntityId::new(name))
}

/// The document's grants as Cedar policies: what a pattern says becomes a condition on the resource.
fn cedar(document: &Document) -> PolicySet {
    let mut text = String::new();
    for grant in document.all_grants() {
        for role in &grant.roles {
            for privilege in &grant.privileges {
                for object in &grant.on {
                    let head = match grant.effect {
                        Effect::Allow => "permit",
                        Effect::Deny => "forbid",
                    };
                    let [catalog, schema, table] = object.table().parts();
                    let parts = [
                        ("catalog", catalog),
                        ("schema", schema),
                        ("table", table),
                        ("column", object.column()),
                    ];
                    let conditions: Vec<String> = parts
                        .iter()
                        .filter_map(|(attribute, part)| match part {
                            super::Part::Any => None,
                            super::Part::Exactly(name) => Some(format!(
                                "resource has {attribute} && resource.{attribute} == {name:?}"
                            )),
                        })
                        .collect();
                    let when = match conditions.is_empty() {
                        true => "true".to_owned(),
                        false => conditions.join(" && "),
                    };
                    writeln!(
                        text,
                        "{head}(principal in Role::{role:?}, action == Action::{:?}, resource) when {{ {when} }};",
                        privilege.name()
                    )
                    .unwrap();
                }
            }
        }
    }
    text.parse().unwrap()
}

fn roles(document: &Document) -> Vec<Entity> {
    let parents = |names: &BTreeSet<String>| -> HashSet<EntityUid> {
        names.iter().map(|name| uid("Role", name)).collect()
    };
    document
        .roles
        .iter()
        .map(|role| Entity::new_no_attrs(uid("Role", &role.name), parents(&role.inherits)))
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test that failed is run again with its seed"
)]
fn seed() -> u64 {
    match std::env::var("LAKEGATE_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_nanos() as u64,
    }
}

#[test]
fn casbin_and_cedar_decide_alike() {
    let seed = seed();
    let mut random = Random(seed);
    let (mut decisions, mut allowed) = (0_u64, 0_u64);
    let authorizer = Authorizer::new();
    for _ in 0..DOCUMENTS {
        let text = random.document();
        let document = Document::parse(&text, Path::new("random")).unwrap();
        let (grants, policies) = (Grants::of(&document), cedar(&document));
        for _ in 0..PRINCIPALS {
            let held: BTreeSet<String> = random.some(&ROLES, 0).into_iter().map(str::to_owned).collect();
            let principal = Principal::new("p", held.clone());
            let court = grants.court(&principal, &grants.rules_of(&principal, |_| true));
            let parents = held.iter().map(|role| uid("Role", role)).collect();
            let mut known = roles(&document);
            known.push(Entity::new_no_attrs(uid("User", "p"), parents));
            let known = Entities::from_entities(known, None).unwrap();
            for _ in 0..REQUESTS {
                let name = [0, 1, 2].map(|_| random.of(&["a", "b", "c"]));
                let column = Some(random.of(&["a", "b", "c", ""])).filter(|column| !column.is_empty());
                let privilege = Privilege::ALL[random.below(5) as usize];
                let mut attributes: HashMap<String, RestrictedExpression> = ["catalog", "schema", "table"]
                    .into_iter()
                    .zip(name)
                    .map(|(key, value)| (key.to_owned(), RestrictedExpression::new_string(value.to_owned())))
                    .collect();
                if let Some(column) = column {
                    let column = RestrictedExpression::new_string(column.to_owned());
                    attributes.insert("column".to_owned(), column);
                }
                let object = Entity::new(uid("Object", "o"), attributes, HashSet::new()).unwrap();
                let entities = known.clone().add_entities([object], None).unwrap();
                let request = Request::new(
                    uid("User", "p"),
                    uid("Action", privilege.name()),
                    uid("Object", "o"),
                    Context::empty(),
                    None,
                )
                .unwrap();
                let theirs = authorizer
                    .is_authorized(&request, &policies, &entities)
                    .decision()
                    == Decision::Allow;
                let table = TableName::new(name[0], name[1], name[2]);
                let ours = court.permits(privilege, &table, column);
                assert_eq!(
                    ours, theirs,
                    "seed {seed}: {held:?} {privilege:?} {table} {column:?}\n{text}"
                );
                decisions += 1;
                allowed += u64::from(ours);
            }
        }
    }
    // Written past the capture of the test's output: `make test` shows it.
    let line = format!(
        "casbin and cedar: {decisions} decisions, {allowed} of them allow, 0 disagreements (seed {seed})\n"
    );
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
    assert!(
        decisions == DOCUMENTS * PRINCIPALS * REQUESTS && allowed > decisions / 50,
        "{allowed}"
    );
}
