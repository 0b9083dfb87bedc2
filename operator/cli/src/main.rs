//! `kubectl dise`: workflows from the command line.
//!
//! Commands read what they need, hand it to pure functions ([`lint`], [`view`]) and print what these return.

mod cli;
mod cluster;
mod commands;
mod exit;
mod lint;
mod view;
mod words;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match commands::carry_out(Cli::parse()).await {
        Ok(outcome) => outcome.into(),
        Err(fault) => {
            exit::say(&format!("error: {fault:#}"));
            exit::code_of(&fault)
        }
    }
}
