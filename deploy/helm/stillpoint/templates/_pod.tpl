{{- /* Whose pods: those of the daemon, or of the guard. */}}
{{- define "stillpoint.podLabels" -}}
{{ include "stillpoint.selectorLabels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- /* The pod of the daemon or of the guard. Both call their container stillpoint: what Prometheus knows of the two differs
in instance and pod alone, as the alerts want it. */}}
{{- define "stillpoint.pod" -}}
{{- $root := .root }}
{{- $daemon := eq .component "daemon" }}
{{- with $root.Values }}
metadata:
  {{- /* No checksum of the config: the daemon reloads it, and a restart would discard a window. */}}
  {{- with .podAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
  labels:
    {{- include "stillpoint.podLabels" $ | nindent 4 }}
    {{- with .podLabels }}{{- toYaml . | nindent 4 }}{{- end }}
spec:
  serviceAccountName: {{ include "stillpoint.serviceAccountName" $root }}
  terminationGracePeriodSeconds: {{ include "stillpoint.gracePeriod" $root }}
  # Services beside it are not told as variables.
  enableServiceLinks: false
  {{- with .imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: stillpoint
      image: {{ printf "%s:%s" .image.repository (.image.tag | default $root.Chart.AppVersion) | quote }}
      imagePullPolicy: {{ .image.pullPolicy }}
      args: [{{ ternary "run" "guard" $daemon }}, --log-format, json]
      env:
        # For `kubectl exec`: the commands find the same config as the daemon.
        - {name: STILLPOINT_CONFIG, value: /etc/stillpoint/config.yaml}
        {{- if .existingConfigMap }}
        # Whatever the ConfigMap says: the chart has to know them.
        - {name: STILLPOINT__DAEMON__CATALOG, value: {{ .config.daemon.catalog | quote }}}
        - {name: STILLPOINT__DAEMON__HTTP, value: {{ .config.daemon.http | quote }}}
        {{- if include "stillpoint.led" $root }}
        {{- $lease := include "stillpoint.lease" $root | fromYaml }}
        - {name: STILLPOINT__DAEMON__LEADERSHIP__KUBERNETES__NAMESPACE, value: {{ $lease.namespace | quote }}}
        - {name: STILLPOINT__DAEMON__LEADERSHIP__KUBERNETES__NAME, value: {{ $lease.name | quote }}}
        {{- end }}
        {{- end }}
        {{- if and $daemon .database.existingSecret }}
        - name: PGPASSWORD
          valueFrom: {secretKeyRef: {name: {{ .database.existingSecret }}, key: {{ .database.passwordKey }}}}
        {{- end }}
        # Whose Kubernetes events it publishes.
        - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        - {name: POD_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
        {{- with .extraEnv }}{{- toYaml . | nindent 8 }}{{- end }}
      ports:
        - {name: http, containerPort: {{ include "stillpoint.port" $root }}}
      {{- if $daemon }}
      # A window that runs comes to its own end, and the lease goes to the next one at once.
      lifecycle: {preStop: {exec: {command: [/usr/bin/stillpoint, stop]}}}
      # Before its pages are served it opens what a dead daemon left closed; a slow disk must not end it in that.
      startupProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 2, failureThreshold: 150}
      {{- end }}
      livenessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 10, failureThreshold: 6}
      readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 5}
      {{- with .resources }}
      resources: {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        # The whole folder: a subPath is never updated.
        - {name: config, mountPath: /etc/stillpoint, readOnly: true}
        {{- if $daemon }}
        {{- if include "stillpoint.postgres" $root }}
        # The control socket's, which `kubectl exec` asks through.
        - {name: run, mountPath: /run/stillpoint}
        {{- else }}
        - {name: catalog, mountPath: /var/lib/stillpoint}
        {{- end }}
        {{- end }}
        {{- with .extraVolumeMounts }}{{- toYaml . | nindent 8 }}{{- end }}
  volumes:
    - name: config
      configMap: {name: {{ .existingConfigMap | default (include "stillpoint.fullname" $root) }}}
    {{- if and $daemon (include "stillpoint.postgres" $root) }}
    - {name: run, emptyDir: {medium: Memory}}
    {{- end }}
    {{- with .extraVolumes }}{{- toYaml . | nindent 4 }}{{- end }}
  {{- with include "stillpoint.spread" $root | trim }}
  topologySpreadConstraints: {{- . | nindent 4 }}
  {{- end }}
  {{- with .nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* How pods keep apart: by nodes, and whatever else is written. Of a Deployment of several each revision counts for
itself, so that an update is not in its own way. */}}
{{- define "stillpoint.spread" -}}
{{- if and (ne .Values.spread "none") (gt (include "stillpoint.pods" . | int) 1) }}
- topologyKey: kubernetes.io/hostname
  maxSkew: 1
  whenUnsatisfiable: {{ ternary "DoNotSchedule" "ScheduleAnyway" (eq .Values.spread "hard") }}
  labelSelector:
    matchLabels: {{- include "stillpoint.selectorLabels" . | nindent 6 }}
  {{- if not (include "stillpoint.guard" .) }}
  matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- with .Values.topologySpreadConstraints }}
{{ toYaml . }}
{{- end }}
{{- end }}
