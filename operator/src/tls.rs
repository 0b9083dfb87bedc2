//! The API's certificate and the CA that signs it, kept in one Secret that all replicas share.
//!
//! Pods trust the *bundle*; it holds the CA of today and, half a year before that one ends, also its successor. The
//! successor signs only when pods have had months to be given the new bundle, so that a rotation never breaks a call.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use axum_server::tls_rustls::RustlsConfig;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client,
    api::{PostParams, ResourceExt},
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};

use crate::config::Settings;

const CA_DAYS: i64 = 3650;
const CA_OVERLAP_DAYS: i64 = 180;
const CERTIFICATE_DAYS: i64 = 90;
/// A certificate is replaced when a third of its life is left.
const CERTIFICATE_RENEWAL_DAYS: i64 = CERTIFICATE_DAYS / 3;
/// How long a successor CA must have been in the bundle before it signs.
const SUCCESSOR_DAYS: i64 = 90;

/// A certificate with its key and the end of its life.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Pair {
    certificate: String,
    key: String,
    not_after: Timestamp,
}

/// What the Secret holds.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Identity {
    ca: Pair,
    successor: Option<Pair>,
    server: Pair,
    names: Vec<String>,
}

/// What the API serves with and what pods must trust.
#[derive(Clone, PartialEq, Eq)]
pub struct Material {
    /// The CA certificates that pods trust, PEM.
    pub bundle: String,
    certificate: String,
    key: String,
}

impl Material {
    /// The server side's TLS configuration.
    ///
    /// # Errors
    /// The material is not a usable certificate and key.
    pub async fn server_config(&self) -> Result<RustlsConfig> {
        let (certificate, key) = (self.certificate.clone().into_bytes(), self.key.clone().into_bytes());
        RustlsConfig::from_pem(certificate, key).await.context("the API's certificate is unusable")
    }

    /// Puts this material into use for new connections.
    ///
    /// # Errors
    /// The material is not a usable certificate and key.
    pub async fn reload(&self, config: &RustlsConfig) -> Result<()> {
        let (certificate, key) = (self.certificate.clone().into_bytes(), self.key.clone().into_bytes());
        config.reload_from_pem(certificate, key).await.context("the API's certificate is unusable")
    }
}

/// Reads the Secret, renewing what is due, and creates it where it does not exist.
///
/// # Errors
/// The API server refuses, or the Secret was changed by hand into something that cannot be read.
pub async fn ensure(client: &Client, settings: &Settings) -> Result<Material> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &settings.pod_namespace);
    let name = &settings.tls_secret;
    // Another replica may create or renew the Secret at the same moment: its write wins and is read again.
    for _ in 0..5 {
        let found = secrets.get_opt(name).await.with_context(|| format!("cannot read Secret {name}"))?;
        let current = found.as_ref().map(read).transpose().with_context(|| {
            format!("Secret {name} cannot be read; delete it and the operator makes a new one")
        })?;
        let wanted = renew(current.as_ref(), &settings.api_names(), Timestamp::now())?;
        if current.as_ref() == Some(&wanted) {
            return Ok(wanted.material());
        }
        let secret = secret(name, found.as_ref(), &wanted)?;
        let written = if found.is_some() {
            secrets.replace(name, &PostParams::default(), &secret).await
        } else {
            secrets.create(&PostParams::default(), &secret).await
        };
        match written {
            Ok(_) => return Ok(wanted.material()),
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(fault) => return Err(fault).with_context(|| format!("cannot write Secret {name}")),
        }
    }
    anyhow::bail!("Secret {name} is being changed by somebody else all the time")
}

impl Identity {
    fn material(&self) -> Material {
        let successor = self.successor.as_ref().map_or("", |pair| pair.certificate.as_str());
        Material {
            bundle: format!("{}{successor}", self.ca.certificate),
            certificate: self.server.certificate.clone(),
            key: self.server.key.clone(),
        }
    }
}

/// What the identity should be now: `current` where nothing is due.
fn renew(current: Option<&Identity>, names: &[String], now: Timestamp) -> Result<Identity> {
    let Some(current) = current else {
        let ca = new_ca(now)?;
        let server = new_certificate(&ca, names, now)?;
        return Ok(Identity { ca, successor: None, server, names: names.to_vec() });
    };
    let mut wanted = current.clone();
    if wanted.successor.is_none() && wanted.ca.not_after < now + days(CA_OVERLAP_DAYS) {
        wanted.successor = Some(new_ca(now)?);
    }
    let ripe = |ca: &Pair| ca.not_after < now + days(CA_DAYS - SUCCESSOR_DAYS);
    if let Some(successor) = wanted.successor.take_if(|successor| ripe(successor)) {
        wanted.ca = successor;
    }
    let due = wanted.server.not_after < now + days(CERTIFICATE_RENEWAL_DAYS);
    if due || wanted.ca != current.ca || wanted.names != names {
        wanted.server = new_certificate(&wanted.ca, names, now)?;
        wanted.names = names.to_vec();
    }
    Ok(wanted)
}

