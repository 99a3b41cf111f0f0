//! Brings the footer of a data file into the one form that the rest reads: every column known by its field id.
//!
//! Files of Iceberg writers have the ids. Files that were added to a table have none: then the table's name mapping
//! gives them, or, where the table has no mapping, the place of a column among the table's first ids (as the
//! specification's reference implementation does). Columns that such a file leaves to its folder's name have their value
//! in the manifest; it travels in the footer's key-value metadata, which the engine hands to the adapter.
//!
//! Invariants:
//! - A file with a single id is taken at its word: columns without one are not the table's.
//! - Nothing but the ids and the key-value metadata of a footer is changed.

use super::values;
use crate::{Error, Result};
use datafusion::common::ScalarValue;
use iceberg::spec::{
    DEFAULT_SCHEMA_NAME_MAPPING, MappedField, NameMapping, PrimitiveLiteral, PrimitiveType, TableMetadata,
};
use parquet::basic::{ConvertedType, LogicalType, Repetition};
use parquet::errors::ParquetError;
use parquet::file::metadata::{FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataBuilder};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};
use std::collections::HashMap;
use std::sync::Arc;

/// The key of a footer under which values of columns that the file leaves out travel.
pub(super) const VALUES_KEY: &str = "lakegate.iceberg.values";

/// How columns without ids are named.
#[derive(Clone, Debug)]
pub(super) enum Naming {
    /// By a mapping, kept with its text.
    Mapping(Arc<str>, Arc<NameMapping>),
    /// By their place.
    Places,
}

/// A column whose value for a whole file is in the manifest.
#[derive(Clone, Debug)]
pub(super) struct Constant {
    /// The column.
    pub(super) id: i32,
    /// Its type when the manifest was written.
    pub(super) of: PrimitiveType,
    /// Its value; `None` for NULL.
    pub(super) value: Option<PrimitiveLiteral>,
}

impl Naming {
    /// The naming of a table.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a mapping that cannot be understood.
    pub(super) fn of(table: &str, metadata: &TableMetadata) -> Result<Self> {
        let Some(text) = metadata.properties().get(DEFAULT_SCHEMA_NAME_MAPPING) else {
            return Ok(Self::Places);
        };
        let mapping = serde_json::from_str(text).map_err(|cause| Error::Corrupt {
            table: table.to_owned(),
            path: DEFAULT_SCHEMA_NAME_MAPPING.to_owned(),
            cause: Box::new(cause),
        })?;
        Ok(Self::Mapping(text.as_str().into(), Arc::new(mapping)))
    }

    /// What a footer with ids by this naming depends on besides the file.
    pub(super) fn text(&self) -> Arc<str> {
        match self {
            Self::Mapping(text, _) => Arc::clone(text),
            Self::Places => Arc::from("places"),
        }
    }

    /// Whether places say nothing: a file that leaves its partition's columns out has what follows them one place early.
    pub(super) fn misleads(&self, footer: &ParquetMetaData, constants: &[Constant]) -> bool {
        let columns = footer.file_metadata().schema_descr().root_schema().get_fields();
        let within = |id| usize::try_from(id).is_ok_and(|id| id <= columns.len());
        matches!(self, Self::Places) && constants.iter().any(|constant| within(constant.id))
    }

    /// A footer whose columns have ids by this naming.
    pub(super) fn apply(
        &self,
        footer: &ParquetMetaData,
    ) -> std::result::Result<ParquetMetaData, ParquetError> {
        let root = footer.file_metadata().schema_descr().root_schema();
        let mut fields = Vec::new();
        for (place, field) in root.get_fields().iter().enumerate() {
            fields.push(match self {
                Self::Mapping(_, mapping) => {
                    let mapped = mapping.fields().iter().find(|mapped| named(mapped, field.name()));
                    with_ids(field, mapped)?
                }
                Self::Places => {
                    let id = i32::try_from(place + 1).ok();
                    rebuild(field, id, children(field))?
                }
            });
        }
        let root = Type::group_type_builder(root.name())
            .with_fields(fields)
            .build()?;
        let keys = footer.file_metadata().key_value_metadata().cloned();
        Ok(replaced(footer, Some(root), keys))
    }
}

