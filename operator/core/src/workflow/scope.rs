//! What an expression can see while it is evaluated.

use serde_json::Value;

/// The values behind `input`, `steps` and `output`. Everything is borrowed, so a scope costs nothing to make.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    input: &'a Value,
    output: Option<&'a Value>,
    /// A list, since workflows have a handful of steps and comparing a handful of short names beats hashing one.
    steps: Vec<(&'a str, &'a Value)>,
}

impl<'a> Scope<'a> {
    /// A scope in which no step has ended yet.
    #[must_use]
    pub fn new(input: &'a Value) -> Self {
        Self { input, output: None, steps: Vec::new() }
    }

    /// The scope of a check: what went into a step and what came out.
    pub(crate) fn of_check(input: &'a Value, output: &'a Value) -> Self {
        Self { input, output: Some(output), steps: Vec::new() }
    }

    /// The same scope after the step `name` ended with `output`.
    #[must_use]
    pub fn with_step(mut self, name: &'a str, output: &'a Value) -> Self {
        self.insert_step(name, output);
        self
    }

    /// Notes that the step `name` ended with `output`.
    pub fn insert_step(&mut self, name: &'a str, output: &'a Value) {
        match self.steps.iter_mut().find(|(known, _)| *known == name) {
            Some(step) => step.1 = output,
            None => self.steps.push((name, output)),
        }
    }

    pub(crate) fn input(&self) -> &'a Value {
        self.input
    }

    pub(crate) fn output(&self) -> Option<&'a Value> {
        self.output
    }

    pub(crate) fn step(&self, name: &str) -> Option<&'a Value> {
        self.steps.iter().find(|(known, _)| *known == name).map(|(_, output)| *output)
    }

    pub(crate) fn step_names(&self) -> impl Iterator<Item = &'a str> {
        self.steps.iter().map(|(name, _)| *name)
    }
}
