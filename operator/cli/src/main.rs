//! `kubectl dise`: workflows from the command line.

fn main() {}
