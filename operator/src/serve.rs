//! The process: what starts in which order, and how it stops.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use axum::Router;
use axum_server::{Handle, tls_rustls::RustlsConfig};
use kube::{
    Client,
    runtime::events::{Recorder, Reporter},
};
use kube_lease_manager::LeaseManagerBuilder;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    api::Api,
    config::Settings,
    controllers::{
        self, Backoff, Context, FIELD_MANAGER, Reports, Signals,
        probe::Probe,
        usage::Usage,
        work::{Kind, Queue},
        workflow::Recent,
    },
    crds,
    health::{self, Readiness},
    memory::Memory,
    metrics::Metrics,
    plans::Plans,
    store::{Key, Store},
    tls,
};

/// The name of the Lease.
const LEASE: &str = "dise-operator";
/// Seconds after which another replica takes over from one that vanished.
const LEASE_SECONDS: u64 = 15;
const LEASE_GRACE_SECONDS: u64 = 5;
/// How long requests that are being answered may take after the process was told to stop.
const DRAIN: Duration = Duration::from_secs(5);
const RENEWAL: Duration = Duration::from_hours(1);

/// Runs the operator until `stop`, or until it can no longer do its work.
///
/// # Errors
/// It cannot start, or it lost the Lease: the process ends and Kubernetes starts it again.
pub async fn serve(settings: Settings, stop: CancellationToken) -> Result<()> {
    let client = Client::try_default().await.context("cannot find the Kubernetes API")?;
    let store = Store::open(&settings.store_url)?;
    let metrics = Metrics::new()?;
    let readiness = Readiness::default();
    let health =
        listen(settings.http_listen, health::router(readiness.clone(), metrics.clone()), stop.clone());
    let work = run(settings, client, store, metrics, readiness, stop.clone());
    tokio::select! {
        outcome = health => outcome.context("the health endpoint failed"),
        outcome = work => outcome,
    }
}

async fn run(
    settings: Settings,
    client: Client,
    store: Store,
    metrics: Metrics,
    readiness: Readiness,
    stop: CancellationToken,
) -> Result<()> {
    if stop.run_until_cancelled(crds::wait(&client, &readiness)).await.is_none() {
        return Ok(());
    }
    let material = tls::ensure(&client, &settings).await?;
    let config = material.server_config().await?;
    let (tell_ca, ca) = watch::channel(material.bundle.clone());
    let context = Arc::new(context(settings, client.clone(), store, metrics, ca)?);
    let (plans, follow) = Plans::follow(client.clone());
    let api = Api::router(Arc::clone(&context), plans.clone());

    let handle = Handle::new();
    let server = axum_server::bind_rustls(context.settings.api_listen, config.clone())
        .handle(handle.clone())
        .serve(api.into_make_service());
    let drain = async {
        stop.cancelled().await;
        readiness.waits("stopping");
        handle.graceful_shutdown(Some(DRAIN));
    };
    let ready = async {
        plans.ready().await;
        readiness.is_ready();
        tracing::info!(api = %context.settings.api_listen, "ready");
    };
    tokio::select! {
        outcome = async { tokio::join!(server, drain, ready).0 } => outcome.context("the API server failed"),
        () = follow => anyhow::bail!("the watch of Workflows ended"),
        () = context.memory.run(client.clone()) => anyhow::bail!("the memory of artifacts ended"),
        () = renew(&context, &material, &config, &tell_ca) => unreachable_end(),
        outcome = lead(Arc::clone(&context), stop.clone()) => outcome,
    }
}

fn unreachable_end() -> Result<()> {
    anyhow::bail!("the renewal of certificates ended")
}

fn context(
    settings: Settings,
    client: Client,
    store: Store,
    metrics: Metrics,
    ca: watch::Receiver<String>,
) -> Result<Context> {
    let reporter =
        Reporter { controller: FIELD_MANAGER.to_owned(), instance: Some(settings.pod_name.clone()) };
    let memory = Memory::open(&settings, store.clone())?;
    Ok(Context {
        memory,
        events: Recorder::new(client.clone(), reporter),
        client,
        store,
        settings,
        verifications: Queue::new(Kind::Verify),
        syntheses: Queue::new(Kind::Synthesize),
        probes: Queue::new(Kind::Probe),
        reports: Reports::new(Key::verification),
        searches: Reports::new(Key::synthesis),
        solutions: Reports::new(Key::solution),
        recent: Recent::default(),
        probe: Probe::new()?,
        usage: Usage::default(),
        signals: Signals::default(),
        metrics,
        backoff: Backoff::default(),
        ca,
    })
}

/// Waits for the Lease, then runs the controllers for as long as it is held.
async fn lead(context: Arc<Context>, stop: CancellationToken) -> Result<()> {
    let settings = &context.settings;
    let manager = LeaseManagerBuilder::new(context.client.clone(), LEASE)
        .with_namespace(&settings.pod_namespace)
        .with_identity(&settings.pod_name)
        .with_duration(LEASE_SECONDS)
        .with_grace(LEASE_GRACE_SECONDS)
        .build()
        .await
        .context("cannot prepare the Lease")?;
    let (mut leads, task) = manager.watch().await;
    tokio::select! {
        changed = leads.wait_for(|leads| *leads) => { changed.context("the Lease manager stopped")?; }
        () = stop.cancelled() => {}
    }
    if stop.is_cancelled() {
        return Ok(());
    }
    tracing::info!("this replica leads");
    let controllers = controllers::run_all(Arc::clone(&context), stop.clone());
    let lost = async { leads.wait_for(|leads| !*leads).await.map(|_| ()) };
    tokio::select! {
        () = controllers => {}
        _ = lost => anyhow::bail!("lost the Lease {LEASE}; another replica leads"),
    }
    // The Lease is given back, so that the next leader need not wait for it to expire.
    drop(leads);
    let _ = tokio::time::timeout(DRAIN, task).await;
    Ok(())
}

/// Renews certificates when they are due and takes over what another replica renewed.
async fn renew(
    context: &Context,
    material: &tls::Material,
    config: &RustlsConfig,
    tell_ca: &watch::Sender<String>,
) {
    let mut current = material.clone();
    loop {
        tokio::time::sleep(RENEWAL).await;
        match tls::ensure(&context.client, &context.settings).await {
            Ok(new) if new != current => {
                if let Err(fault) = new.reload(config).await {
                    tracing::error!(%fault, "cannot use the renewed certificate");
                    continue;
                }
                tell_ca.send_replace(new.bundle.clone());
                current = new;
                tracing::info!("certificates were renewed");
            }
            Ok(_) => {}
            Err(fault) => tracing::warn!(%fault, "cannot look after certificates; trying again in an hour"),
        }
    }
}

async fn listen(address: SocketAddr, router: Router, stop: CancellationToken) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    // Probes are answered until the very end: the process ends when its work does.
    let _ = stop;
    axum::serve(listener, router).await.context("cannot serve")
}
