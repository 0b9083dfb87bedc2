//! The memory of `DiSE`: finds artifacts by meaning, words, tags and proven quality.
