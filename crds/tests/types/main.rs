//! What the API server will make of the types, as far as that can be told without one.

mod conversions;
mod rules;
mod schema;
mod values;
