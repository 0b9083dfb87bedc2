//! What the tests on a real cluster share: a namespace of their own, and words for what they wait for.
//!
//! They need a cluster with DiSE on it (`make deploy`). Without `KUBECONFIG` they do not run and say so;
//! `DISE_REQUIRE_CLUSTER=1` turns that into a failure.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

pub mod direct;
pub mod http;
pub mod model;
pub mod namespace;
pub mod node;
pub mod operator;
pub mod spec;
pub mod store;
pub mod traffic;

pub use namespace::Namespace;

use kube::Client;

/// The namespace that DiSE is installed in.
pub const SYSTEM: &str = "dise-system";

/// The cluster, or `None` when there is none and none is demanded.
///
/// # Panics
/// None is there although `DISE_REQUIRE_CLUSTER=1` demands one, or it does not answer.
pub async fn cluster() -> Option<Client> {
    if std::env::var_os("KUBECONFIG").is_none_or(|path| path.is_empty()) {
        let required = std::env::var("DISE_REQUIRE_CLUSTER").is_ok_and(|value| value == "1");
        assert!(!required, "DISE_REQUIRE_CLUSTER=1, but KUBECONFIG is not set: bring a cluster up first");
        eprintln!("not run: KUBECONFIG is not set");
        return None;
    }
    // Another test of this process may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Some(Client::try_default().await.unwrap())
}
