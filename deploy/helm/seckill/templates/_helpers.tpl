{{/* Names and labels */}}
{{- define "seckill.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "seckill.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "seckill.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What selects our pods: of one component, if `component` is given. */}}
{{- define "seckill.selector" -}}
app.kubernetes.io/name: {{ include "seckill.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "seckill.labels" -}}
{{ include "seckill.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: seckill
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of pods: without versions, so that an upgrade rolls only what it changes. */}}
{{- define "seckill.podLabels" -}}
{{ include "seckill.selector" . }}
app.kubernetes.io/part-of: seckill
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "seckill.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Security: nothing runs as root, writes to its image, holds a capability or a token. */}}
{{- define "seckill.podSecurity" -}}
serviceAccountName: {{ .Values.serviceAccountName }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "seckill.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  privileged: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* The variables that every binary reads. */}}
{{- define "seckill.env" -}}
- name: DATABASE_URL_FILE
  value: /run/secrets/seckill/database-url
- name: REDIS_URL_FILE
  value: /run/secrets/seckill/redis-url
- name: KAFKA_BROKERS
  value: {{ .Values.settings.kafkaBrokers | quote }}
- name: SECKILL_ORDERS_TOPIC
  value: {{ .Values.settings.ordersTopic | quote }}
- name: SECKILL_DEAD_LETTER_TOPIC
  value: {{ .Values.settings.deadLetterTopic | quote }}
- name: SECKILL_CONSUMER_GROUP
  value: {{ .Values.settings.consumerGroup | quote }}
- name: SECKILL_PROFILE
  value: prod
- name: RUST_LOG
  value: {{ .Values.settings.logFilter | quote }}
{{- end -}}

{{/* Those of traces, for what records them. */}}
{{- define "seckill.tracesEnv" -}}
{{- with .Values.traces }}
{{- if .endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
- name: OTEL_TRACES_SAMPLER
  value: {{ .sampler }}
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .ratio | quote }}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.namespace.name=$(POD_NAMESPACE),k8s.pod.name=$(POD_NAME)
{{- if .headers.name }}
- name: OTEL_EXPORTER_OTLP_HEADERS_FILE
  value: /run/secrets/seckill/otlp-headers
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "seckill.secretMounts" -}}
volumeMounts:
  - name: secrets
    mountPath: /run/secrets/seckill
    readOnly: true
{{- end -}}

{{/* The secrets as files; the API's own only where `api` is true, that of traces only where `traced` is. */}}
{{- define "seckill.secretVolume" -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- $wanted := dict "database-url" .root.Values.secrets.databaseUrl "redis-url" .root.Values.secrets.redisUrl }}
      {{- if .api }}
      {{- $_ := set $wanted "order-id-secret" .root.Values.secrets.orderIdSecret }}
      {{- if .root.Values.secrets.adminToken.name }}
      {{- $_ := set $wanted "admin-token" .root.Values.secrets.adminToken }}
      {{- end }}
      {{- end }}
      {{- if and .traced .root.Values.traces.endpoint .root.Values.traces.headers.name }}
      {{- $_ := set $wanted "otlp-headers" .root.Values.traces.headers }}
      {{- end }}
      {{- range $path, $secret := $wanted }}
      - secret:
          name: {{ $secret.name }}
          items:
            - key: {{ $secret.key }}
              path: {{ $path }}
      {{- end }}
{{- end -}}

{{/* Where pods of one component go. */}}
{{- define "seckill.placement" -}}
{{- with .part.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- if .part.topologySpread.enabled }}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $.part.topologySpread.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "seckill.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- with .part.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* /livez looks at no dependency: a lost one must not restart us. /readyz does. */}}
{{- define "seckill.probes" -}}
startupProbe:
  httpGet:
    path: /livez
    port: http
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet:
    path: /livez
    port: http
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 3
readinessProbe:
  httpGet:
    path: /readyz
    port: http
  periodSeconds: 2
  timeoutSeconds: 3
  failureThreshold: 2
{{- end -}}

{{/* What is true of one run of stock-admin in a job. */}}
{{- define "seckill.adminContainer" -}}
image: {{ include "seckill.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{ include "seckill.containerSecurity" . }}
resources:
  {{- toYaml .Values.jobs.resources | nindent 2 }}
{{ include "seckill.secretMounts" . }}
  {{- with .Values.jobs.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
env:
  {{- include "seckill.env" . | nindent 2 }}
  {{- with .Values.jobs.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The volumes of such a job. */}}
{{- define "seckill.adminVolumes" -}}
{{ include "seckill.secretVolume" . }}
{{- with .root.Values.jobs.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
