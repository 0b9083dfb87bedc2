//! Clients of language models.
//!
//! [`Model`] speaks to one model of one server: [`ChatModel::chat`] asks it, [`Model::embed`] turns texts into
//! vectors and [`Model::probe`] tells, at no cost, whether it could be asked. What a call can cost is known before it
//! ([`ChatModel::upper_bound`]) and what it did cost after it ([`Answer::cost`], or [`ModelError::maybe_charged`]),
//! so that a budget can be reserved and settled. [`python_code`] finds the code in an answer.
//!
//! TLS uses the process's default `rustls` provider: install one before the first [`Model::new`].

mod call;
mod chat;
mod client;
mod code;
mod embedding;
mod endpoint;
mod error;
mod json;
mod key;
mod probe;
mod protocol;
mod retry;
mod settings;
mod transport;
mod usage;

pub use chat::{
    Answer, ChatModel, ChatRequest, Concession, Finish, Message, Role, Temperature, TemperatureError,
};
pub use client::Model;
pub use code::python_code;
pub use embedding::Embeddings;
pub use endpoint::{Endpoint, EndpointError};
pub use error::{Failure, ModelError};
pub use key::{ApiKey, ApiKeyError};
pub use probe::{Probe, Verdict};
pub use settings::{Settings, SettingsError};
pub use usage::{Usage, UsageSource};
