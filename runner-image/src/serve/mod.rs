//! The HTTP side of an executor.

pub mod admission;
pub mod app;
pub mod body;
pub mod catalog;
pub mod host;
pub mod openapi;
pub mod problem;
pub mod routes;
pub mod server;

pub use app::{App, Settings};
pub use server::Server;
