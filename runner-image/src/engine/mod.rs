//! The engine: plans compiled to programs, and their execution.

pub mod compile;
pub mod execute;
pub mod failure;
pub mod function;
pub mod program;

pub use compile::{CompileError, Compiler};
pub use execute::Execution;
pub use failure::{Failure, Kind};
pub use program::Program;
