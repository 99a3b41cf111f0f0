//! GetSqlInfo: every code that Flight SQL defines (0-11, 100, 101, 500-576), each of the type that the drivers cast to.
//!
//! The JDBC driver puts every code of an answer into an enum map, so one unknown code breaks all metadata; and before
//! version 19 a missing code was a null pointer. Hence all of them, and none of our own.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{
    CommandGetSqlInfo, SqlInfo, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity,
    SqlSupportedGroupBy, SqlSupportedSubqueries, SqlSupportedTransaction, SqlSupportedUnions,
    SqlTransactionIsolationLevel, SupportedSqlGrammar,
};

use crate::error::{Error, Result};

mod words;

static FACTS: LazyLock<std::result::Result<SqlInfoData, String>> =
    LazyLock::new(|| facts().build().map_err(|error| error.to_string()));

/// The columns of the answer.
pub(super) fn schema() -> SchemaRef {
    FACTS
        .as_ref()
        .map_or_else(|_| arrow::datatypes::Schema::empty().into(), SqlInfoData::schema)
}

/// The facts asked for by number, or all.
pub(super) fn rows(request: &CommandGetSqlInfo) -> Result<RecordBatch> {
    let facts = FACTS.as_ref().map_err(|message| Error::Internal {
        message: message.clone(),
    })?;
    facts
        .record_batch(request.info.iter().copied())
        .map_err(|error| Error::Internal {
            message: error.to_string(),
        })
}

fn facts() -> SqlInfoDataBuilder {
    let mut builder = SqlInfoDataBuilder::new();
    server(&mut builder);
    vocabulary(&mut builder);
    abilities(&mut builder);
    terms(&mut builder);
    limits(&mut builder);
    transactions(&mut builder);
    builder
}

fn server(builder: &mut SqlInfoDataBuilder) {
    builder.append(SqlInfo::FlightSqlServerName, "Lakegate");
    builder.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    builder.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    builder.append(SqlInfo::FlightSqlServerReadOnly, true);
    builder.append(SqlInfo::FlightSqlServerSql, true);
    builder.append(SqlInfo::FlightSqlServerSubstrait, false);
    builder.append(SqlInfo::FlightSqlServerSubstraitMinVersion, "");
    builder.append(SqlInfo::FlightSqlServerSubstraitMaxVersion, "");
    builder.append(
        SqlInfo::FlightSqlServerTransaction,
        SqlSupportedTransaction::None as i32,
    );
    builder.append(SqlInfo::FlightSqlServerCancel, true);
    builder.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    builder.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    builder.append(SqlInfo::FlightSqlServerStatementTimeout, 0_i32);
    builder.append(SqlInfo::FlightSqlServerTransactionTimeout, 0_i32);
}

fn vocabulary(builder: &mut SqlInfoDataBuilder) {
    builder.append(SqlInfo::SqlKeywords, words::KEYWORDS);
    builder.append(SqlInfo::SqlNumericFunctions, words::NUMERIC);
    builder.append(SqlInfo::SqlStringFunctions, words::STRING);
    builder.append(SqlInfo::SqlSystemFunctions, words::SYSTEM);
    builder.append(SqlInfo::SqlDatetimeFunctions, words::DATETIME);
    builder.append(SqlInfo::SqlSearchStringEscape, "\\");
    builder.append(SqlInfo::SqlExtraNameCharacters, "");
    builder.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
}

