//! `sum` and `avg` that are exact or refused. Integers are added in 128 bits and the result is held against its type at
//! the end, so that the order of the rows decides nothing; decimals are added in the widest form of theirs, and each
//! addition is checked. Doubles stay with the engine.

mod distinct;
mod groups;
mod plain;
mod wide;

use std::sync::Arc;

use arrow::array::ArrowNativeTypeOp as _;
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DurationMicrosecondType,
    DurationMillisecondType, DurationNanosecondType, DurationSecondType, Field, FieldRef, Int64Type,
    TimeUnit, UInt64Type,
};
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature,
};

use self::distinct::Distinct;
use self::groups::Groups;
use self::plain::Plain;
use self::wide::Outcome;

/// Puts the exact forms in the place of the engine's own.
pub(super) fn bound(state: &mut SessionState) -> Result<()> {
    for (name, is_average) in [("sum", false), ("avg", true)] {
        let inner = state.udaf(name)?;
        state.register_udaf(Arc::new(AggregateUDF::new_from_impl(Total { inner, is_average })))?;
    }
    Ok(())
}

/// `sum` or `avg`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Total {
    /// The engine's own, for types that need no care and for all that is not adding.
    inner: Arc<AggregateUDF>,
    is_average: bool,
}

/// `$make!(T, W)` for the native type `T` of a data type and the type `W` that it is added in; none for a type that is
/// the engine's.
macro_rules! of_type {
    ($data_type:expr, $make:ident) => {
        match $data_type {
            DataType::Int64 => Some($make!(Int64Type, Decimal128Type)),
            DataType::UInt64 => Some($make!(UInt64Type, Decimal128Type)),
            DataType::Decimal32(..) => Some($make!(Decimal32Type, Decimal128Type)),
            DataType::Decimal64(..) => Some($make!(Decimal64Type, Decimal128Type)),
            DataType::Decimal128(..) => Some($make!(Decimal128Type, Decimal128Type)),
            DataType::Decimal256(..) => Some($make!(Decimal256Type, Decimal256Type)),
            DataType::Duration(TimeUnit::Second) => Some($make!(DurationSecondType, Decimal128Type)),
            DataType::Duration(TimeUnit::Millisecond) => {
                Some($make!(DurationMillisecondType, Decimal128Type))
            }
            DataType::Duration(TimeUnit::Microsecond) => {
                Some($make!(DurationMicrosecondType, Decimal128Type))
            }
            DataType::Duration(TimeUnit::Nanosecond) => Some($make!(DurationNanosecondType, Decimal128Type)),
            _ => None,
        }
    };
}

/// The type in which sums of a type travel from one operator to the next.
fn wide_type(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Int64 | DataType::UInt64 | DataType::Duration(_) => Some(DataType::Decimal128(38, 0)),
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => {
            Some(DataType::Decimal128(38, *scale))
        }
        DataType::Decimal256(_, scale) => Some(DataType::Decimal256(76, *scale)),
        _ => None,
    }
}

impl Total {
    /// The accumulator of a type of ours.
    fn own(&self, args: &AccumulatorArgs<'_>) -> Option<Box<dyn Accumulator>> {
        let data_type = args.expr_fields.first()?.data_type();
        let result = args.return_field.data_type();
        let wide = wide_type(data_type)?;
        macro_rules! make {
            ($t:ty, $w:ty) => {{
                let outcome = Outcome::<$w>::new(self.is_average, data_type, result, wide);
                match args.is_distinct {
                    true => {
                        Box::new(Distinct::<$t, $w>::new(outcome, data_type.clone())) as Box<dyn Accumulator>
                    }
                    false => Box::new(Plain::<$t, $w>::new(outcome)) as Box<dyn Accumulator>,
                }
            }};
        }
        of_type!(data_type, make)
    }

    fn own_groups(&self, args: &AccumulatorArgs<'_>) -> Option<Box<dyn GroupsAccumulator>> {
        let data_type = args.expr_fields.first()?.data_type();
        let result = args.return_field.data_type();
        let wide = wide_type(data_type)?;
        macro_rules! make {
            ($t:ty, $w:ty) => {{
                let outcome = Outcome::<$w>::new(self.is_average, data_type, result, wide);
                Box::new(Groups::<$t, $w>::new(outcome)) as Box<dyn GroupsAccumulator>
            }};
        }
        of_type!(data_type, make)
    }
}

impl AggregateUDFImpl for Total {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match self.own(&args) {
            Some(own) => Ok(own),
            None => self.inner.accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match self.own(&args) {
            Some(own) => Ok(own),
            None => self.inner.create_sliding_accumulator(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        match self.own_groups(&args) {
            Some(own) => Ok(own),
            None => self.inner.create_groups_accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let Some(data_type) = args.input_fields.first().map(|field| field.data_type()) else {
            return self.inner.state_fields(args);
        };
        let Some(wide) = wide_type(data_type) else {
            return self.inner.state_fields(args);
        };
        let name = |what: &str| format_state_name(args.name, what);
        if args.is_distinct {
            let item = Field::new_list_field(data_type.clone(), true);
            return Ok(vec![Arc::new(Field::new_list(name("values"), item, false))]);
        }
        let sum = Arc::new(Field::new(name("sum"), wide, true));
        Ok(match self.is_average {
            true => vec![Arc::new(Field::new(name("count"), DataType::UInt64, true)), sum],
            false => vec![sum],
        })
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.inner().reverse_expr()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.inner().set_monotonicity(data_type)
    }
}

/// What an average is multiplied with before it is divided.
fn multiplier<W: wide::Wide>(of: &DataType, result: &DataType) -> W::Native {
    let scale = |data_type: &DataType| match data_type {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => *scale,
        _ => 0,
    };
    let digits = u32::try_from(scale(result) - scale(of)).unwrap_or(0);
    // Four digits at most.
    W::ten().pow_wrapping(digits)
}
