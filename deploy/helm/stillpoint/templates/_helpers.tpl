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
{{- if not (or .context .kubeconfig .eks) }}{{- $_ := set $found (default $.Release.Namespace .namespace) true }}{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- keys $found | sortAlpha | join " " }}
{{- end }}

{{- /* The port of config.daemon.http. */}}
{{- define "stillpoint.port" -}}
{{- regexFind "[0-9]+$" (toString .Values.config.daemon.http) }}
{{- end }}

{{- /* Not empty: the catalog is on PostgreSQL. */}}
{{- define "stillpoint.postgres" -}}
{{- regexFind "^postgres(ql)?://" (toString .Values.config.daemon.catalog) }}
{{- end }}

{{- /* The port in its URL. */}}
{{- define "stillpoint.databasePort" -}}
{{- $place := regexReplaceAll "^[a-z]+://([^/?@]*@)?([^/?]*).*$" .Values.config.daemon.catalog "${2}" }}
{{- regexFind ":[0-9]+$" $place | trimPrefix ":" | default "5432" }}
{{- end }}

{{- define "stillpoint.kind" -}}
{{- ternary "Deployment" "StatefulSet" (not (empty (include "stillpoint.postgres" .))) }}
{{- end }}

{{- define "stillpoint.replicas" -}}
{{- .Values.replicas | default (ternary 2 1 (not (empty (include "stillpoint.postgres" .)))) }}
{{- end }}

{{- /* Not empty: there is a guard. */}}
{{- define "stillpoint.guard" -}}
{{- if kindIs "bool" .Values.guard.enabled }}
{{- ternary "yes" "" .Values.guard.enabled }}
{{- else if not (include "stillpoint.postgres" .) }}yes
{{- end }}
{{- end }}

{{- /* How many pods there are in all. */}}
{{- define "stillpoint.pods" -}}
{{- add (include "stillpoint.replicas" . | int) (ternary 1 0 (not (empty (include "stillpoint.guard" .)))) }}
{{- end }}

{{- /* Not empty: a Lease says who leads. */}}
{{- define "stillpoint.led" -}}
{{- if or (include "stillpoint.postgres" .) (include "stillpoint.guard" .) .Values.config.daemon.leadership }}yes{{ end }}
{{- end }}

{{- /* That Lease: the release's, unless the config names another one. */}}
{{- define "stillpoint.lease" -}}
{{- $own := dict "namespace" .Release.Namespace "name" (include "stillpoint.fullname" .) }}
{{- merge (dict) ((.Values.config.daemon.leadership | default dict).kubernetes | default dict) $own | toYaml }}
{{- end }}

{{- /* A duration of the config, such as 1m30s, in whole seconds, rounded up. */}}
{{- define "stillpoint.seconds" -}}
{{- $hours := regexFind "[0-9]+h" . | trimSuffix "h" | int64 }}
{{- $minutes := regexFind "[0-9]+m([0-9]|$)" . | regexFind "^[0-9]+" | int64 }}
{{- $seconds := regexFind "[0-9]+s" . | trimSuffix "s" | int64 }}
{{- $thousandths := regexFind "[0-9]+ms" . | trimSuffix "ms" | int64 }}
{{- add (mul 3600 $hours) (mul 60 $minutes) $seconds (div (add $thousandths 999) 1000) }}
{{- end }}

{{- /* The longest max_pause of config.groups in seconds; 60s where nothing is written, as in the program. */}}
{{- define "stillpoint.longestPause" -}}
{{- $longest := 0 }}
{{- range (.Values.config.groups | default dict) }}
{{- $longest = include "stillpoint.seconds" ((.window | default dict).max_pause | default "60s") | int64 | max $longest }}
{{- end }}
{{- $longest | default 60 }}
{{- end }}

{{- define "stillpoint.gracePeriod" -}}
{{- .Values.terminationGracePeriodSeconds | default (add 60 (include "stillpoint.longestPause" .)) }}
{{- end }}

{{- /* What a schema cannot say. */}}
{{- define "stillpoint.checks" -}}
{{- $grace := .Values.terminationGracePeriodSeconds | int64 }}
{{- $longest := include "stillpoint.longestPause" . | int64 }}
{{- $replicas := include "stillpoint.replicas" . | int }}
{{- if and (gt $replicas 1) (not (include "stillpoint.postgres" .)) }}
{{- fail (printf "replicas (%d) needs a catalog on PostgreSQL: the SQLite file of config.daemon.catalog is for one daemon at a time. Write config.daemon.catalog: postgres://USER@HOST/DATABASE, or leave replicas empty: a guard beside the one daemon then opens what a dead one left closed" $replicas) }}
{{- end }}
{{- if regexMatch "^postgres(ql)?://[^/?@]*:[^/?@]*@|[?&]password=" (toString .Values.config.daemon.catalog) }}
{{- fail "config.daemon.catalog holds a password, which would stand in a ConfigMap: leave it out, and name a Secret in database.existingSecret" }}
{{- end }}
{{- if and .Values.database.existingSecret (not (include "stillpoint.postgres" .)) }}
{{- fail "database.existingSecret is for a catalog on PostgreSQL, and config.daemon.catalog names none" }}
{{- end }}
{{- if and $grace (le $grace $longest) (not .Values.existingConfigMap) }}
{{- fail (printf "terminationGracePeriodSeconds (%d) must be longer than the longest max_pause of config.groups (%d s), or a pod that is told to end is killed before its members are open; leave it empty for max_pause and a minute" $grace $longest) }}
{{- end }}
{{- if not (regexMatch "^(0\\.0\\.0\\.0|\\[::\\]):[0-9]+$" (toString .Values.config.daemon.http)) }}
{{- fail (printf "config.daemon.http (%v) must be 0.0.0.0:PORT or [::]:PORT, or the probes and Prometheus do not reach the daemon" .Values.config.daemon.http) }}
{{- end }}
{{- if .Values.existingConfigMap }}
{{- if .Values.config.groups }}
{{- fail "existingConfigMap and config.groups are both set, and the groups would be ignored: leave one out" }}
{{- end }}
{{- if not $grace }}
{{- fail "existingConfigMap hides its max_pause from the chart: set terminationGracePeriodSeconds, longer than the longest of them" }}
{{- end }}
{{- if and .Values.rbac.create (not .Values.rbac.namespaces) }}
{{- fail "existingConfigMap hides its namespaces from the chart: name them in rbac.namespaces, or set rbac.create=false" }}
{{- end }}
{{- end }}
{{- if and .Values.metrics.podMonitor.enabled .Values.metrics.serviceMonitor.enabled }}
{{- fail "metrics.podMonitor and metrics.serviceMonitor are both enabled, and every series would be there twice: enable one" }}
{{- end }}
{{- end }}
