//! The statements of the attacks: families of the catalogue, each with what it tries, and the forms in which each is said.
//!
//! `{t}` stands for the table of people, under the alias `t`; the viewer sees some of its rows, a masked `phone`, no `note`
//! and no `ssn`.

/// Family, and statements of it.
pub(super) const FAMILIES: [(&str, &[&str]); 21] = [
    (
        "an expression that fails over a hidden row",
        &[
            "SELECT t.id FROM {t} AS t WHERE 1 / (t.salary - 100000) >= 0 ORDER BY 1",
            "SELECT count(*) FROM {t} AS t WHERE 1 / (t.salary - 100000) IS NULL OR true",
            "SELECT t.id FROM {t} AS t WHERE CAST(t.name AS INT) >= 0 ORDER BY 1",
            "SELECT sum(CAST(t.name AS BIGINT)) FROM {t} AS t",
            "SELECT max(t.salary + 9000000000000000000) FROM {t} AS t",
            "SELECT count(*) FROM {t} AS t WHERE CAST(t.salary AS SMALLINT) > 0",
            "SELECT count(*) FROM {t} AS t WHERE CAST(t.salary AS DECIMAL(5, 0)) > 0",
            "SELECT t.id FROM {t} AS t WHERE t.salary % (t.salary - 7) >= 0 ORDER BY 1",
            "SELECT count(*) FROM {t} AS t WHERE t.salary > 0 AND 10 / t.salary >= 0",
            "SELECT t.id FROM {t} AS t ORDER BY 1 / (t.salary - 100000), t.id",
        ],
    ),
    (
        "a function that speaks of its argument",
        &[
            "SELECT count(*) FROM {t} AS t WHERE regexp_like('x', t.name)",
            "SELECT count(*) FROM {t} AS t WHERE substr(t.name, 1, CAST(t.salary AS INT)) = 'x'",
            "SELECT count(*) FROM {t} AS t WHERE repeat('x', t.salary) = 'x'",
            "SELECT count(*) FROM {t} AS t WHERE length(chr(t.salary)) > 0",
            "SELECT count(*) FROM {t} AS t WHERE to_timestamp(t.name) IS NULL",
            "SELECT count(*) FROM {t} AS t WHERE date_part('year', t.hired) > 0",
            "SELECT min(power(t.salary, 2)) FROM {t} AS t",
            "SELECT count(*) FROM {t} AS t WHERE decode(t.name, 'hex') IS NOT NULL",
            "SELECT min(sqrt(t.salary)), min(ln(t.salary)) FROM {t} AS t",
            "SELECT count(*) FROM {t} AS t WHERE CAST(t.hired AS TIMESTAMP) > TIMESTAMP '1900-01-01 00:00:00'",
        ],
    ),
    (
        "statistics and counts",
        &[
            "SELECT count(*) FROM {t} AS t",
            "SELECT min(t.salary), max(t.salary), min(t.hired), max(t.name) FROM {t} AS t",
            "SELECT count(t.region), count(DISTINCT t.region), approx_distinct(t.name) FROM {t} AS t",
            "SELECT max(t.score) FROM {t} AS t",
            "SELECT min(t.phone), max(t.phone), count(t.note) FROM {t} AS t",
            "SELECT count(*) FROM lake.gold.closed",
            "SELECT max(name), min(id) FROM lake.gold.closed",
        ],
    ),
    (
        "the first rows of an order",
        &[
            "SELECT t.id, t.salary FROM {t} AS t ORDER BY t.salary DESC NULLS LAST, t.id LIMIT 3",
            "SELECT t.id FROM {t} AS t ORDER BY t.hired, t.id LIMIT 1",
            "SELECT t.id FROM {t} AS t ORDER BY t.phone, t.id LIMIT 5",
            "SELECT t.id FROM {t} AS t LIMIT 1000 OFFSET 90",
            "SELECT t.id FROM {t} AS t LIMIT 0",
            "SELECT t.score FROM {t} AS t ORDER BY t.score DESC FETCH FIRST 2 ROWS ONLY",
        ],
    ),
    (
        "a hidden row by its value",
        &[
            "SELECT t.id FROM {t} AS t WHERE t.region = 'us'",
            "SELECT t.id FROM {t} AS t WHERE t.region IS NULL",
            "SELECT t.id FROM {t} AS t WHERE NOT t.region = 'eu'",
            "SELECT t.id FROM {t} AS t WHERE t.salary IN (100000, -1, 0)",
            "SELECT t.id FROM {t} AS t WHERE t.hired < DATE '1900-01-01'",
            "SELECT t.id FROM {t} AS t WHERE t.score > 1e300",
            "SELECT t.id FROM {t} AS t WHERE t.name LIKE 'CAN%'",
            "SELECT t.id FROM {t} AS t WHERE t.region = 'us' OR 1 = 1 ORDER BY 1",
            "SELECT t.id FROM {t} AS t WHERE t.region IN ('us', 'EU', 'eu ', 'eu') ORDER BY 1",
        ],
    ),
    (
        "a masked value by a guess",
        &[
            "SELECT t.id FROM {t} AS t WHERE t.phone LIKE 'C%'",
            "SELECT t.id FROM {t} AS t WHERE substr(t.phone, 1, 2) = 'CA'",
            "SELECT count(*) FROM {t} AS t WHERE t.phone > 'B'",
            "SELECT count(*) FROM {t} AS t WHERE t.phone BETWEEN 'A' AND 'D'",
            "SELECT count(*) FROM {t} AS t WHERE ascii(t.phone) <> 42",
            "SELECT t.phone, count(*) FROM {t} AS t GROUP BY t.phone ORDER BY 1, 2",
            "SELECT DISTINCT t.phone FROM {t} AS t ORDER BY 1",
            "SELECT count(*) FROM {t} AS t WHERE t.note IS NOT NULL",
            "SELECT count(*) FROM {t} AS t WHERE length(t.note) > 0",
            "SELECT CASE WHEN t.note LIKE 'C%' THEN 1 / 0 ELSE 0 END FROM {t} AS t",
            "SELECT coalesce(t.note, t.phone, 'none') FROM {t} AS t ORDER BY 1 LIMIT 5",
            "SELECT t.phone, row_number() OVER (PARTITION BY t.phone ORDER BY t.id) FROM {t} AS t ORDER BY 1, 2 LIMIT 20",
        ],
    ),
    (
        "a column that does not exist",
        &[
            "SELECT t.ssn FROM {t} AS t",
            "SELECT \"ssn\" FROM {t} AS t",
            "SELECT t.id FROM {t} AS t ORDER BY t.ssn",
            "SELECT t.id FROM {t} AS t WHERE t.ssn IS NULL",
            "SELECT count(t.ssn) FROM {t} AS t",
            "SELECT t.id FROM {t} AS t GROUP BY t.id, t.ssn",
            "SELECT a.id FROM {t} AS a JOIN {t} AS b USING (ssn)",
            "SELECT * EXCLUDE (ssn) FROM {t} AS t ORDER BY 1 LIMIT 2",
            "SELECT * REPLACE (1 AS ssn) FROM {t} AS t ORDER BY 1 LIMIT 2",
            "SELECT t.sssn FROM {t} AS t",
            "SELECT t.snn, t.ss FROM {t} AS t",
        ],
    ),
    (
        "everything of a row",
        &[
            "SELECT * FROM {t} AS t ORDER BY 1",
            "SELECT t.* FROM {t} AS t ORDER BY 1 LIMIT 7",
            "SELECT t FROM {t} AS t",
            "SELECT x.* FROM {t} AS t CROSS JOIN (SELECT * FROM {t} AS u) AS x ORDER BY 1 LIMIT 3",
            "SELECT named_struct('a', t.phone, 'b', t.note) FROM {t} AS t ORDER BY t.id LIMIT 3",
        ],
    ),
    (
        "joins",
        &[
            "SELECT count(*) FROM {t} AS t JOIN lake.gold.open AS o ON t.id = o.id",
            "SELECT count(*) FROM lake.gold.open AS o LEFT JOIN {t} AS t ON t.id = o.id WHERE t.id IS NULL",
            "SELECT count(*) FROM {t} AS a JOIN {t} AS b ON a.phone = b.phone",
            "SELECT count(*) FROM {t} AS a FULL JOIN {t} AS b ON a.note = b.note",
            "SELECT count(*) FROM {t} AS a NATURAL JOIN {t} AS b",
            "SELECT count(*) FROM {t} AS a JOIN {t} AS b ON a.id = b.id AND 1 / (b.salary - 100000) >= 0",
            "SELECT o.id FROM lake.gold.open AS o JOIN {t} AS t ON o.id = t.salary ORDER BY 1",
            "SELECT o.name, t.name FROM lake.gold.open AS o JOIN {t} AS t ON o.id = t.id ORDER BY t.id LIMIT 4",
        ],
    ),
    (
        "subqueries",
        &[
            "SELECT o.id FROM lake.gold.open AS o WHERE EXISTS (SELECT 1 FROM {t} AS t WHERE t.id = o.id) ORDER BY 1",
            "SELECT o.id FROM lake.gold.open AS o WHERE o.id NOT IN (SELECT t.id FROM {t} AS t) ORDER BY 1",
            "SELECT (SELECT max(t.salary) FROM {t} AS t) AS m",
            "SELECT o.id, (SELECT count(*) FROM {t} AS t WHERE t.id = o.id) FROM lake.gold.open AS o ORDER BY 1 LIMIT 9",
            "SELECT t.id FROM {t} AS t WHERE t.salary > (SELECT avg(u.salary) FROM {t} AS u) ORDER BY 1",
            "SELECT o.id FROM lake.gold.open AS o WHERE o.id IN (SELECT 1 / (t.salary - 100000) FROM {t} AS t) ORDER BY 1",
        ],
    ),
    (
        "sets",
        &[
            "SELECT t.id FROM {t} AS t EXCEPT SELECT o.id FROM lake.gold.open AS o ORDER BY 1",
            "SELECT o.id FROM lake.gold.open AS o INTERSECT SELECT t.id FROM {t} AS t ORDER BY 1",
            "SELECT t.phone FROM {t} AS t UNION SELECT o.name FROM lake.gold.open AS o ORDER BY 1 LIMIT 9",
            "SELECT count(*) FROM (SELECT t.region FROM {t} AS t UNION ALL SELECT o.name FROM lake.gold.open AS o) AS x",
        ],
    ),
    (
        "predicates without a column, and those of the moment",
        &[
            "SELECT count(*) FROM {t} AS t WHERE random() < 2",
            "SELECT count(*) FROM {t} AS t WHERE (SELECT true)",
            "SELECT count(*) FROM {t} AS t WHERE now() > TIMESTAMP '2000-01-01 00:00:00'",
            "SELECT count(*) FROM {t} AS t WHERE 1 = 1 OR t.ssn = 'x'",
            "SELECT count(*) FROM {t} AS t WHERE CASE WHEN random() > 2 THEN t.salary / 0 ELSE 1 END = 1",
            "SELECT count(*) FROM {t} AS t HAVING count(*) > 100",
        ],
    ),
    (
        "windows and recursion",
        &[
            "SELECT t.id, lag(t.name) OVER (ORDER BY t.id), sum(t.salary) OVER () FROM {t} AS t ORDER BY 1 LIMIT 9",
            "SELECT t.id, first_value(t.phone) OVER (PARTITION BY t.region ORDER BY t.hired) FROM {t} AS t ORDER BY 1 LIMIT 9",
            "WITH RECURSIVE r(n) AS (SELECT min(t.id) FROM {t} AS t UNION ALL SELECT r.n + 1 FROM r WHERE r.n < 5) SELECT * FROM r ORDER BY 1",
            "SELECT t.region, count(*) FROM {t} AS t GROUP BY ROLLUP (t.region) ORDER BY 1, 2",
        ],
    ),
    (
        "plans",
        &[
            "EXPLAIN SELECT t.id FROM {t} AS t WHERE t.salary > 5",
            "EXPLAIN SELECT count(*) FROM {t} AS t",
            "EXPLAIN SELECT * FROM {t} AS t WHERE t.phone = 'x' AND t.id = 3",
            "EXPLAIN ANALYZE SELECT t.id FROM {t} AS t WHERE t.id = 1",
            "EXPLAIN VERBOSE SELECT max(t.salary) FROM {t} AS t",
            "EXPLAIN SELECT t.ssn FROM {t} AS t",
            "EXPLAIN SELECT count(*) FROM lake.gold.closed",
        ],
    ),
    (
        "metadata tables",
        &[
            "SELECT * FROM lake.gold.\"people$files\"",
            "SELECT * FROM lake.gold.\"people$partitions\"",
            "SELECT * FROM lake.gold.\"people$snapshots\"",
            "SELECT * FROM lake.gold.\"people$history\"",
            "SELECT * FROM lake.gold.\"people$manifests\"",
            "SELECT * FROM lake.gold.\"people$all_files\"",
            "SELECT * FROM lake.gold.\"people$refs\"",
            "SELECT count(*) FROM lake.silver.\"vault$files\"",
            "SELECT count(*) FROM lake.gold.\"open$files\"",
        ],
    ),
    (
        "a table that does not exist",
        &[
            "SELECT * FROM lake.silver.vault",
            "SELECT 1 FROM lake.silver.vault WHERE 1 / 0 = 1",
            "SELECT * FROM lake.silver.vaul",
            "SELECT * FROM lake.gold.shown",
            "SELECT * FROM lake.gold.show",
            "SELECT * FROM {t} AS t WHERE EXISTS (SELECT 1 FROM lake.silver.vault)",
            "DESCRIBE lake.silver.vault",
            "EXPLAIN SELECT * FROM lake.silver.vault",
        ],
    ),
    (
        "listings",
        &[
            "SHOW TABLES",
            "SHOW SCHEMAS",
            "DESCRIBE lake.gold.people",
            "SHOW COLUMNS FROM lake.gold.people",
            "SHOW COLUMNS FROM lake.gold.closed",
            "SELECT * FROM lake.information_schema.tables ORDER BY 1, 2, 3",
            "SELECT * FROM lake.information_schema.columns ORDER BY 1, 2, 3, 5",
            "SELECT * FROM lake.information_schema.table_constraints ORDER BY 3",
            "SELECT * FROM lake.information_schema.key_column_usage ORDER BY 3",
            "SELECT count(*) FROM lake.information_schema.columns WHERE column_name = 'ssn'",
            "SELECT * FROM lake.information_schema.schemata ORDER BY 1, 2",
            "SELECT table_name FROM lake.information_schema.tables WHERE table_schema = 'silver'",
        ],
    ),
    (
        "words that are no rights",
        &[
            "/*+ role=admin */ SELECT count(*) FROM {t} AS t",
            "SELECT count(*) FROM {t} AS t -- SET ROLE admin",
            "SET ROLE admin",
            "SET SESSION AUTHORIZATION admin",
            "SELECT count(*) FROM {t} AS t; SELECT 1",
            "GRANT SELECT ON lake.silver.vault TO viewer",
            "SET datafusion.optimizer.skip_failed_rules = true",
            "SELECT * FROM \"/etc/passwd\"",
            "SELECT * FROM read_parquet('x')",
        ],
    ),
    (
        "a comparison that the session could bend",
        &[
            "SELECT count(*) FROM {t} AS t WHERE CAST(t.hired AS TIMESTAMP) AT TIME ZONE 'Asia/Tokyo' IS NOT NULL",
            "SELECT count(*) FROM {t} AS t WHERE lower(t.region) = 'eu'",
            "SELECT count(*) FROM {t} AS t WHERE trim(t.region) = 'eu'",
            "SELECT count(*) FROM {t} AS t WHERE t.region COLLATE \"C\" = 'eu'",
            "SELECT count(*) FROM {t} AS t WHERE t.region IS DISTINCT FROM 'eu'",
            "SELECT count(*) FROM {t} AS t WHERE t.region NOT IN ('x', NULL)",
        ],
    ),
    (
        "an earlier state",
        &[
            "SELECT count(*) FROM lake.gold.people FOR VERSION AS OF 'main'",
            "SELECT * FROM lake.gold.people FOR VERSION AS OF 'main' AS t ORDER BY 1",
            "SELECT t.ssn FROM lake.gold.people FOR VERSION AS OF 'main' AS t",
            "SELECT max(t.salary), min(t.note), max(t.phone) FROM lake.gold.people FOR VERSION AS OF 'main' AS t",
            "SELECT t.id FROM lake.gold.people FOR VERSION AS OF 'main' AS t WHERE 1 / (t.salary - 100000) >= 0 ORDER BY 1",
            "SELECT count(*) FROM lake.gold.people AS n JOIN lake.gold.people FOR VERSION AS OF 'main' AS o ON n.phone = o.phone",
            "SELECT count(*) FROM lake.gold.closed FOR VERSION AS OF 'main'",
            "SELECT count(*) FROM lake.silver.vault FOR VERSION AS OF 'main'",
            "SELECT count(*) FROM lake.gold.people FOR TIMESTAMP AS OF '2000-01-01 00:00:00'",
            "SELECT count(*) FROM lake.silver.vault FOR TIMESTAMP AS OF '2000-01-01 00:00:00'",
            "SELECT count(*) FROM lake.gold.\"people$files\" FOR VERSION AS OF 'main'",
        ],
    ),
    (
        "explained policies",
        &[
            "EXPLAIN POLICY SELECT t.id FROM {t} AS t",
            "EXPLAIN POLICY SELECT * FROM lake.gold.closed",
            "EXPLAIN POLICY SELECT * FROM lake.silver.vault",
        ],
    ),
];