fn abilities(builder: &mut SqlInfoDataBuilder) {
    builder.append(SqlInfo::SqlDdlCatalog, false);
    builder.append(SqlInfo::SqlDdlSchema, false);
    builder.append(SqlInfo::SqlDdlTable, false);
    builder.append(
        SqlInfo::SqlIdentifierCase,
        SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32,
    );
    builder.append(
        SqlInfo::SqlQuotedIdentifierCase,
        SqlSupportedCaseSensitivity::SqlCaseSensitivityCaseInsensitive as i32,
    );
    builder.append(SqlInfo::SqlAllTablesAreSelectable, true);
    // NULL is taken as larger than every value: last in ascending order, first in descending.
    builder.append(
        SqlInfo::SqlNullOrdering,
        SqlNullOrdering::SqlNullsSortedHigh as i32,
    );
    builder.append(SqlInfo::SqlSupportsColumnAliasing, true);
    builder.append(SqlInfo::SqlNullPlusNullIsNull, true);
    builder.append(SqlInfo::SqlSupportsConvert, BTreeMap::<i32, Vec<i32>>::new());
    builder.append(SqlInfo::SqlSupportsTableCorrelationNames, true);
    builder.append(SqlInfo::SqlSupportsDifferentTableCorrelationNames, false);
    builder.append(SqlInfo::SqlSupportsExpressionsInOrderBy, true);
    builder.append(SqlInfo::SqlSupportsOrderByUnrelated, true);
    builder.append(
        SqlInfo::SqlSupportedGroupBy,
        bits(&[SqlSupportedGroupBy::SqlGroupByUnrelated as i32]),
    );
    builder.append(SqlInfo::SqlSupportsLikeEscapeClause, true);
    builder.append(SqlInfo::SqlSupportsNonNullableColumns, true);
    builder.append(
        SqlInfo::SqlSupportedGrammar,
        bits(&[
            SupportedSqlGrammar::SqlMinimumGrammar as i32,
            SupportedSqlGrammar::SqlCoreGrammar as i32,
            SupportedSqlGrammar::SqlExtendedGrammar as i32,
        ]),
    );
    // Bit 0 is ANSI92_ENTRY_SQL of SupportedAnsi92SqlGrammarLevel, which arrow-flight does not export.
    builder.append(SqlInfo::SqlAnsi92SupportedLevel, bits(&[0]));
    builder.append(SqlInfo::SqlSupportsIntegrityEnhancementFacility, false);
    builder.append(
        SqlInfo::SqlOuterJoinsSupportLevel,
        bits(&[
            SqlOuterJoinsSupportLevel::SqlLimitedOuterJoins as i32,
            SqlOuterJoinsSupportLevel::SqlFullOuterJoins as i32,
        ]),
    );
    builder.append(
        SqlInfo::SqlSupportedSubqueries,
        bits(&[
            SqlSupportedSubqueries::SqlSubqueriesInComparisons as i32,
            SqlSupportedSubqueries::SqlSubqueriesInExists as i32,
            SqlSupportedSubqueries::SqlSubqueriesInIns as i32,
            SqlSupportedSubqueries::SqlSubqueriesInQuantifieds as i32,
        ]),
    );
    builder.append(SqlInfo::SqlCorrelatedSubqueriesSupported, true);
    builder.append(
        SqlInfo::SqlSupportedUnions,
        bits(&[
            SqlSupportedUnions::SqlUnion as i32,
            SqlSupportedUnions::SqlUnionAll as i32,
        ]),
    );
}

fn terms(builder: &mut SqlInfoDataBuilder) {
    builder.append(SqlInfo::SqlSchemaTerm, "schema");
    builder.append(SqlInfo::SqlProcedureTerm, "procedure");
    builder.append(SqlInfo::SqlCatalogTerm, "catalog");
    builder.append(SqlInfo::SqlCatalogAtStart, true);
    builder.append(SqlInfo::SqlSchemasSupportedActions, 0_i32);
    builder.append(SqlInfo::SqlCatalogsSupportedActions, 0_i32);
    builder.append(SqlInfo::SqlSupportedPositionedCommands, 0_i32);
    builder.append(SqlInfo::SqlSelectForUpdateSupported, false);
    builder.append(SqlInfo::SqlStoredProceduresSupported, false);
}

