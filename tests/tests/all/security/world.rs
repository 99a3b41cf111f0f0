//! Lakes that differ only in what the viewer may not see.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use iceberg::spec::PrimitiveType;
use ingest::{Column, Contract, Zone};
use tests::lake::key;
use tests::{Gateway, Lake, Postgres};

/// Begins every value that is hidden.
pub(super) const CANARY: &str = "CANARY";

/// What the viewer may see: of `people` the rows of the EU, the end of a telephone number, no note, and no `ssn`.
const POLICIES: &str = r#"
row_secured = ["lake.gold.closed"]

[[grant]]
name = "admins do everything"
roles = ["admin"]
privileges = ["select", "metadata", "explain.full", "admin"]
on = ["*"]

[[grant]]
name = "viewers read gold"
roles = ["viewer"]
privileges = ["select"]
on = ["lake.gold", "pg.public.people"]

[[grant]]
name = "but not the copy that tests compare with"
roles = ["viewer"]
privileges = ["select"]
on = ["lake.gold.shown"]
effect = "deny"

[[filter]]
name = "viewers see the EU"
roles = ["viewer"]
on = ["lake.gold.people", "pg.public.people"]
where = "region = 'eu'"

[[filter]]
name = "admins see all"
roles = ["admin"]
on = ["lake.gold.people", "lake.gold.closed", "pg.public.people"]
where = "TRUE"

[[mask]]
name = "the end of a telephone number"
roles = ["viewer"]
on = ["lake.gold.people.phone", "pg.public.people.phone"]
kind = "partial"
last = 4

[[mask]]
name = "no note"
roles = ["viewer"]
on = ["lake.gold.people.note", "pg.public.people.note"]
kind = "null"

[[mask]]
name = "no number"
roles = ["viewer"]
on = ["lake.gold.people.ssn", "pg.public.people.ssn"]
kind = "deny"
"#;

/// A lake behind a gateway that gives batches in one order.
pub(super) struct World {
    /// Ends with the gateway, not before it.
    _lake: Lake,
    pub(super) gateway: Gateway,
}

impl World {
    /// The world of this number. Whatever is hidden depends on the number, and nothing else does.
    pub(super) async fn make(number: i64) -> Self {
        Self::make_with(number, &[("planner.cache.bytes", "0")]).await
    }

    /// As [`World::make`], where rows that were made before answer again. In the others every door makes its own.
    pub(super) async fn keeping(number: i64) -> Self {
        Self::make_with(number, &[]).await
    }

    /// As [`World::make`], with the same people in a Postgres server beside, as `pg.public.people`, to which sessions hand
    /// down what `pushdown` says.
    pub(super) async fn beside(number: i64, server: &Postgres, pushdown: &str) -> Self {
        server.run(&people_statements(number), "").expect("a table");
        let settings = [
            ("planner.cache.bytes", "0"),
            ("session.pushdown", pushdown),
            ("planner.sources.pg.kind", "postgres"),
            ("planner.sources.pg.url", server.url.as_str()),
            ("planner.sources.pg.tls", "disable"),
        ];
        Self::make_with(number, &settings).await
    }

    async fn make_with(number: i64, more: &[(&str, &str)]) -> Self {
        let lake = Lake::create().await.expect("a lake");
        let people = contract(Zone::Gold, "people", &["id"], true);
        let batch = people_rows(number);
        lake.append_batch(&people, batch).await.expect("rows");
        let shown = contract(Zone::Gold, "shown", &["id"], false);
        lake.append_batch(&shown, shown_rows()).await.expect("rows");
        lake.append(Zone::Gold, "open", 0..200).await.expect("rows");
        let hidden = [("closed", Zone::Gold), ("vault", Zone::Silver)];
        for (name, zone) in hidden {
            let words = match number {
                0 => |id: i64| format!("{CANARY}-0-{id}"),
                _ => |id: i64| format!("{CANARY}-1-{id}"),
            };
            let rows = 0..(20 + number * 7);
            lake.append_named(zone, name, rows, words).await.expect("rows");
        }
        lake.set_policies(POLICIES).expect("policies");
        let mut settings = vec![("planner.threads", "1"), ("limits.principal_queries_max", "64")];
        settings.extend(more);
        let gateway = lake.gateway_with(&[&key(1)], &settings).expect("a gateway");
        Self { _lake: lake, gateway }
    }
}

fn contract(zone: Zone, name: &str, key: &[&str], with_ssn: bool) -> Contract {
    let text = |name: &str| Column::optional(name, PrimitiveType::String, "of a test");
    let mut columns = vec![
        Column::required("id", PrimitiveType::Long, "the number of the row"),
        text("region"),
        text("name"),
        Column::optional("salary", PrimitiveType::Long, "of a test"),
    ];
    columns.extend(with_ssn.then(|| text("ssn")));
    columns.extend([
        text("phone"),
        Column::optional("hired", PrimitiveType::Date, "of a test"),
        text("note"),
        Column::optional("score", PrimitiveType::Double, "of a test"),
    ]);
    let contract = Contract::new(zone, name, "rows of a test", columns).expect("a contract");
    contract.with_key(key).expect("a key")
}

/// One person. Whoever is shown has a name that is a number, a salary that is no round one, and so on, so that an
/// expression which fails fails over a hidden row.
struct Person {
    id: i64,
    region: Option<&'static str>,
    name: Option<String>,
    salary: Option<i64>,
    ssn: String,
    phone: Option<String>,
    hired: i32,
    note: String,
    score: f64,
}