/// Whether any column of a file, at any depth, has an id.
pub(super) fn has_ids(footer: &ParquetMetaData) -> bool {
    fn within(of: &Type) -> bool {
        of.get_basic_info().has_id() || (of.is_group() && of.get_fields().iter().any(|field| within(field)))
    }
    let root = footer.file_metadata().schema_descr().root_schema();
    root.get_fields().is_empty() || root.get_fields().iter().any(|field| within(field))
}

/// The constants that a file does not hold as columns.
pub(super) fn missing<'a>(footer: &ParquetMetaData, constants: &'a [Constant]) -> Vec<&'a Constant> {
    if constants.is_empty() {
        return Vec::new();
    }
    let columns = footer.file_metadata().schema_descr().root_schema().get_fields();
    let held = |id| {
        columns
            .iter()
            .map(|column| column.get_basic_info())
            .any(|info| info.has_id() && info.id() == id)
    };
    constants.iter().filter(|constant| !held(constant.id)).collect()
}

/// Constants in their printed form.
pub(super) fn print(constants: &[&Constant]) -> String {
    let each = constants.iter().map(|constant| {
        let value = constant.value.as_ref().map(values::print);
        serde_json::json!([constant.id, constant.of, value])
    });
    serde_json::Value::Array(each.collect()).to_string()
}

/// A footer that carries printed constants.
pub(super) fn with_values(footer: &ParquetMetaData, printed: String) -> ParquetMetaData {
    let mut keys = footer
        .file_metadata()
        .key_value_metadata()
        .cloned()
        .unwrap_or_default();
    keys.retain(|pair| pair.key != VALUES_KEY);
    keys.push(KeyValue::new(VALUES_KEY.to_owned(), printed));
    replaced(footer, None, Some(keys))
}

/// The constants that a file's Arrow schema carries, by field id, as scalars of their own types.
pub(super) fn carried(metadata: &HashMap<String, String>) -> Option<HashMap<i32, ScalarValue>> {
    let Some(printed) = metadata.get(VALUES_KEY) else {
        return Some(HashMap::new());
    };
    let all: Vec<(i32, PrimitiveType, serde_json::Value)> = serde_json::from_str(printed).ok()?;
    let mut constants = HashMap::new();
    for (id, of, value) in all {
        let target = super::schema::primitive_type(&of);
        let scalar = match value.is_null() {
            true => ScalarValue::try_from(&target).ok()?,
            false => values::scalar(&values::parse(&value)?, &of, &target)?,
        };
        constants.insert(id, scalar);
    }
    Some(constants)
}

/// A footer as it was read, without what could be taken for the doing of this module, and without the Arrow schema that
/// some writers leave: it may lack the ids that the Parquet schema has, and tells nothing that Iceberg's types do not.
pub(super) fn plain(footer: ParquetMetaData) -> ParquetMetaData {
    let foreign = |key: &str| key == VALUES_KEY || key == parquet::arrow::ARROW_SCHEMA_META_KEY;
    match footer.file_metadata().key_value_metadata() {
        Some(keys) if keys.iter().any(|pair| foreign(&pair.key)) => {
            let mut keys = keys.clone();
            keys.retain(|pair| !foreign(&pair.key));
            replaced(&footer, None, Some(keys))
        }
        _ => footer,
    }
}

fn replaced(footer: &ParquetMetaData, root: Option<Type>, keys: Option<Vec<KeyValue>>) -> ParquetMetaData {
    let file = footer.file_metadata();
    let schema = match root {
        Some(root) => Arc::new(SchemaDescriptor::new(Arc::new(root))),
        None => file.schema_descr_ptr(),
    };
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(ToOwned::to_owned),
        keys,
        schema,
        file.column_orders().cloned(),
    );
    ParquetMetaDataBuilder::new(file)
        .set_row_groups(footer.row_groups().to_vec())
        .set_column_index(footer.column_index().cloned())
        .set_offset_index(footer.offset_index().cloned())
        .build()
}

fn named(mapped: &MappedField, name: &str) -> bool {
    mapped.names().iter().any(|known| known == name)
}

