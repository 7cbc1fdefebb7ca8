//! The function that holds the place of the match condition of an `ASOF JOIN`, until there is a node for it (`asof`).

use datafusion::arrow::datatypes::DataType;
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::sql::asof_join::MATCH;

/// The function that holds the place of a match condition.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    vec![ScalarUDF::new_from_impl(Match { signature: Signature::any(3, Volatility::Immutable) })]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Match {
    signature: Signature,
}

impl ScalarUDFImpl for Match {
    fn name(&self) -> &str {
        MATCH
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{MATCH} has a meaning in ASOF JOIN only")
    }
}
