//! What is within reach of pods, of their account, and of the code that runs in them.

use dise_tests::{
    Namespace, SYSTEM,
    operator::{AUDIENCE, RUNNER},
    spec::{adder, bash, python, single},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::ListParams};
use serde_json::{Value, json};

use super::{Cast, serve};

/// Whether an account may do something in its namespace.
async fn allowed(space: &Namespace, account: &str, verb: &str, group: &str, resource: &str) -> bool {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {
            "user": format!("system:serviceaccount:{}:{account}", space.name),
            "groups": [
                "system:serviceaccounts", format!("system:serviceaccounts:{}", space.name), "system:authenticated",
            ],
            "resourceAttributes": {
                "namespace": space.name, "verb": verb, "group": group, "resource": resource,
            },
        },
    });
    let request = http::Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews")
        .header("content-type", "application/json")
        .body(review.to_string().into_bytes())
        .unwrap();
    let review: Value = space.client.request(request).await.unwrap();
    review["status"]["allowed"].as_bool().unwrap()
}

/// Everything that an account may do in its namespace, as `resource: verbs`.
async fn rules(space: &Namespace, account: &str) -> Vec<String> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": space.name},
    });
    let request = http::Request::post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews")
        .header("content-type", "application/json")
        .header("impersonate-user", format!("system:serviceaccount:{}:{account}", space.name))
        .body(review.to_string().into_bytes())
        .unwrap();
    let review: Value = space.client.request(request).await.unwrap();
    let rules = review["status"]["resourceRules"].as_array().unwrap();
    rules.iter().map(|rule| format!("{}: {}", rule["resources"], rule["verbs"])).collect()
}

#[tokio::test]
async fn the_account_of_runners_has_no_rights() {
    Namespace::with("rights", |space| async move {
        serve(&space, "sum", &adder(1)).await;
        for (group, resource) in [
            ("", "secrets"),
            ("", "pods"),
            ("", "configmaps"),
            ("", "serviceaccounts"),
            ("apps", "deployments"),
            ("batch", "jobs"),
            ("dise.dev", "workflows"),
            ("dise.dev", "artifacts"),
        ] {
            for verb in ["get", "list", "watch", "create", "patch", "delete"] {
                assert!(!allowed(&space, RUNNER, verb, group, resource).await, "{verb} {resource}");
            }
        }
        // What is left is what Kubernetes grants everybody: to ask about oneself.
        for rule in rules(&space, RUNNER).await {
            assert!(rule.contains("selfsubject"), "{rule}");
        }
        // The review itself can say yes.
        let operator = Namespace { name: SYSTEM.to_owned(), ..space.clone() };
        assert!(allowed(&operator, "dise-operator", "list", "dise.dev", "workflows").await);
    })
    .await;
}

#[tokio::test]
async fn pods_hold_no_credentials_but_their_own_token() {
    Namespace::with("pods", |space| async move {
        Cast::assemble(&space).await;
        let store: Api<Secret> = Api::namespaced(space.client.clone(), SYSTEM);
        let store = store.get("dise-store").await.unwrap().data.unwrap();
        let secrets: Vec<String> = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
            .map(|name| String::from_utf8(store[name].0.clone()).unwrap())
            .into();
        let pods = space.list("v1 Pod").await;
        let roles: Vec<_> = pods.iter().map(|pod| &pod["metadata"]["labels"]["dise.dev/role"]).collect();
        assert!(["executor", "verify", "run"].iter().all(|role| roles.contains(&&json!(role))), "{roles:?}");
        for pod in &pods {
            let spec = &pod["spec"];
            assert_eq!(spec["automountServiceAccountToken"], false);
            let text = spec.to_string();
            for word in
                ["AWS_", "kube-api-access", "/var/run/secrets", "secretKeyRef", "secretRef", "configMap"]
            {
                assert!(!text.contains(word), "{word} is in {text}");
            }
            assert!(
                secrets.iter().all(|secret| !text.contains(secret)),
                "the store's credentials are in a pod"
            );
            let volumes = spec["volumes"].as_array().unwrap();
            let projected: Vec<_> = volumes.iter().filter_map(|volume| volume.get("projected")).collect();
            assert_eq!(projected.len(), 1, "{text}");
            let sources = projected[0]["sources"].as_array().unwrap();
            assert_eq!(sources.len(), 1, "{text}");
            assert_eq!(sources[0]["serviceAccountToken"]["audience"], AUDIENCE);
        }
        // Nothing of the namespace holds them, and neither does any other.
        let all: Api<Secret> = Api::all(space.client.clone());
        for secret in all.list(&ListParams::default()).await.unwrap() {
            let place = secret.metadata.namespace.as_deref().unwrap_or_default();
            let holds = secret.data.iter().flatten().any(|(name, value)| {
                name.starts_with("AWS_") || secrets.iter().any(|secret| secret.as_bytes() == value.0)
            });
            assert!(!holds || place == SYSTEM, "{:?} in {place}", secret.metadata.name);
        }
    })
    .await;
}

