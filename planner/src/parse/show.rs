//! SHOW statements, answered from the information schema so that they list what a SELECT on it would list.

use datafusion::sql::sqlparser::ast::{
    Ident, ShowStatementFilter, ShowStatementFilterPosition, ShowStatementOptions, Statement,
};

use super::{Body, literal, trusted};
use crate::error::{Error, Result};

/// The query that a SHOW statement stands for; none when the statement is no SHOW that is known.
pub(super) fn rewrite(statement: &Statement) -> Result<Option<Body>> {
    match statement {
        Statement::ShowTables { show_options, .. } => listing(
            "SELECT table_catalog, table_schema, table_name, table_type FROM information_schema.tables",
            "table_schema <> 'information_schema'",
            ("table_schema", "table_name"),
            show_options,
        ),
        Statement::ShowViews { show_options, .. } => listing(
            "SELECT table_catalog, table_schema, table_name FROM information_schema.tables",
            "table_type = 'VIEW' AND table_schema <> 'information_schema'",
            ("table_schema", "table_name"),
            show_options,
        ),
        Statement::ShowSchemas { show_options, .. } | Statement::ShowDatabases { show_options, .. } => {
            listing(
                "SELECT catalog_name, schema_name FROM information_schema.schemata",
                "true",
                ("catalog_name", "schema_name"),
                show_options,
            )
        }
        Statement::ShowCatalogs { show_options, .. } => listing(
            "SELECT catalog_name FROM information_schema.catalogs",
            "true",
            ("catalog_name", "catalog_name"),
            show_options,
        ),
        Statement::ShowColumns { show_options, .. } => match &show_options.show_in {
            Some(place) => match &place.parent_name {
                Some(name) => Ok(Some(Body::Describe(name.clone()))),
                None => Err(Error::invalid("SHOW COLUMNS takes FROM and a table")),
            },
            None => Err(Error::invalid("SHOW COLUMNS takes FROM and a table")),
        },
        _ => Ok(None),
    }
}

/// `SHOW name`, `SHOW ALL`.
pub(super) fn variable(words: &[Ident]) -> Result<Body> {
    let name = words
        .iter()
        .map(|word| word.value.to_lowercase())
        .collect::<Vec<_>>()
        .join(" ");
    // The words of a name with a dot come without it.
    let name = name.replace("lakegate ", "lakegate.");
    if name == "all" || name.is_empty() {
        return Ok(Body::ShowSetting(None));
    }
    Ok(Body::ShowSetting(Some(super::settings::known(&name)?)))
}

fn listing(
    select: &str,
    condition: &str,
    (place, name): (&str, &str),
    options: &ShowStatementOptions,
) -> Result<Option<Body>> {
    let mut sql = format!("{select} WHERE {condition}");
    if let Some(parent) = options
        .show_in
        .as_ref()
        .and_then(|place| place.parent_name.as_ref())
    {
        let last = parent
            .0
            .last()
            .map(|part| part.to_string().replace('"', ""))
            .unwrap_or_default();
        sql.push_str(&format!(" AND {place} = {}", literal(&last)));
    }
    match &options.filter_position {
        Some(ShowStatementFilterPosition::Infix(filter) | ShowStatementFilterPosition::Suffix(filter)) => {
            match filter {
                ShowStatementFilter::Like(pattern) => {
                    sql.push_str(&format!(" AND {name} LIKE {}", literal(pattern)))
                }
                ShowStatementFilter::ILike(pattern) => {
                    sql.push_str(&format!(" AND {name} ILIKE {}", literal(pattern)))
                }
                _ => {
                    return Err(Error::Unsupported {
                        what: "SHOW with a filter other than LIKE".to_owned(),
                    });
                }
            }
        }
        None => {}
    }
    let columns = select
        .split(" FROM ")
        .next()
        .map_or(1, |columns| columns.split(',').count());
    let positions: Vec<String> = (1..=columns).map(|position| position.to_string()).collect();
    sql.push_str(&format!(" ORDER BY {}", positions.join(", ")));
    trusted(&sql).map(Some)
}
