//! The operator of DiSE: controllers that turn declared workflows into proven, served code, and the API that runner
//! pods talk to. It never executes generated code, and models write code in Jobs.

pub mod api;
pub mod config;
pub mod controllers;
pub mod crds;
pub mod health;
pub mod labels;
pub mod memory;
pub mod metrics;
pub mod plans;
pub mod prompts;
pub mod serve;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod watching;