fn new_ca(now: Timestamp) -> Result<Pair> {
    let mut params = validity(CertificateParams::default(), now, CA_DAYS)?;
    params.distinguished_name.push(DnType::CommonName, "DiSE operator CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem(), not_after: now + days(CA_DAYS) })
}

fn new_certificate(ca: &Pair, names: &[String], now: Timestamp) -> Result<Pair> {
    let issuer = Issuer::from_ca_cert_pem(&ca.certificate, KeyPair::from_pem(&ca.key)?)?;
    let mut params = validity(CertificateParams::new(names.to_vec())?, now, CERTIFICATE_DAYS)?;
    params.distinguished_name.push(DnType::CommonName, "DiSE operator");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    let not_after = now + days(CERTIFICATE_DAYS);
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem(), not_after })
}

fn validity(mut params: CertificateParams, now: Timestamp, lifetime: i64) -> Result<CertificateParams> {
    let date = |at: Timestamp| time::OffsetDateTime::from_unix_timestamp(at.as_second());
    // Clocks of nodes differ: an hour of the past is granted.
    params.not_before = date(now - SignedDuration::from_hours(1))?;
    params.not_after = date(now + days(lifetime))?;
    Ok(params)
}

const fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

const FIELD: &str = "identity.json";

fn read(secret: &Secret) -> Result<Identity> {
    let data = secret.data.as_ref().and_then(|data| data.get(FIELD));
    let ByteString(bytes) = data.with_context(|| format!("it has no {FIELD}"))?;
    serde_json::from_slice(bytes).with_context(|| format!("its {FIELD} is malformed"))
}

fn secret(name: &str, found: Option<&Secret>, identity: &Identity) -> Result<Secret> {
    let labels = [("app.kubernetes.io/managed-by".to_owned(), "dise-operator".to_owned())];
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from(labels)),
            resource_version: found.and_then(ResourceExt::resource_version),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(FIELD.to_owned(), ByteString(serde_json::to_vec(identity)?))])),
        ..Secret::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        vec!["dise-operator.dise-system.svc".to_owned()]
    }

    fn fresh(now: Timestamp) -> Identity {
        renew(None, &names(), now).unwrap()
    }

    #[test]
    fn leaves_an_identity_alone_while_nothing_is_due() {
        let now = Timestamp::now();
        let identity = fresh(now);
        assert!(renew(Some(&identity), &names(), now + days(59)).unwrap() == identity);
    }

    #[test]
    fn renews_the_certificate_under_the_same_ca() {
        let now = Timestamp::now();
        let identity = fresh(now);
        let renewed = renew(Some(&identity), &names(), now + days(61)).unwrap();
        assert!(renewed.ca == identity.ca);
        assert!(renewed.server != identity.server);
    }

    #[test]
    fn renews_the_certificate_when_the_service_is_renamed() {
        let now = Timestamp::now();
        let renewed = renew(Some(&fresh(now)), &["other.svc".to_owned()], now).unwrap();
        assert_eq!(renewed.names, ["other.svc"]);
    }

    #[test]
    fn hands_out_a_new_ca_months_before_it_signs() {
        let now = Timestamp::now();
        let old = fresh(now);
        let late = now + days(CA_DAYS - CA_OVERLAP_DAYS + 1);
        let announced = renew(Some(&old), &names(), late).unwrap();
        let successor = announced.successor.clone().unwrap();
        assert!(announced.ca == old.ca);
        assert!(announced.material().bundle.contains(&successor.certificate));

        let switched = renew(Some(&announced), &names(), late + days(SUCCESSOR_DAYS + 1)).unwrap();
        assert!(switched.ca == successor);
        assert!(switched.successor.is_none());
    }

    #[tokio::test]
    async fn makes_material_that_rustls_accepts() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        fresh(Timestamp::now()).material().server_config().await.unwrap();
    }

    #[test]
    fn survives_the_secret() {
        let identity = fresh(Timestamp::now());
        let secret = secret("tls", None, &identity).unwrap();
        assert!(read(&secret).unwrap() == identity);
    }
}