const LOOK_AROUND: &str = "
import os

def attempt(action):
    try:
        return {'got': str(action())}
    except OSError as error:
        return {'refused': str(error)}

def run(input):
    return {
        'environ': dict(os.environ),
        'control': attempt(lambda: 'seen'),
        'token': attempt(lambda: open('/var/run/dise/token').read()),
        'environ of 1': attempt(lambda: open('/proc/1/environ', 'rb').read()),
        'own environ': attempt(lambda: open('/proc/self/environ', 'rb').read()),
        'parent': attempt(lambda: open('/proc/%d/environ' % os.getppid(), 'rb').read()),
        'memory of 1': attempt(lambda: open('/proc/1/mem', 'rb').read(1)),
        'processes': attempt(lambda: os.listdir('/proc')),
        'cache': attempt(lambda: os.listdir('/var/cache/dise')),
        'tokens': attempt(lambda: os.listdir('/var/run')),
        'scratch': attempt(lambda: os.listdir('/tmp')),
        'root': attempt(lambda: os.listdir('/')),
    }
";

const LOOK_AROUND_IN_BASH: &str = r#"
try() { local out; out=$("$@" 2>/dev/null | tr -d '\0') && [ -n "$out" ] && printf '%s' "$out" || printf refused; }
jq -n --arg control "$(try echo seen)" --arg environ "$(export -p)" --arg token "$(try cat /var/run/dise/token)" \
  --arg one "$(try cat /proc/1/environ)" --arg processes "$(try ls /proc)" --arg cache "$(try ls /var/cache/dise)" \
  '{control: $control, environ: $environ, token: $token, "environ of 1": $one, processes: $processes, cache: $cache}'
"#;

#[tokio::test]
async fn code_sees_nothing_of_the_pod_that_runs_it() {
    Namespace::with("inside", |space| async move {
        space.apply("Workflow", "python", &single(&python(LOOK_AROUND), &json!({}))).await;
        space.apply("Workflow", "bash", &single(&bash(LOOK_AROUND_IN_BASH), &json!({}))).await;
        space.ready("python").await;
        space.ready("bash").await;
        let direct = space.direct("python").await;
        let seen = direct.run(&json!({})).await.body["output"].clone();
        let environ = seen["environ"].as_object().unwrap();
        for name in environ.keys() {
            let inner = ["DISE", "AWS", "POD_", "KUBERNETES"].iter().any(|prefix| name.starts_with(prefix));
            assert!(!inner, "{name} is in {environ:?}");
        }
        assert_eq!(seen["control"]["got"], "seen");
        let attempts = seen.as_object().unwrap().iter();
        for (what, attempt) in attempts.filter(|(what, _)| !["environ", "control"].contains(&what.as_str())) {
            let refusal = attempt["refused"].as_str();
            let refused = refusal.is_some_and(|text| text.contains("Permission denied"));
            assert!(refused, "{what}: {attempt}");
        }

        let seen = direct.of("bash").run(&json!({})).await;
        assert_eq!(seen.status, 200, "{}", seen.text);
        let seen = seen.body["output"].clone();
        let environ = seen["environ"].as_str().unwrap();
        assert!(
            seen["control"] == "seen" && environ.contains("PATH"),
            "the script must see something: {seen}"
        );
        assert!(
            !["DISE", "AWS", "POD_", "KUBERNETES"].iter().any(|name| environ.contains(name)),
            "{environ}"
        );
        for what in ["token", "environ of 1", "processes", "cache"] {
            assert_eq!(seen[what], "refused", "{what}: {seen}");
        }
    })
    .await;
}
