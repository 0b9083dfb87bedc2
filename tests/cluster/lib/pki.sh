# Certificates and kubeconfigs: one CA, and one identity for each component, with
# just the rights that a real cluster gives it.
# shellcheck shell=bash

ensure_pki() {
  [[ ! -e $STATE/pki/.complete ]] || return 0
  mkdir -p "$STATE/pki"
  chmod 700 "$STATE/pki"
  new_key ca
  openssl req -x509 -new -key "$STATE/pki/ca.key" -out "$STATE/pki/ca.crt" -subj /CN=dise-test-cluster -days 3650 \
    -addext keyUsage=critical,keyCertSign,digitalSignature
  new_key service-accounts
  openssl pkey -in "$STATE/pki/service-accounts.key" -pubout -out "$STATE/pki/service-accounts.pub"

  certificate apiserver /CN=kube-apiserver \
    "IP:127.0.0.1,IP:$GATEWAY,IP:$API_SERVICE,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
  certificate kubelet-server "/O=system:nodes/CN=system:node:$NODE" "IP:$GATEWAY,DNS:$NODE"
  # logs and exec: the API server is a client of the kubelet.
  certificate apiserver-kubelet-client /O=system:masters/CN=apiserver-kubelet-client
  certificate front-proxy /CN=front-proxy

  certificate admin /O=system:masters/CN=admin
  certificate kubelet "/O=system:nodes/CN=system:node:$NODE"
  certificate controller-manager /CN=system:kube-controller-manager
  certificate scheduler /CN=system:kube-scheduler
  certificate proxy /CN=system:kube-proxy
  local name
  for name in kubelet controller-manager scheduler proxy; do
    kubeconfig "$name" >"$STATE/pki/$name.conf"
  done
  (umask 077 && kubeconfig admin >"$ADMIN_KUBECONFIG")
  touch "$STATE/pki/.complete"
}

# P-256: an RSA key takes a hundred times as long to make.
new_key() {
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$STATE/pki/$1.key" 2>/dev/null
}

# certificate NAME SUBJECT [ALTERNATIVE_NAMES]
certificate() {
  local pki=$STATE/pki
  new_key "$1"
  openssl req -new -key "$pki/$1.key" -subj "$2" |
    openssl x509 -req -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 3650 -out "$pki/$1.crt" \
      -extfile <(printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=%s\n' "${3:-DNS:$1}") \
      2>/dev/null
}

# All inline, so that the file can be copied elsewhere and still works.
kubeconfig() {
  local pki=$STATE/pki
  cat <<Y
apiVersion: v1
kind: Config
clusters:
- name: dise-test
  cluster:
    server: $API
    certificate-authority-data: $(base64 -w0 "$pki/ca.crt")
users:
- name: $1
  user:
    client-certificate-data: $(base64 -w0 "$pki/$1.crt")
    client-key-data: $(base64 -w0 "$pki/$1.key")
contexts:
- name: dise-test
  context: {cluster: dise-test, user: $1}
current-context: dise-test
Y
}
