//! The dialect of CEL that workflows speak: the standard library, the `strings` extension, and arithmetic that
//! mixes whole and fractional numbers.
//!
//! JSON has one kind of number, CEL has three and refuses to add an int to a double. Whether `price` arrives as
//! `3` or as `3.0` is up to whoever wrote the JSON, so here `input.price * 2` works for both: where one operand
//! of an arithmetic operator is a double, the other becomes one.
//!
//! Loops over lists are the only way in which an expression can take long, so their turns are counted.

use std::{
    cell::Cell,
    sync::{Arc, LazyLock},
};

use cel::{
    Env, ExecutionError,
    common::{
        ast::operators,
        types::{CelDouble, CelInt, CelUInt, DYN_TYPE},
        value::{CowVal, Val},
    },
};

/// A CEL operator, what it is called in this dialect, and how an author writes it.
pub(crate) struct Arithmetic {
    pub(crate) operator: &'static str,
    pub(crate) name: &'static str,
    pub(crate) symbol: &'static str,
}

/// The arithmetic operators. Names start with `@`, which no author can write.
pub(crate) const ARITHMETIC: [Arithmetic; 5] = [
    Arithmetic { operator: operators::ADD, name: "@add", symbol: "+" },
    Arithmetic { operator: operators::SUBSTRACT, name: "@subtract", symbol: "-" },
    Arithmetic { operator: operators::MULTIPLY, name: "@multiply", symbol: "*" },
    Arithmetic { operator: operators::DIVIDE, name: "@divide", symbol: "/" },
    Arithmetic { operator: operators::MODULO, name: "@modulo", symbol: "%" },
];

/// The function around what every turn of a loop evaluates: the identity, as long as turns are left.
pub(crate) const TURN: &str = "@turn";

/// How many turns all loops of one evaluation may take together: well under a second of work.
pub(crate) const TURNS: u32 = 100_000;

thread_local! {
    /// Overloads are plain functions without a context, and an evaluation stays on its thread.
    static TURNS_LEFT: Cell<u32> = const { Cell::new(0) };
}

/// To be called before an evaluation.
pub(crate) fn allow_turns() {
    TURNS_LEFT.set(TURNS);
}

fn turn<'b, 'v>(mut operands: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let left = TURNS_LEFT.get().checked_sub(1);
    TURNS_LEFT.set(left.unwrap_or_default());
    match (left, operands.pop()) {
        (Some(_), Some(value)) => Ok(value),
        _ => Err(ExecutionError::function_error(TURN, format!("the loops take more than {TURNS} turns"))),
    }
}

/// Built once: an environment holds a few hundred overloads.
pub(crate) static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    // Optional values have no JSON form, and `has` with a conditional says the same.
    let mut env = Env::stdlib().with_optional_support(false);
    let operations: [cel::common::functions::Function; 5] = [add, subtract, multiply, divide, modulo];
    let mut declared = env.add_extension(cel::extensions::strings);
    declared = declared.and(env.add_overload(TURN, TURN, vec![DYN_TYPE], turn));
    for (arithmetic, operation) in ARITHMETIC.iter().zip(operations) {
        let operands = vec![DYN_TYPE, DYN_TYPE];
        declared = declared.and(env.add_overload(arithmetic.name, arithmetic.name, operands, operation));
    }
    debug_assert!(declared.is_ok(), "the names are distinct: {declared:?}");
    Arc::new(env)
});

macro_rules! arithmetic {
    ($name:ident, $index:literal, $capability:ident, $operation:ident) => {
        fn $name<'b, 'v>(mut operands: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
            agree(&mut operands);
            let [left, right] = operands.as_slice() else {
                return Err(ExecutionError::invalid_argument_count(2, operands.len()));
            };
            let unsupported = || {
                let types = [left, right].map(|operand| operand.get_type().name().to_owned());
                ExecutionError::no_such_overload(ARITHMETIC[$index].symbol, types.to_vec())
            };
            let capable = left.$capability().ok_or_else(unsupported)?;
            match capable.$operation(right.as_ref()) {
                Ok(result) => Ok(CowVal::from(result.into_owned())),
                // The crate would repeat both operands, however large.
                Err(ExecutionError::UnsupportedBinaryOperator(..)) => Err(unsupported()),
                Err(error) => Err(error),
            }
        }
    };
}

arithmetic!(add, 0, as_adder, add);
arithmetic!(subtract, 1, as_subtractor, sub);
arithmetic!(multiply, 2, as_multiplier, mul);
arithmetic!(divide, 3, as_divider, div);
arithmetic!(modulo, 4, as_modder, modulo);

/// Makes both operands doubles when one is.
fn agree(operands: &mut [CowVal<'_, '_>]) {
    if operands.iter().any(|operand| operand.downcast_ref::<CelDouble>().is_some()) {
        for operand in operands {
            if let Some(double) = as_double(operand.as_ref()) {
                *operand = CowVal::owned(CelDouble::from(double));
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "that a double holds 53 bits is what mixing with one means")]
fn as_double(number: &dyn Val) -> Option<f64> {
    match (number.downcast_ref::<CelInt>(), number.downcast_ref::<CelUInt>()) {
        (Some(int), _) => Some(*int.inner() as f64),
        (_, Some(uint)) => Some(*uint.inner() as f64),
        _ => None,
    }
}
