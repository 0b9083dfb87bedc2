//! Whom the runner believes to be the operator.

use axum_server::tls_rustls::RustlsConfig;
use dise_runner::sync::client::{Access, Operator, OperatorError};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::{
    harness::{client, folder},
    operator::FakeOperator,
};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for a server of this name, and its key.
    fn certify(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// Asks an operator on this machine whose certificate is for `name` for a run, trusting the certificates in `ca`.
async fn ask(signer: &Authority, name: &str, ca: String) -> OperatorError {
    drop(client());
    let (certificate, key) = signer.certify(name);
    let config = RustlsConfig::from_pem(certificate.into(), key.into()).await.unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = FakeOperator::default().router();
    let server = axum_server::from_tcp_rustls(listener, config).unwrap();
    tokio::spawn(server.serve(router.into_make_service()));
    let dir = folder();
    let url = format!("https://localhost:{port}");
    let operator = Operator::new(&Access { url, ca, token_file: dir.path().join("token") }).unwrap();
    operator.run("none").await.unwrap_err()
}

#[tokio::test]
async fn an_operator_that_a_bundle_vouches_for_is_believed() {
    let (former, current) = (Authority::new(), Authority::new());
    let error = ask(&current, "localhost", format!("{}{}", former.pem, current.pem)).await;
    assert!(matches!(error, OperatorError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let (own, other) = (Authority::new(), Authority::new());
    for (signer, name) in [(&other, "localhost"), (&own, "elsewhere")] {
        let error = ask(signer, name, own.pem.clone()).await;
        assert!(matches!(error, OperatorError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}
