//! Clients of language models.
