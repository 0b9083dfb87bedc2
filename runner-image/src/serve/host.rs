//! Which workflow a request to `/v1/run` is for.
//!
//! Every workflow has a Service of its name, and all Services of a namespace lead to the same executor, so that
//! the Host header is what tells them apart.

/// What a Host header says about the workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The Service of this name in the executor's namespace.
    Service(String),
    /// The executor itself, an address, or a name from outside such as an Ingress's: the first label is a hint.
    Other(Option<String>),
}

/// Where this executor lives.
#[derive(Clone, Debug, Default)]
pub struct Home {
    /// The namespace; empty when it is not known.
    pub namespace: String,
    /// The pod's name, which starts with that of its Deployment.
    pub pod: String,
}

impl Home {
    /// Reads a Host header such as `review-triage.shop.svc.cluster.local:8080`.
    #[must_use]
    pub fn target(&self, host: &str) -> Target {
        let name = strip_port(host).trim_end_matches('.').to_ascii_lowercase();
        if name.is_empty()
            || name == "localhost"
            || name.starts_with('[')
            || name.parse::<std::net::IpAddr>().is_ok()
        {
            return Target::Other(None);
        }
        let (label, rest) = name.split_once('.').unwrap_or((&name, ""));
        let is_own =
            self.pod.strip_prefix(label).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        if self.is_in_namespace(rest) && !is_own {
            Target::Service(label.to_owned())
        } else {
            Target::Other(Some(label.to_owned()))
        }
    }

    /// Whether what follows a Service's name points into this namespace: nothing, `ns`, `ns.svc`, `ns.svc.…`.
    fn is_in_namespace(&self, rest: &str) -> bool {
        if rest.is_empty() {
            return true;
        }
        let mut labels = rest.split('.');
        let namespace = labels.next() == Some(&self.namespace) && !self.namespace.is_empty();
        namespace && labels.next().is_none_or(|label| label == "svc")
    }
}

fn strip_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // An IPv6 address has its colons in brackets.
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Home {
        Home { namespace: "shop".into(), pod: "dise-executor-7d9f-x2x".into() }
    }

    #[test]
    fn service_names_of_the_namespace_name_a_workflow() {
        for host in [
            "review-triage",
            "review-triage:8080",
            "REVIEW-triage.shop",
            "review-triage.shop:80",
            "review-triage.shop.svc",
            "review-triage.shop.svc.cluster.local",
            "review-triage.shop.svc.cluster.local.:8080",
        ] {
            assert_eq!(home().target(host), Target::Service("review-triage".into()), "{host}");
        }
    }

    #[test]
    fn addresses_name_nothing() {
        for host in
            ["", "localhost", "localhost:8080", "10.1.2.3", "10.1.2.3:8080", "[::1]:8080", "[fd00::7]"]
        {
            assert_eq!(home().target(host), Target::Other(None), "{host}");
        }
    }

    #[test]
    fn foreign_names_and_the_executor_itself_only_hint() {
        for (host, label) in [
            ("triage.example.com", "triage"),
            ("review-triage.bank", "review-triage"),
            ("dise-executor", "dise-executor"),
            ("dise-executor.shop.svc", "dise-executor"),
        ] {
            assert_eq!(home().target(host), Target::Other(Some(label.into())), "{host}");
        }
    }
}