/// Rows that are shown.
const SHOWN: i64 = 100;

fn people(world: i64) -> Vec<Person> {
    let shown = (0..SHOWN).map(|id| Person {
        id: id * 3,
        region: Some("eu"),
        name: (id % 11 != 0).then(|| (id % 40).to_string()),
        salary: (id % 7 != 0).then_some(1_000 + (id * 37) % 900),
        ssn: format!("{CANARY}-{world}-ssn-{id}"),
        // What is masked differs between the worlds, what is left does not.
        phone: (id % 9 != 0).then(|| format!("{CANARY}{world}-{:04}", (id * 13) % 50)),
        hired: 18_000 + (id as i32 * 11) % 900,
        note: format!("{CANARY}-{world}-note-{id}"),
        score: (id as f64) / 8.0,
    });
    let hidden = (0..(60 + world * 35)).map(move |id| Person {
        id: id * 3 + 1 + world,
        region: [Some("us"), None, Some("EU"), Some("eu ")][(id % 4) as usize],
        name: Some(format!("{CANARY}-{world}-({id}[")),
        salary: Some([100_000, i64::MAX, -1, 0, 7 + world][(id % 5) as usize]),
        ssn: format!("{CANARY}-{world}-hidden-{id}"),
        phone: Some(format!("{CANARY}{world}-9{id:03}")),
        hired: -400_000 - id as i32,
        note: format!("{CANARY}-{world}-hidden-note-{id}"),
        score: f64::INFINITY,
    });
    // Hidden rows stand among those that are shown.
    let mut all: Vec<Person> = shown.chain(hidden).collect();
    all.sort_by_key(|person| (person.id * 7919) % 1009);
    all
}

fn people_rows(world: i64) -> RecordBatch {
    let people = people(world);
    let texts = |of: fn(&Person) -> Option<String>| -> ArrayRef {
        Arc::new(people.iter().map(of).collect::<StringArray>())
    };
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        (
            "id",
            Arc::new(Int64Array::from_iter_values(
                people.iter().map(|person| person.id),
            )),
            false,
        ),
        ("region", texts(|person| person.region.map(str::to_owned)), true),
        ("name", texts(|person| person.name.clone()), true),
        (
            "salary",
            Arc::new(people.iter().map(|person| person.salary).collect::<Int64Array>()),
            true,
        ),
        ("ssn", texts(|person| Some(person.ssn.clone())), true),
        ("phone", texts(|person| person.phone.clone()), true),
        (
            "hired",
            Arc::new(
                people
                    .iter()
                    .map(|person| Some(person.hired))
                    .collect::<Date32Array>(),
            ),
            true,
        ),
        ("note", texts(|person| Some(person.note.clone())), true),
        (
            "score",
            Arc::new(
                people
                    .iter()
                    .map(|person| Some(person.score))
                    .collect::<Float64Array>(),
            ),
            true,
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).expect("a batch")
}

/// The statements that make the table in Postgres, and a view over it.
fn people_statements(world: i64) -> String {
    let text = |value: &Option<String>| {
        value
            .as_ref()
            .map_or("NULL".to_owned(), |text| format!("'{text}'"))
    };
    let rows: Vec<String> = people(world)
        .iter()
        .map(|person| {
            format!(
                "({}, {}, {}, {}, '{}', {}, DATE '1970-01-01' + ({}), '{}', '{}')",
                person.id,
                text(&person.region.map(str::to_owned)),
                text(&person.name),
                person
                    .salary
                    .map_or("NULL".to_owned(), |salary| salary.to_string()),
                person.ssn,
                text(&person.phone),
                person.hired,
                person.note,
                person.score
            )
        })
        .collect();
    format!(
        "CREATE TABLE people (id bigint PRIMARY KEY, region text, name text, salary bigint, ssn text, phone text, \
         hired date, note text, score float8); INSERT INTO people VALUES {}; \
         CREATE VIEW everybody AS SELECT * FROM people; ANALYZE",
        rows.join(", ")
    )
}

/// What the viewer sees of `people`, written by hand.
fn shown_rows() -> RecordBatch {
    let mut people: Vec<Person> = people(0);
    people.retain(|person| person.region == Some("eu"));
    let texts = |of: fn(&Person) -> Option<String>| -> ArrayRef {
        Arc::new(people.iter().map(of).collect::<StringArray>())
    };
    let covered = |person: &Person| {
        let phone = person.phone.as_ref()?;
        let hidden = phone.chars().count() - 4;
        Some("*".repeat(hidden) + &phone[hidden..])
    };
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        (
            "id",
            Arc::new(Int64Array::from_iter_values(
                people.iter().map(|person| person.id),
            )),
            false,
        ),
        ("region", texts(|person| person.region.map(str::to_owned)), true),
        ("name", texts(|person| person.name.clone()), true),
        (
            "salary",
            Arc::new(people.iter().map(|person| person.salary).collect::<Int64Array>()),
            true,
        ),
        ("phone", texts(covered), true),
        (
            "hired",
            Arc::new(
                people
                    .iter()
                    .map(|person| Some(person.hired))
                    .collect::<Date32Array>(),
            ),
            true,
        ),
        ("note", texts(|_| None), true),
        (
            "score",
            Arc::new(
                people
                    .iter()
                    .map(|person| Some(person.score))
                    .collect::<Float64Array>(),
            ),
            true,
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).expect("a batch")
}
