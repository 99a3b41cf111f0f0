//! GetXdbcTypeInfo: the SQL types there are. The ODBC driver asks; the JDBC driver does not.

use std::sync::LazyLock;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{CommandGetXdbcTypeInfo, Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};

use crate::error::{Error, Result};

static TYPES: LazyLock<std::result::Result<XdbcTypeInfoData, String>> =
    LazyLock::new(|| types().build().map_err(|error| error.to_string()));

/// The columns of the answer.
pub(super) fn schema() -> SchemaRef {
    TYPES.as_ref().map_or_else(
        |_| arrow::datatypes::Schema::empty().into(),
        XdbcTypeInfoData::schema,
    )
}

/// One type by its code, or all.
pub(super) fn rows(request: &CommandGetXdbcTypeInfo) -> Result<RecordBatch> {
    let types = TYPES.as_ref().map_err(|message| Error::Internal {
        message: message.clone(),
    })?;
    types
        .record_batch(request.data_type)
        .map_err(|error| Error::Internal {
            message: error.to_string(),
        })
}

/// A type without subcode, literal marks or scale.
fn plain(name: &str, data_type: XdbcDataType, size: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.to_owned(),
        data_type,
        column_size: Some(size),
        literal_prefix: None,
        literal_suffix: None,
        create_params: None,
        nullable: Nullable::NullabilityNullable,
        case_sensitive: false,
        searchable: Searchable::Full,
        unsigned_attribute: None,
        fixed_prec_scale: false,
        auto_increment: Some(false),
        local_type_name: Some(name.to_owned()),
        minimum_scale: None,
        maximum_scale: None,
        sql_data_type: data_type,
        datetime_subcode: None,
        num_prec_radix: None,
        interval_precision: None,
    }
}

fn number(name: &str, data_type: XdbcDataType, digits: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        unsigned_attribute: Some(false),
        minimum_scale: Some(0),
        maximum_scale: Some(0),
        num_prec_radix: Some(10),
        ..plain(name, data_type, digits)
    }
}

fn quoted(name: &str, data_type: XdbcDataType, size: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        literal_prefix: Some("'".to_owned()),
        literal_suffix: Some("'".to_owned()),
        ..plain(name, data_type, size)
    }
}

fn moment(name: &str, data_type: XdbcDataType, size: i32, subcode: XdbcDatetimeSubcode) -> XdbcTypeInfo {
    XdbcTypeInfo {
        literal_prefix: Some(format!("{} '", name.split(' ').next().unwrap_or(name))),
        sql_data_type: XdbcDataType::XdbcDatetime,
        datetime_subcode: Some(subcode),
        ..quoted(name, data_type, size)
    }
}

fn types() -> XdbcTypeInfoDataBuilder {
    let mut builder = XdbcTypeInfoDataBuilder::new();
    let decimal = XdbcTypeInfo {
        create_params: Some(vec!["precision".to_owned(), "scale".to_owned()]),
        maximum_scale: Some(38),
        ..number("DECIMAL", XdbcDataType::XdbcDecimal, 38)
    };
    for info in [
        plain("BOOLEAN", XdbcDataType::XdbcBit, 1),
        number("TINYINT", XdbcDataType::XdbcTinyint, 3),
        number("SMALLINT", XdbcDataType::XdbcSmallint, 5),
        number("INTEGER", XdbcDataType::XdbcInteger, 10),
        number("BIGINT", XdbcDataType::XdbcBigint, 19),
        number("REAL", XdbcDataType::XdbcReal, 7),
        number("DOUBLE", XdbcDataType::XdbcDouble, 15),
        decimal,
        XdbcTypeInfo {
            case_sensitive: true,
            ..quoted("VARCHAR", XdbcDataType::XdbcVarchar, i32::MAX)
        },
        XdbcTypeInfo {
            literal_prefix: Some("X'".to_owned()),
            ..quoted("VARBINARY", XdbcDataType::XdbcVarbinary, i32::MAX)
        },
        moment(
            "DATE",
            XdbcDataType::XdbcDate,
            10,
            XdbcDatetimeSubcode::XdbcSubcodeYear,
        ),
        moment(
            "TIME",
            XdbcDataType::XdbcTime,
            15,
            XdbcDatetimeSubcode::XdbcSubcodeTime,
        ),
        moment(
            "TIMESTAMP",
            XdbcDataType::XdbcTimestamp,
            26,
            XdbcDatetimeSubcode::XdbcSubcodeTimestamp,
        ),
        moment(
            "TIMESTAMP WITH TIME ZONE",
            XdbcDataType::XdbcTimestamp,
            32,
            XdbcDatetimeSubcode::XdbcSubcodeTimestampWithTimezone,
        ),
    ] {
        builder.append(info);
    }
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_listed_and_found_by_code() {
        assert!(
            rows(&CommandGetXdbcTypeInfo { data_type: None })
                .unwrap()
                .num_rows()
                >= 14
        );
        let varchar = CommandGetXdbcTypeInfo {
            data_type: Some(XdbcDataType::XdbcVarchar as i32),
        };
        assert_eq!(rows(&varchar).unwrap().num_rows(), 1);
    }
}
