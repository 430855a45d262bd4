{{- define "tero.name" -}}
{{- $name := contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) }}
{{- $name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "tero.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tero.labels" -}}
{{ include "tero.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "tero.secret" -}}
{{ .Values.admin.existingSecret | default (printf "%s-admin" (include "tero.name" .)) }}
{{- end }}

{{- define "tero.config" -}}
[server]
listen = ["0.0.0.0:8080"]
drain = "{{ .Values.stop.drainSeconds }}s"
{{- if .Values.shields.enabled }}
trusted_edges = {{ .Values.shields.trustedEdges | toJson }}
{{- end }}
{{ .Values.serverKeys }}
[admin]
listen = "0.0.0.0:9090"
token_file = "/run/secrets/tero/token"
ready_after = {{ .Values.readyAfter | toJson }}
ready_within = {{ .Values.readyWithin | quote }}
{{ .Values.adminKeys }}
[policies]
state_dir = "/var/lib/tero"
compiled_cache = "/var/cache/tero"
{{ .Values.policiesKeys }}
{{- if .Values.fleet.nats }}
[cluster]
nats = {{ .Values.fleet.nats | toJson }}
{{- if .Values.fleet.existingSecret }}
user = {{ .Values.fleet.user | quote }}
password_file = "/run/secrets/nats/password"
{{- end }}
{{ .Values.fleet.keys }}
{{- end }}
{{ .Values.config | replace "[\"@shields\"]" (include "tero.shields" .) }}
{{- end }}

{{- /* The URLs of the shields. */}}
{{- define "tero.shields" -}}
{{- $urls := list }}
{{- $name := printf "%s-shield" (include "tero.name" .) }}
{{- range $place := until (int .Values.shields.replicas) }}
{{- $urls = append $urls (printf "http://%s-%d.%s:8080" $name $place $name) }}
{{- end }}
{{- $urls | toJson }}
{{- end }}
