//! `version()`: this gateway's, in the place of the engine's, which would tell the machine too.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

/// What `version()` says.
const VERSION: &str = concat!("Lakegate ", env!("CARGO_PKG_VERSION"));

/// Puts the function in the place of the engine's.
pub(super) fn bound(state: &mut SessionState) -> Result<()> {
    let version = Version(Signature::nullary(Volatility::Immutable));
    state.register_udf(Arc::new(ScalarUDF::new_from_impl(version)))?;
    Ok(())
}

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Version(Signature);

impl ScalarUDFImpl for Version {
    fn name(&self) -> &'static str {
        "version"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::from(VERSION)))
    }
}
