//! The second check: after every optimiser rule has run, the plan may still scan only tables that the guard allowed, each
//! behind the very barrier that the decision wanted.
//! The first check says what may be read; this one says that no rule brought in more.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;

use super::guard::GuardedPlan;
use super::{Scanned, scanned};
use crate::error::{Error, Result};

/// Compares an optimised plan with its guard.
///
/// # Errors
/// `Internal` when a scan is of a table that the guard does not name, or stands behind another barrier.
pub(crate) fn audit(optimized: &LogicalPlan, guard: &GuardedPlan) -> Result<()> {
    optimized.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let stands = match scanned(scan) {
                Scanned::Table(table) => guard
                    .tables()
                    .get(&table.name)
                    .is_some_and(|wanted| wanted.as_deref() == table.fingerprint()),
                Scanned::WorkTable | Scanned::Function => true,
                Scanned::Unknown => false,
            };
            if !stands {
                let message = format!(
                    "a scan of '{}' stands in the plan without a decision",
                    scan.table_name
                );
                return Err(DataFusionError::External(Box::new(Error::Internal { message })));
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}
