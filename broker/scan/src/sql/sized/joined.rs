//! `||` and what else has a syntax of its own, planned as bounded functions.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::functions::core::overlay;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_plan::PhysicalExpr;
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::bounded;
use crate::engine::fault;

/// The name of what `||` becomes. No caller can write it as a function.
pub(crate) const JOINED: &str = "||";

/// `a || b`, null if either is, as a function: the operator itself knows no bound.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Joined {
    signature: Signature,
}

impl ScalarUDFImpl for Joined {
    fn name(&self) -> &'static str {
        JOINED
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let (left, right) = pair(types)?;
        BinaryTypeCoercer::new(left, &Operator::StringConcat, right).get_result_type()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let (left, right) = pair(types)?;
        let (left, right) = BinaryTypeCoercer::new(left, &Operator::StringConcat, right).get_input_types()?;
        Ok(vec![left, right])
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let (left, right) = pair(args)?;
        Ok(format!("{} || {}", left.schema_name(), right.schema_name()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let columns = args.args.iter().map(|a| a.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let (left, right) = pair(&columns)?;
        let batch = RecordBatch::try_from_iter_with_nullable([("left", Arc::clone(left), true), ("right", Arc::clone(right), true)])?;
        let column = |name, index| Arc::new(Column::new(name, index)) as Arc<dyn PhysicalExpr>;
        let joined = BinaryExpr::new(column("left", 0), Operator::StringConcat, column("right", 1))
            .evaluate(&batch)?
            .into_array(rows)?;
        Ok(if constant {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&joined, 0)?)
        } else {
            ColumnarValue::Array(joined)
        })
    }
}

fn pair<T>(items: &[T]) -> Result<(&T, &T)> {
    match items {
        [left, right] => Ok((left, right)),
        _ => Err(fault::carry(fault::internal("`||` has two sides"))),
    }
}

/// Plans what has a syntax of its own as the bounded functions. It must come before the engine's own planners.
#[derive(Debug)]
pub(crate) struct BoundedPlanner {
    pub(super) joined: Arc<ScalarUDF>,
    overlay: Arc<ScalarUDF>,
}

impl BoundedPlanner {
    pub(crate) fn new() -> Self {
        let joined = Arc::new(ScalarUDF::new_from_impl(Joined {
            signature: Signature::user_defined(Volatility::Immutable),
        }));
        Self {
            joined: bounded(joined),
            overlay: bounded(overlay()),
        }
    }
}

impl ExprPlanner for BoundedPlanner {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if expr.op != BinaryOperator::StringConcat {
            return Ok(PlannerResult::Original(expr));
        }
        // What cannot be joined fails here, where the query is planned, and with the engine's own words.
        if let (Ok(left), Ok(right)) = (expr.left.get_type(schema), expr.right.get_type(schema)) {
            BinaryTypeCoercer::new(&left, &Operator::StringConcat, &right).get_result_type()?;
        }
        let call = ScalarFunction::new_udf(Arc::clone(&self.joined), vec![expr.left, expr.right]);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(call)))
    }

    fn plan_overlay(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        let call = ScalarFunction::new_udf(Arc::clone(&self.overlay), args);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(call)))
    }
}
