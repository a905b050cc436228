{{- define "stillpoint.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "stillpoint.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "stillpoint.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "stillpoint.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "stillpoint.selectorLabels" -}}
app.kubernetes.io/name: {{ include "stillpoint.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "stillpoint.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "stillpoint.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "stillpoint.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "stillpoint.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* The namespaces with clusters that this pod's own account reaches, parted by spaces. */}}
{{- define "stillpoint.namespaces" -}}
{{- $found := dict }}
{{- range .Values.rbac.namespaces }}{{- $_ := set $found . true }}{{- end }}
{{- if not .Values.rbac.namespaces }}
{{- range (.Values.config.groups | default dict) }}
{{- range (.clusters | default dict) }}
{{- with .kubernetes }}
{{- if not (or .context .kubeconfig) }}{{- $_ := set $found (default $.Release.Namespace .namespace) true }}{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- keys $found | sortAlpha | join " " }}
{{- end }}