/// Zero means that there is no limit or that it is not known.
fn limits(builder: &mut SqlInfoDataBuilder) {
    for info in [
        SqlInfo::SqlMaxBinaryLiteralLength,
        SqlInfo::SqlMaxCharLiteralLength,
        SqlInfo::SqlMaxColumnNameLength,
        SqlInfo::SqlMaxColumnsInGroupBy,
        SqlInfo::SqlMaxColumnsInIndex,
        SqlInfo::SqlMaxColumnsInOrderBy,
        SqlInfo::SqlMaxColumnsInSelect,
        SqlInfo::SqlMaxColumnsInTable,
        SqlInfo::SqlMaxConnections,
        SqlInfo::SqlMaxCursorNameLength,
        SqlInfo::SqlMaxIndexLength,
        SqlInfo::SqlDbSchemaNameLength,
        SqlInfo::SqlMaxProcedureNameLength,
        SqlInfo::SqlMaxCatalogNameLength,
        SqlInfo::SqlMaxRowSize,
        SqlInfo::SqlMaxStatementLength,
        SqlInfo::SqlMaxStatements,
        SqlInfo::SqlMaxTableNameLength,
        SqlInfo::SqlMaxTablesInSelect,
        SqlInfo::SqlMaxUsernameLength,
    ] {
        builder.append(info, 0_i64);
    }
    builder.append(SqlInfo::SqlMaxRowSizeIncludesBlobs, true);
}

fn transactions(builder: &mut SqlInfoDataBuilder) {
    builder.append(
        SqlInfo::SqlDefaultTransactionIsolation,
        i64::from(SqlTransactionIsolationLevel::SqlTransactionNone as i32),
    );
    builder.append(SqlInfo::SqlTransactionsSupported, false);
    builder.append(
        SqlInfo::SqlSupportedTransactionsIsolationLevels,
        bits(&[SqlTransactionIsolationLevel::SqlTransactionNone as i32]),
    );
    builder.append(SqlInfo::SqlDataDefinitionCausesTransactionCommit, false);
    builder.append(SqlInfo::SqlDataDefinitionsInTransactionsIgnored, false);
    // Forward only (bit 1), read only: what a stream can be.
    builder.append(SqlInfo::SqlSupportedResultSetTypes, 0b10_i32);
    builder.append(SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified, 0_i32);
    builder.append(
        SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly,
        0b10_i32,
    );
    builder.append(
        SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive,
        0_i32,
    );
    builder.append(
        SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive,
        0_i32,
    );
    builder.append(SqlInfo::SqlBatchUpdatesSupported, false);
    builder.append(SqlInfo::SqlSavepointsSupported, false);
    builder.append(SqlInfo::SqlNamedParametersSupported, false);
    builder.append(SqlInfo::SqlLocatorsUpdateCopy, false);
    builder.append(SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported, false);
}

/// Enum values are bit positions.
fn bits(positions: &[i32]) -> i32 {
    positions.iter().fold(0, |mask, position| mask | 1 << position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, UnionArray};
    use arrow::datatypes::UInt32Type;

    #[test]
    fn every_code_is_there_and_none_beside() {
        let batch = rows(&CommandGetSqlInfo { info: Vec::new() }).unwrap();
        let mut codes: Vec<u32> = batch.column(0).as_primitive::<UInt32Type>().values().to_vec();
        codes.sort_unstable();
        let expected: Vec<u32> = (0..=11).chain([100, 101]).chain(500..=576).collect();
        assert_eq!(codes, expected);
    }

    #[test]
    fn each_code_has_the_type_that_drivers_cast_to() {
        let batch = rows(&CommandGetSqlInfo { info: Vec::new() }).unwrap();
        let codes = batch.column(0).as_primitive::<UInt32Type>().values();
        let values = batch.column(1).as_any().downcast_ref::<UnionArray>().unwrap();
        for (row, code) in codes.iter().enumerate() {
            let expected = match code {
                0..=2 | 6 | 7 | 504 | 513 | 514 | 529..=531 => 0,
                541..=555 | 557..=562 => 2,
                8
                | 100
                | 101
                | 503
                | 505
                | 507
                | 522
                | 525
                | 526
                | 528
                | 533..=535
                | 538
                | 540
                | 564
                | 567..=571 => 3,
                508..=512 => 4,
                517 => 5,
                _ => 1,
            };
            assert_eq!(values.type_id(row), expected, "code {code}");
        }
    }

    #[test]
    fn codes_that_do_not_exist_give_nothing() {
        assert_eq!(
            rows(&CommandGetSqlInfo {
                info: vec![8, 10_000]
            })
            .unwrap()
            .num_rows(),
            1
        );
    }
}