fn children(of: &Type) -> Vec<TypePtr> {
    if of.is_group() {
        of.get_fields().to_vec()
    } else {
        Vec::new()
    }
}

fn child<'a>(mapped: Option<&'a MappedField>, name: &str) -> Option<&'a MappedField> {
    let fields = mapped?.fields().iter();
    fields.map(AsRef::as_ref).find(|mapped| named(mapped, name))
}

/// A column with the ids of a mapping, at every depth.
fn with_ids(of: &Type, mapped: Option<&MappedField>) -> std::result::Result<TypePtr, ParquetError> {
    let id = mapped.and_then(MappedField::field_id);
    let mut inner = Vec::new();
    match shape(of) {
        Shape::Leaf => {}
        Shape::Struct => {
            for field in of.get_fields() {
                inner.push(with_ids(field, child(mapped, field.name()))?);
            }
        }
        Shape::List(repeated, wrapped) => {
            let element = child(mapped, "element");
            inner.push(match wrapped {
                true => {
                    let element = with_ids(&repeated.get_fields()[0], element)?;
                    rebuild(repeated, None, vec![element])?
                }
                false => with_ids(repeated, element)?,
            });
        }
        Shape::Map(repeated) => {
            let mut pair = Vec::new();
            for (field, name) in repeated.get_fields().iter().zip(["key", "value"]) {
                pair.push(with_ids(field, child(mapped, name))?);
            }
            inner.push(rebuild(repeated, None, pair)?);
        }
    }
    rebuild(of, id, inner)
}

/// What a group of a Parquet schema stands for.
enum Shape<'a> {
    Leaf,
    Struct,
    /// A list with its repeated field, and whether that one only wraps the element.
    List(&'a Type, bool),
    Map(&'a Type),
}

fn shape(of: &Type) -> Shape<'_> {
    if !of.is_group() {
        return Shape::Leaf;
    }
    let info = of.get_basic_info();
    let only = match of.get_fields() {
        [only] if only.get_basic_info().repetition() == Repetition::REPEATED => only,
        _ => return Shape::Struct,
    };
    let list = info.converted_type() == ConvertedType::LIST
        || matches!(info.logical_type_ref(), Some(LogicalType::List));
    let map = matches!(
        info.converted_type(),
        ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE
    ) || matches!(info.logical_type_ref(), Some(LogicalType::Map));
    // The rules of the Parquet format for lists of old writers.
    let tuple = format!("{}_tuple", of.name());
    match (list, map) {
        (true, _) => {
            let wraps = only.is_group()
                && only.get_fields().len() == 1
                && only.name() != "array"
                && only.name() != tuple;
            Shape::List(only, wraps)
        }
        (_, true) if only.is_group() && only.get_fields().len() == 2 => Shape::Map(only),
        _ => Shape::Struct,
    }
}

/// The same type with another id and other children.
fn rebuild(of: &Type, id: Option<i32>, fields: Vec<TypePtr>) -> std::result::Result<TypePtr, ParquetError> {
    let info = of.get_basic_info();
    if of.is_group() {
        let mut group = Type::group_type_builder(info.name())
            .with_converted_type(info.converted_type())
            .with_logical_type(info.logical_type_ref().cloned())
            .with_fields(fields)
            .with_id(id);
        if info.has_repetition() {
            group = group.with_repetition(info.repetition());
        }
        return group.build().map(Arc::new);
    }
    let length = match of {
        Type::PrimitiveType { type_length, .. } => *type_length,
        Type::GroupType { .. } => -1,
    };
    let (precision, scale) = match of {
        Type::PrimitiveType { precision, scale, .. } => (*precision, *scale),
        Type::GroupType { .. } => (-1, -1),
    };
    Type::primitive_type_builder(info.name(), of.get_physical_type())
        .with_repetition(info.repetition())
        .with_converted_type(info.converted_type())
        .with_logical_type(info.logical_type_ref().cloned())
        .with_length(length)
        .with_precision(precision)
        .with_scale(scale)
        .with_id(id)
        .build()
        .map(Arc::new)
}
