//! `order_key(value)`: bytes that are equal where values are equal, and in some fixed order where they are not. Pages of a
//! table without a key need an order of whole rows, and the engine sorts and compares lists, rows and maps only in part.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, BinaryBuilder, ListArray};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// Adds the function.
pub(super) fn bound(state: &mut SessionState) -> Result<()> {
    let function = OrderKey(Signature::any(1, Volatility::Immutable));
    state.register_udf(Arc::new(ScalarUDF::new_from_impl(function)))?;
    Ok(())
}

/// Whether values of a type have such bytes.
pub fn has_order_key(data_type: &DataType) -> bool {
    RowConverter::supports_fields(&[SortField::new(laid_out(data_type))])
}

/// A map is a list of its entries, in memory too.
fn laid_out(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Map(entries, _) => DataType::List(Arc::clone(entries)),
        other => other.clone(),
    }
}

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OrderKey(Signature);

impl ScalarUDFImpl for OrderKey {
    fn name(&self) -> &'static str {
        "order_key"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let array: ArrayRef = match arrays[0].data_type() {
            DataType::Map(..) => Arc::new(ListArray::from(arrays[0].as_map().clone())),
            _ => Arc::clone(&arrays[0]),
        };
        let converter = RowConverter::new(vec![SortField::new(array.data_type().clone())])?;
        let rows = converter.convert_columns(&[Arc::clone(&array)])?;
        let mut keys = BinaryBuilder::with_capacity(rows.num_rows(), rows.size());
        for row in 0..rows.num_rows() {
            match array.is_null(row) {
                true => keys.append_null(),
                false => keys.append_value(rows.row(row)),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(keys.finish())))
    }
}
