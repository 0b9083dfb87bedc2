//! Functions in use by a workflow.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use dise_core::digest::Digest;

use crate::{
    interner::Interner,
    workers::{Callable, Workers},
};

/// A function that some program of a workflow uses. When the last one goes, so do the function's workers.
pub struct Lease {
    tenant: Arc<str>,
    callable: Arc<Callable>,
    workers: Arc<Workers>,
    home: Weak<Leases>,
}

/// The functions in use, by workflow and digest.
pub(crate) type Leases = Interner<(Arc<str>, Digest), Lease>;

impl Lease {
    /// Takes a function up for a workflow.
    pub(crate) fn take(
        leases: &Arc<Leases>,
        workers: &Arc<Workers>,
        tenant: &Arc<str>,
        callable: &Arc<Callable>,
    ) -> Arc<Self> {
        leases.intern((Arc::clone(tenant), callable.digest()), || Self {
            tenant: Arc::clone(tenant),
            callable: Arc::clone(callable),
            workers: Arc::clone(workers),
            home: Arc::downgrade(leases),
        })
    }

    /// The function.
    #[must_use]
    pub fn callable(&self) -> &Arc<Callable> {
        &self.callable
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(home) = self.home.upgrade() else { return };
        let key = (Arc::clone(&self.tenant), self.callable.digest());
        home.forget(&key, || self.workers.forget(&self.tenant, &self.callable));
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({} of {})", self.callable.digest(), self.tenant)
    }
}
