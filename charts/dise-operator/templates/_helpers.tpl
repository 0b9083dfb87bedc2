{{- define "dise.name" -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- /* dise-operator's store is called dise-store, its user roles dise-view and dise-edit. */}}
{{- define "dise.family" -}}
{{- include "dise.name" . | trimSuffix "-operator" -}}
{{- end }}

{{- define "dise.store.name" -}}
{{- include "dise.family" . }}-store
{{- end }}

{{- /* Takes {root, component}. What a selector may rely on: it never changes. */}}
{{- define "dise.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- /* Takes {root, component}. */}}
{{- define "dise.labels" -}}
{{ include "dise.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: dise
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* Takes {image, root}. */}}
{{- define "dise.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* The Secret that the operator keeps its CA and certificate in. */}}
{{- define "dise.tls.secret" -}}
{{- .Values.tls.secretName | default (printf "%s-tls" (include "dise.name" .)) -}}
{{- end }}

{{- /* Takes the names. */}}
{{- define "dise.pullSecrets" -}}
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}

{{- /* The pod security standard `restricted`, and a little more. */}}
{{- define "dise.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "dise.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* What no schema can say about values that depend on each other. */}}
{{- define "dise.check" -}}
{{- $store := .Values.store -}}
{{- if and (has $store.type (list "file" "memory")) (gt (int .Values.replicas) 1) -}}
{{- fail (printf "store.type %s belongs to one operator: set replicas to 1, or use store.type s3 or embedded" $store.type) -}}
{{- end -}}
{{- if eq $store.type "s3" -}}
{{- if not $store.s3.bucket -}}
{{- fail "store.type s3 needs store.s3.bucket" -}}
{{- end -}}
{{- if and (hasPrefix "http://" $store.s3.endpoint) (not $store.s3.allowHttp) -}}
{{- fail "store.s3.endpoint has no TLS: use https://, or set store.s3.allowHttp to true" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "dise.store.path" -}}
{{- with .Values.store.prefix | trimAll "/" }}/{{ . }}{{ end -}}
{{- end }}

{{- define "dise.store.url" -}}
{{- $store := .Values.store -}}
{{- if eq $store.type "embedded" -}}
s3://{{ $store.embedded.bucket }}{{ include "dise.store.path" . }}
{{- else if eq $store.type "s3" -}}
s3://{{ $store.s3.bucket }}{{ include "dise.store.path" . }}
{{- else if eq $store.type "file" -}}
file:///data{{ include "dise.store.path" . }}
{{- else -}}
memory:///
{{- end -}}
{{- end }}

{{- /* The Secret with the credentials of the store; empty when there is none. */}}
{{- define "dise.store.secret" -}}
{{- if eq .Values.store.type "embedded" -}}
{{ .Values.store.embedded.existingSecret | default (include "dise.store.name" .) }}
{{- else if eq .Values.store.type "s3" -}}
{{ .Values.store.s3.existingSecret }}
{{- end -}}
{{- end }}

{{- /*
The data of the embedded store's own Secret, as JSON: what is in the cluster, else new.
It is made once for each rendering (.Release lives as long as that), so that the Secret
and the checksums of the pods that read it agree.

SeaweedFS's S3 server also listens for gRPC from the rest of its cluster, without any
authentication, on the same address. Nothing needs it here. The certificate turns on
mutual TLS for it, and since it is the only authority and nobody holds another
certificate, nobody gets in.
*/}}
{{- define "dise.store.secretData" -}}
{{- if not (hasKey .Release "diseStoreSecret") -}}
{{- $data := dict -}}
{{- with lookup "v1" "Secret" .Release.Namespace (include "dise.store.name" .) -}}
{{- $data = .data | default dict -}}
{{- end -}}
{{- if not (and (hasKey $data "AWS_ACCESS_KEY_ID") (hasKey $data "AWS_SECRET_ACCESS_KEY")) -}}
{{- $_ := set $data "AWS_ACCESS_KEY_ID" (randAlphaNum 20 | b64enc) -}}
{{- $_ := set $data "AWS_SECRET_ACCESS_KEY" (randAlphaNum 40 | b64enc) -}}
{{- end -}}
{{- if not (and (hasKey $data "grpc.crt") (hasKey $data "grpc.key")) -}}
{{- $pair := genSelfSignedCert (include "dise.store.name" .) nil nil 36500 -}}
{{- $_ := set $data "grpc.crt" ($pair.Cert | b64enc) -}}
{{- $_ := set $data "grpc.key" ($pair.Key | b64enc) -}}
{{- end -}}
{{- $_ := set .Release "diseStoreSecret" $data -}}
{{- end -}}
{{- .Release.diseStoreSecret | toJson -}}
{{- end }}

{{- /* Pods restart when the credentials that the chart made change. */}}
{{- define "dise.store.checksum" -}}
{{- if and (eq .Values.store.type "embedded") (not .Values.store.embedded.existingSecret) -}}
checksum/store-credentials: {{ include "dise.store.secretData" . | sha256sum }}
{{- end -}}
{{- end }}

{{- /* How the operator's S3 client finds the store and proves who it is. */}}
{{- define "dise.store.env" -}}
{{- $store := .Values.store -}}
{{- if eq $store.type "embedded" -}}
- name: AWS_ENDPOINT
  value: http://{{ include "dise.store.name" . }}.{{ .Release.Namespace }}.svc:8333
- {name: AWS_REGION, value: us-east-1}
- {name: AWS_ALLOW_HTTP, value: "true"}
- {name: AWS_VIRTUAL_HOSTED_STYLE_REQUEST, value: "false"}
{{- else if eq $store.type "s3" -}}
{{- with $store.s3.endpoint -}}
- name: AWS_ENDPOINT
  value: {{ . }}
{{ end -}}
- name: AWS_REGION
  value: {{ $store.s3.region }}
- name: AWS_ALLOW_HTTP
  value: {{ $store.s3.allowHttp | quote }}
- name: AWS_VIRTUAL_HOSTED_STYLE_REQUEST
  value: {{ $store.s3.virtualHostedStyle | quote }}
{{- end -}}
{{- with include "dise.store.secret" . }}
{{ include "dise.store.credentials" . }}
{{- end -}}
{{- end }}

{{- /* Takes the name of the Secret. */}}
{{- define "dise.store.credentials" -}}
- name: AWS_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ . }}, key: AWS_ACCESS_KEY_ID}}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ . }}, key: AWS_SECRET_ACCESS_KEY}}
{{- end }}

{{- /* ResourceRequirements as JSON. In YAML a quantity may be a number; in JSON it is text. */}}
{{- define "dise.resources" -}}
{{- $result := dict -}}
{{- range $kind, $amounts := . -}}
{{- $texts := dict -}}
{{- range $name, $amount := $amounts -}}
{{- if and (kindIs "float64" $amount) (eq (floor $amount) (float64 $amount)) -}}
{{- $amount = int64 $amount -}}
{{- end -}}
{{- $_ := set $texts $name (toString $amount) -}}
{{- end -}}
{{- $_ := set $result $kind $texts -}}
{{- end -}}
{{- toJson $result -}}
{{- end }}