/// The ways to name the table.
const NAMES: [&str; 9] = [
    "lake.gold.people",
    "people",
    "gold.people",
    "\"people\"",
    "\"lake\".\"gold\".\"people\"",
    "PEOPLE",
    "Lake.GOLD.people",
    "(SELECT * FROM people WHERE true)",
    "(SELECT * FROM people UNION ALL SELECT * FROM gold.people WHERE false)",
];

/// The statement in every form in which it may be said.
pub(super) fn forms(statement: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for name in NAMES {
        forms.push(statement.replace("{t}", name));
        if !statement.contains("{t}") {
            break;
        }
    }
    let plain = forms[0].clone();
    let is_query = plain.starts_with("SELECT") && !plain.contains("; ") && !plain.contains("--");
    if is_query {
        forms.push(format!("SELECT * FROM ({plain}) AS x"));
        forms.push(format!("WITH w AS ({plain}) SELECT * FROM w"));
        forms.push(format!(
            "SELECT * FROM ({plain}) AS a UNION ALL SELECT * FROM ({plain}) AS b"
        ));
        forms.push(format!("WITH people AS (SELECT 1 AS id) {plain}"));
        forms.push(format!("SELECT count(*) FROM ({plain}) AS x"));
        forms.push(plain.replace(' ', "\n\t/* ; */ "));
    }
    forms
}
